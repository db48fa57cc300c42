"""Clients vanish at each step, and targets fail in each way: the server answers or closes, and keeps nothing."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from socksify.protocol.address import Address
from socksify.server.embedded import policy_of
from socksify.server.net import resolver
from socksify.server.net.resolver import Candidate
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import LOCAL
from socksify.server.policy.users import Hash, Users
from socksify.server.session.services import VERIFIERS
from tests.support.streams import receive, receive_all
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.policies import cheap_hash
from tests.unit.server.running import Running, run

# SO_LINGER of 0: close(2) sends a reset.
ABORT = struct.pack("ii", 1, 0)


@contextmanager
def nothing_left() -> Iterator[None]:
    """Asserts that all descriptors that this process opens, those of the server too, are closed again soon."""
    before = descriptors()
    yield
    for _ in range(500):
        if descriptors() <= before:
            return
        time.sleep(0.02)
    assert descriptors() <= before


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def conversations(host: str, port: int) -> dict[str, bytes]:
    return {
        "connect5": client.GREETING + client.request5(host, port),
        "connect5 by name": client.GREETING + client.request5("localhost", port),
        "bind5": client.GREETING + client.request5(host, port, client.BIND),
        "associate5": client.GREETING + client.request5("0.0.0.0", 0, client.UDP_ASSOCIATE),
        "connect4": client.request4(host, port),
        "connect4a": client.request4("localhost", port),
        "bind4": client.request4(host, port, client.BIND),
        "credentials": b"\x05\x01\x02" + client.credentials(b"alice", b"open sesame") + client.request5(host, port),
    }


@pytest.mark.parametrize("abort", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("conversation", conversations("127.0.0.1", 1))
def test_a_client_vanishes_at_each_step(
    conversation: str, abort: bool, running: Running, guarded: Running, echo_server: Target
) -> None:
    said = conversations(*echo_server.address)[conversation]
    server = guarded if conversation == "credentials" else running
    with nothing_left():
        for length in range(len(said) + 1):
            with server.connect() as stream:
                stream.sendall(said[:length])
                if abort:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            server.report()
    with server.connect() as stream:
        if server is running:
            assert client.ask(stream, 5, *echo_server.address) == 0


@pytest.mark.parametrize("version", [4, 5])
def test_a_target_that_refuses(version: int, running: Running, refusing: tuple[str, int]) -> None:
    with nothing_left():
        for _ in range(10):
            with running.connect() as stream:
                assert client.ask(stream, version, *refusing) != 0
                assert receive_all(stream) == b""
            assert running.report().outcome == "failed"


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    """A port that is bound, and that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        name: tuple[str, int] = held.getsockname()
        yield name


@pytest.mark.parametrize("version", [4, 5])
def test_a_target_that_is_silent(version: int, running: Running) -> None:
    """A listener with a full queue: not even the TCP handshake is answered."""
    running.limit(connect_seconds=0.2)
    with nothing_left(), full_queue() as address:
        with running.connect() as stream:
            assert client.ask(stream, version, *address) in (6, 91)
        assert running.report().outcome in ("failed", "timeout")


@pytest.fixture
def silent_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    over = threading.Event()

    def look_up(name: Address) -> list[Candidate]:
        if name.host.startswith("silent"):
            over.wait(30)
        return []

    monkeypatch.setattr(resolver, "look_up", look_up)
    yield
    over.set()


@pytest.mark.usefixtures("silent_name_server")
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("command", [client.CONNECT, client.BIND])
def test_a_name_server_that_is_silent(version: int, command: int, running: Running) -> None:
    running.limit(connect_seconds=0.2)
    with running.connect() as stream:
        assert client.ask(stream, version, "silent.example", 80, command) in (4, 91)
    assert running.report().outcome == "failed"


@pytest.mark.usefixtures("silent_name_server")
def test_passwords_are_verified_while_a_name_server_is_silent(guarded: Running) -> None:
    login = b"\x05\x01\x02" + client.credentials(b"alice", b"open sesame")
    # More names than there are threads that look up.
    for number in range(40):
        stream = guarded.connect()
        stream.sendall(login + client.request5(f"silent{number}.example", 80))
        assert receive(stream, 4) == b"\x05\x02\x01\x00"


@pytest.mark.usefixtures("silent_name_server")
def test_the_silent_name_server_of_one_client_holds_up_no_other(running: Running) -> None:
    running.limit(connect_seconds=0)
    for number in range(40):
        stream = running.connect()
        stream.sendall(client.GREETING + client.request5(f"silent{number}.example", 80))
        assert receive(stream, 2) == b"\x05\x00"
    with somebody_else(running) as stream:
        assert client.ask(stream, 5, "unknown.example", 80) == 4


def test_wrong_passwords_of_one_client_hold_up_no_other() -> None:
    over = threading.Event()

    def verify(user: bytes, _: bytes) -> bool:
        return user == b"alice" or not over.wait(30)

    with contextmanager(run)(policy_of(verify)) as running:
        for _ in range(40):
            stream = running.connect()
            stream.sendall(b"\x05\x01\x02" + client.credentials(b"mallory", b"a guess"))
            assert receive(stream, 2) == b"\x05\x02"
        with somebody_else(running) as stream:
            stream.sendall(b"\x05\x01\x02" + client.credentials(b"alice", b"open sesame"))
            assert receive(stream, 4) == b"\x05\x02\x01\x00"
        over.set()


def test_a_known_login_does_not_wait_behind_wrong_ones() -> None:
    over = threading.Event()
    users = Users({b"alice": Hash.parse(cheap_hash(b"open sesame"))})
    with contextmanager(run)(Policy((LOCAL.replace(verified=True),), users)) as running:
        login = b"\x05\x01\x02" + client.credentials(b"alice", b"open sesame")
        for _ in range(2):
            stream = running.connect()
            stream.sendall(login)
            assert receive(stream, 4) == b"\x05\x02\x01\x00"
            # From then on all threads are busy, for a whole network of clients that guess passwords.
            for number in range(2 * VERIFIERS):
                running.server._loop.call(lambda number=number: occupy(running, number, over))  # type: ignore[misc]
        over.set()


def occupy(running: Running, number: int, over: threading.Event) -> None:
    running.server._server.services.verifiers.run(f"192.0.2.{number}", lambda: over.wait(30), lambda _: None)


def somebody_else(running: Running) -> socket.socket:
    """A connection from another client address."""
    address = (running.server.host, running.server.port)
    return socket.create_connection(address, 10, source_address=("127.0.0.2", 0))


@contextmanager
def full_queue() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        try:
            for _ in range(10):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(listener.getsockname())
            yield listener.getsockname()
        finally:
            for stream in waiting:
                stream.close()


@pytest.mark.parametrize("before", [0, 1, 100_000, 3_000_000])
def test_a_target_that_resets_in_mid_stream(before: int, running: Running) -> None:
    """The client's read ends in an error. Truncated data never looks complete."""
    # The bulk thread stays for the next relay, so its descriptors are not counted.
    reset_in_mid_stream(before, running)
    with nothing_left():
        for _ in range(3):
            reset_in_mid_stream(before, running)


def reset_in_mid_stream(before: int, running: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, running.connect() as stream:
        listener.settimeout(10)
        assert client.ask(stream, 5, *listener.getsockname()) == 0
        target, _ = listener.accept()
        with target:
            target.setblocking(False)
            target.send(bytes(before))
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        with pytest.raises(ConnectionResetError):
            receive_all(stream)
    assert running.report().outcome == "reset"


def test_a_client_that_never_reads_is_let_go_when_it_goes(running: Running) -> None:
    # The bulk thread stays.
    assert running.bulk
    with nothing_left(), socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        with running.connect() as stream:
            assert client.ask(stream, 5, *listener.getsockname()) == 0
            target, _ = listener.accept()
            target.settimeout(0.2)
            with target, pytest.raises(TimeoutError):
                # This would never end if the server took an unlimited amount.
                for _ in range(1_000):
                    target.sendall(bytes(1 << 20))
        running.report()


def test_a_client_that_goes_while_it_waits_for_its_peer(running: Running) -> None:
    with nothing_left():
        with running.connect() as stream:
            assert client.ask(stream, 5, "0.0.0.0", 0, client.BIND) == 0
        assert running.report().outcome == "left"


def test_an_association_ends_with_its_connection(running: Running) -> None:
    with nothing_left():
        with running.connect() as stream:
            stream.sendall(client.GREETING + client.request5("0.0.0.0", 0, client.UDP_ASSOCIATE))
            receive(stream, 2)
            code, _ = client.reply5(stream)
            assert code == 0
        running.report()
