"""rcmd(3) with a real rshd, through a danted that keeps reserved ports.

The server reaches the proxy, but not the client. So the second channel, for stderr, must have come through BIND.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from errno import EPROTO
from pathlib import Path

import pytest

import socksify
from tests.support.inetd import service
from tests.support.network import separated
from tests.support.network.separated import EVERYWHERE, NAME, SERVER, SERVER6, SeparatedNetwork
from tests.support.paths import ROOT
from tests.support.processes import require, unavailable
from tests.support.routing import routed
from tests.support.servers import Server, with_account
from tests.support.streams import receive_all

LOCAL, REMOTE = "joe", "alice"
WAYS = {
    "socks5": ("socks5", SERVER),
    "socks5h": ("socks5h", NAME),
    "socks4": ("socks4", SERVER),
    "socks5, IPv6": ("socks5", SERVER6),
}


@pytest.fixture(scope="module")
def network() -> Iterator[SeparatedNetwork]:
    with separated.separated_network() as network:
        yield network


@pytest.fixture(scope="module")
def danted(network: SeparatedNetwork) -> Iterator[Server]:
    """With `sameport`, says Dante's manual, danted tries to use the client's port, also if it is reserved."""
    with (
        tempfile.TemporaryDirectory(prefix="socksify-rcmd-") as name,
        separated.danted(network.proxy, Path(name), "compatibility: sameport\n") as server,
    ):
        yield server


@pytest.fixture(scope="module", autouse=True)
def rshd(network: SeparatedNetwork) -> Iterator[None]:
    """rshd of rsh-redone. It lets joe, coming from the proxy, act as alice."""
    binary = require("in.rshd")
    with tempfile.TemporaryDirectory(prefix="socksify-rshd-") as name, contextlib.ExitStack() as stack:
        home = Path(name)
        home.chmod(0o755)
        trusted = home / ".rhosts"
        trusted.write_text(f"{separated.OUTER} {LOCAL}\n{separated.OUTER6} {LOCAL}\n")
        trusted.chmod(0o600)
        for path in (home, trusted):
            os.chown(path, 65533, 65534)
        # As inetd does: without a second channel, stderr is the connection as well.
        inetd = ["sh", "-c", 'exec "$0" 2>&1', binary]
        argv = network.server.command(*with_account(inetd, home, REMOTE, "unused", str(home), "/bin/sh"))
        with network.server.inside():
            for host in (SERVER, SERVER6):
                stack.enter_context(service(*argv, host=host, port=514))
        yield


@pytest.fixture(params=WAYS)
def host(request: pytest.FixtureRequest, network: SeparatedNetwork, danted: Server) -> Iterator[str]:
    scheme, host = WAYS[request.param]
    with network.client.inside(), routed(danted.url(scheme), routes=EVERYWHERE):
        yield host


def test_both_in_one(host: str) -> None:
    with socksify.rcmd(host, 514, LOCAL, REMOTE, "echo out; echo err >&2; id -un") as stream:
        assert sorted(receive_all(stream).split()) == [b"alice", b"err", b"out"]


def test_two_channels(host: str) -> None:
    stream, errors = socksify.rcmd(host, 514, LOCAL, REMOTE, "echo out; echo err >&2; cat", stderr=True)
    with stream, errors:
        stream.sendall(b"through stdin")
        stream.shutdown(socket.SHUT_WR)
        assert receive_all(stream) == b"out\nthrough stdin"
        assert receive_all(errors) == b"err\n"


def test_the_second_channel_came_through_bind(danted: Server, host: str) -> None:
    before = danted.log.read_text().count("tcp/bind [:")
    with contextlib.ExitStack() as stack:
        for each in socksify.rcmd(host, 514, LOCAL, REMOTE, "true", stderr=True):
            stack.enter_context(each)
    assert danted.log.read_text().count("tcp/bind [:") == before + 1


def test_much_on_both_channels(host: str) -> None:
    command = "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2"
    stream, errors = socksify.rcmd(host, 514, LOCAL, REMOTE, command, stderr=True)
    counts: list[int] = []
    with stream, errors:
        thread = threading.Thread(target=lambda: counts.append(len(receive_all(errors))))
        thread.start()
        assert len(receive_all(stream)) == 300_000
        thread.join(10)
    assert counts == [200_000]


def test_who_is_not_trusted(host: str) -> None:
    """This rshd sends its null byte first, and then refuses."""
    with socksify.rcmd(host, 514, "mallory", REMOTE, "id") as stream:
        assert receive_all(stream) == b"Authentication failure\n"


def test_one_after_another(host: str) -> None:
    """The ports of a connection cannot be used again for a while, so the next connection takes others."""
    for number in range(5):
        stream, errors = socksify.rcmd(host, 514, LOCAL, REMOTE, f"echo {number}; echo {number} >&2", stderr=True)
        with stream, errors:
            assert receive_all(stream) == receive_all(errors) == b"%d\n" % number


# --- without a proxy: what a server can do ---


class Rshd:
    """A server whose answer the test gives. It records what the client sends."""

    def __init__(self, answer: Callable[[socket.socket, int], None]) -> None:
        self._answer = answer
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Rshd:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        stream, _ = self._listener.accept()
        with stream:
            port = int(self._until_null(stream) or b"0")
            # The client may have reset the connection.
            with contextlib.suppress(OSError):
                self._answer(stream, port)
                self.heard += receive_all(stream)

    def _until_null(self, stream: socket.socket) -> bytes:
        return b"".join(iter(lambda: stream.recv(1), b"\0"))


def say(data: bytes) -> Callable[[socket.socket, int], None]:
    return lambda stream, _: stream.sendall(data)


def call_from_any_port(stream: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as second:
        second.recv(1)
    stream.shutdown(socket.SHUT_WR)


def test_what_is_sent() -> None:
    with Rshd(say(b"\0hello")) as server:
        stream = socksify.rcmd("127.0.0.1", server.port, "joe", "alice", "echo \u00fc")
        with stream:
            assert stream.recv(5) == b"hello"
            stream.sendall(b"input")
    assert server.heard == "joe\0alice\0echo \u00fc\0input".encode()


def test_the_users_name_is_the_default() -> None:
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    with Rshd(say(b"\0")) as server:
        socksify.rcmd("127.0.0.1", server.port, cmd="id").close()
    assert server.heard == f"{user}\0{user}\0id\0".encode()


@pytest.mark.parametrize("answer", [b"\1Permission denied.\n", b"\1Permission denied.", b"Permission denied.\nmore"])
@pytest.mark.parametrize("stderr", [False, True])
def test_the_servers_words(answer: bytes, stderr: bool) -> None:
    def refuse(stream: socket.socket, _: int) -> None:
        stream.sendall(answer)
        stream.shutdown(socket.SHUT_WR)

    with Rshd(refuse) as server, pytest.raises(PermissionError, match=r"127\.0\.0\.1: Permission denied\.$"):
        socksify.rcmd("127.0.0.1", server.port, "joe", "alice", "id", stderr)


@pytest.mark.parametrize("stderr", [False, True])
def test_a_server_that_hangs_up(stderr: bool) -> None:
    with Rshd(lambda stream, _: stream.shutdown(socket.SHUT_WR)) as server, pytest.raises(ConnectionResetError):
        socksify.rcmd("127.0.0.1", server.port, "joe", "alice", "id", stderr)


def test_a_second_channel_from_a_port_that_anybody_may_have() -> None:
    with Rshd(call_from_any_port) as server:
        with pytest.raises(OSError, match="second channel came from port") as raised:
            socksify.rcmd("127.0.0.1", server.port, "joe", "alice", "id", stderr=True)
        assert raised.value.errno == EPROTO


def test_a_second_channel_that_is_not_opened() -> None:
    with Rshd(say(b"\0")) as server:
        with pytest.raises(OSError, match="did not open the second channel") as raised:
            socksify.rcmd("127.0.0.1", server.port, "joe", "alice", "id", stderr=True)
        assert raised.value.errno == EPROTO


def test_a_server_that_refuses_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            socksify.rcmd("127.0.0.1", nobody.getsockname()[1], "joe", "alice", "id")
    assert pauses == [1, 2, 4, 8, 16]


def test_reserved_ports_that_are_taken_are_passed_over() -> None:
    with Rshd(say(b"\0")) as first, Rshd(say(b"\0")) as second:
        one = socksify.rcmd("127.0.0.1", first.port, "joe", "alice", "id")
        two = socksify.rcmd("127.0.0.1", second.port, "joe", "alice", "id")
        with one, two:
            ports = [stream.getsockname()[1] for stream in (one, two)]
    assert len(set(ports)) == 2
    assert os.geteuid() != 0 or all(512 <= port < 1024 for port in ports)


def test_a_process_that_may_not_have_a_reserved_port_goes_without() -> None:
    if os.geteuid() != 0:
        unavailable("to take the right to reserved ports away needs root")
    program = "import socksify, sys; s = socksify.rcmd('127.0.0.1', int(sys.argv[1]), 'joe', 'x', 'id'); print(s)"
    without = [require("setpriv"), "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"]
    with Rshd(say(b"\0")) as server:
        argv = [*without, sys.executable, "-c", program, str(server.port)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = re.search(r"laddr=\('127.0.0.1', (\d+)\)", done.stdout)
    assert found is not None and int(found[1]) >= 1024


@pytest.mark.parametrize(
    "words", [("joe", "alice", ""), ("", "alice", "id"), ("joe", "a\0b", "id"), ("joe", "alice", "\0")]
)
def test_what_cannot_be_asked(words: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="must be texts without null characters"):
        socksify.rcmd("127.0.0.1", 1, *words)
