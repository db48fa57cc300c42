"""UDP ASSOCIATE: datagrams in both directions, for one client, while its TCP connection lasts. Nobody else gets in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from socksify.protocol.address import Address
from socksify.server.net import resolver
from socksify.server.net.resolver import Candidate
from socksify.server.policy.policy import Demand, Denied, Permitted, Policy
from socksify.server.session import udp_destinations
from socksify.server.session.udp_destinations import BATCH
from tests.support.streams import receive, receive_all
from tests.unit.server import client
from tests.unit.server.running import Running, run

QUIET = 0.1


@dataclass
class Association:
    """The TCP connection, the datagram sockets of client and target, and where the server takes datagrams."""

    stream: socket.socket
    inner: socket.socket
    target: socket.socket
    relay: tuple[str, int]

    def send(self, data: bytes, fragment: int = 0, to: bytes | None = None) -> None:
        host, port = self.target.getsockname()[:2]
        header = b"\0\0" + bytes([fragment]) + (to or client.address5(host, port))
        self.inner.sendto(header + data, self.relay)

    def arrives(self) -> bytes:
        """Returns the next datagram that the target gets."""
        return self.target.recvfrom(65536)[0]

    def nothing_arrives(self) -> bool:
        """Asserts that nothing has come before a datagram that is sent now."""
        self.send(b"a later one")
        return self.arrives() == b"a later one"


def associated(running: Running, host: str = "127.0.0.1", declared: tuple[str, int] | None = None) -> Association:
    stream = running.connect()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    inner = running.connections.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    target = running.connections.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    for end, own in ((inner, "127.0.0.1"), (target, host)):
        end.settimeout(10)
        end.bind((own, 0))
    stream.sendall(client.GREETING + client.request5(*(declared or ("0.0.0.0", 0)), client.UDP_ASSOCIATE))
    assert receive(stream, 2) == b"\x05\x00"
    code, bound = client.reply5(stream)
    assert code == 0
    return Association(stream, inner, target, (socket.inet_ntoa(bound[1:5]), int.from_bytes(bound[5:])))


@pytest.fixture
def association(running: Running) -> Association:
    return associated(running)


def quiet(end: socket.socket) -> bool:
    end.settimeout(QUIET)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_in_both_directions(host: str, running: Running) -> None:
    association = associated(running, host)
    association.send(b"question")
    data, outside = association.target.recvfrom(100)
    assert data == b"question"
    association.target.sendto(b"an answer", outside)
    answer = association.inner.recv(100)
    assert answer == b"\0\0\0" + client.address5(*association.target.getsockname()[:2]) + b"an answer"
    association.stream.close()
    report = running.report()
    assert (report.command, report.outcome, report.up, report.down) == ("associate", "done", 8, 9)


@pytest.mark.parametrize("size", [0, 1, 1472, 9000, 65_497])
def test_sizes(size: int, association: Association) -> None:
    association.send(b"x" * size)
    data, outside = association.target.recvfrom(65536)
    assert len(data) == size
    association.target.sendto(data, outside)
    assert len(association.inner.recv(65536)) == size + 10


def test_a_name(association: Association) -> None:
    port = association.target.getsockname()[1]
    for data in (b"one", b"two"):
        association.send(data, to=client.address5("localhost", port))
        assert association.arrives() == data


def test_several_for_a_name_that_is_still_looked_up(association: Association) -> None:
    port = association.target.getsockname()[1]
    for number in range(5):
        association.send(b"%d" % number, to=client.address5("localhost", port))
    assert [association.arrives() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_names_that_are_looked_up_at_the_same_time_are_few(
    running: Running, association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each datagram may name another target. A look-up takes memory and, with a silent name server, half a minute."""
    over = threading.Event()
    asked: list[str] = []

    def look_up(name: Address) -> list[Candidate]:
        asked.append(name.host)
        over.wait(30)
        return []

    monkeypatch.setattr(resolver, "look_up", look_up)
    for number in range(3 * udp_destinations.MAX_WAITING):
        association.send(b"x", to=client.address5(f"x{number}.example", 53))
    assert association.nothing_arrives()
    over.set()
    # Its turn comes after all names that were asked for before.
    assert client.ask(running.connect(), 5, "last.example", 80) == 4
    assert len(asked) <= udp_destinations.MAX_WAITING + 1


def test_a_literal_that_came_as_a_name(association: Association) -> None:
    port = association.target.getsockname()[1]
    association.send(b"x", to=b"\x03\x09127.0.0.1" + port.to_bytes(2))
    assert association.arrives() == b"x"


@pytest.mark.parametrize("fragment", [1, 127, 128, 255])
def test_fragments_are_dropped(fragment: int, association: Association) -> None:
    association.send(b"a part", fragment)
    assert association.nothing_arrives()


@pytest.mark.parametrize(
    "noise",
    [b"", b"\0", b"\0\0\0", b"\0\0\0\1\x7f", b"\0\0\0\x09" + b"x" * 20, b"\0\0\0\3\xff", b"\1\0\0\1" + bytes(6)],
)
def test_noise_is_dropped(noise: bytes, association: Association) -> None:
    association.inner.sendto(noise, association.relay)
    assert association.nothing_arrives()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x..y"])
def test_an_unknown_name_is_dropped(host: str, association: Association) -> None:
    association.send(b"lost", to=client.address5(host, 9))
    assert association.nothing_arrives()


def test_the_clients_port_is_pinned(association: Association) -> None:
    association.send(b"mine")
    assert association.arrives() == b"mine"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        association.inner, mine = other, association.inner
        association.send(b"not mine")
        association.inner = mine
    assert association.nothing_arrives()


def test_another_host_is_no_client(association: Association) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.5", 0))
        association.inner, mine = other, association.inner
        association.send(b"not mine")
        association.inner = mine
    assert association.nothing_arrives()


def test_a_declared_port_is_the_only_one(running: Running) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as declared:
        declared.bind(("127.0.0.1", 0))
        association = associated(running, declared=declared.getsockname())
        association.send(b"from another port")
        association.inner = declared
        assert association.nothing_arrives()


def test_a_declared_address_that_is_not_the_connections_is_not_believed(running: Running) -> None:
    association = associated(running, declared=("192.0.2.1", 9))
    association.send(b"x")
    assert association.arrives() == b"x"


def test_a_host_that_was_not_sent_to_is_not_let_in(association: Association) -> None:
    association.send(b"question")
    _, outside = association.target.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.7", 0))
        stranger.sendto(b"surprise", outside)
    association.target.sendto(b"answer", outside)
    assert association.inner.recv(100).endswith(b"answer")


def test_a_host_may_answer_from_another_port(association: Association) -> None:
    """TFTP answers from another port (RFC 1350 section 4)."""
    association.send(b"question")
    _, outside = association.target.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("127.0.0.1", 0))
        another.sendto(b"answer", outside)
        assert association.inner.recv(100) == b"\0\0\0" + client.address5(*another.getsockname()) + b"answer"


def test_it_dies_with_the_connection(running: Running, association: Association) -> None:
    association.send(b"x")
    _, outside = association.target.recvfrom(100)
    association.stream.close()
    assert running.report().outcome == "done"
    assert is_closed(association.inner, association.relay)
    assert is_closed(association.target, outside)


def is_closed(end: socket.socket, address: tuple[str, int]) -> bool:
    """The kernel reports it by ICMP. The server closes its sockets a moment after the report."""
    end.connect(address)
    end.settimeout(QUIET)
    for _ in range(50):
        try:
            end.send(b"anybody there?")
            end.recv(1)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            continue
    return False


def test_data_on_the_tcp_connection_is_dropped(association: Association) -> None:
    association.stream.sendall(b"x" * 100_000)
    assert association.nothing_arrives()


def test_silence_ends_it(running: Running) -> None:
    running.limit(associate_seconds=0.1, idle_seconds=0.1)
    running.server._loop.call(running.server._server._sweep)
    association = associated(running)
    assert receive_all(association.stream) == b""
    assert running.report().outcome == "timeout"


def test_the_limit_of_size(running: Running, association: Association) -> None:
    running.limit(datagram_bytes=100)
    association.send(b"x" * 101)
    association.send(b"x" * 100)
    data, outside = association.target.recvfrom(1000)
    assert len(data) == 100
    association.target.sendto(b"y" * 101, outside)
    association.target.sendto(b"y" * 100, outside)
    assert len(association.inner.recv(1000)) == 110


def test_no_limit_of_size(running: Running, association: Association) -> None:
    running.limit(datagram_bytes=0)
    association.send(b"x" * 1000)
    assert len(association.arrives()) == 1000


def test_the_limit_of_rate(running: Running, association: Association) -> None:
    running.limit(datagrams_per_second=5)
    for number in range(50):
        association.send(b"%d" % number)
    assert [association.arrives() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    # More than these come only after the corresponding part of a second.
    association.target.settimeout(QUIET)
    more = 0
    try:
        while more < 45:
            association.arrives()
            more += 1
    except TimeoutError:
        pass
    assert more < 45


class Picky(Policy):
    """Permits no datagrams to 127.0.0.3, nor to any name but localhost."""

    def decide(self, demand: Demand) -> Permitted | Denied:
        if demand.address == "127.0.0.3" or demand.name not in (None, "localhost"):
            return Denied("rule 7")
        return Permitted("rule 8")


@pytest.fixture
def picky() -> Iterator[Running]:
    yield from run(Picky())


@pytest.mark.parametrize("host", ["127.0.0.3", "example.com"])
def test_every_datagram_is_subject_to_the_rules(host: str, picky: Running) -> None:
    association = associated(picky)
    with ExitStack() as stack:
        forbidden = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        forbidden.bind(("127.0.0.3", 0))
        association.send(b"x", to=client.address5(host, forbidden.getsockname()[1]))
        assert association.nothing_arrives()
        assert quiet(forbidden)


def test_a_client_that_may_send_to_nobody_cannot_associate(picky: Running) -> None:
    picky.policy.decide = lambda _: Denied("rule 9")  # type: ignore[method-assign, assignment]
    assert client.ask(picky.connect(), 5, "0.0.0.0", 0, client.UDP_ASSOCIATE) == 2


def test_batches_are_bounded(association: Association) -> None:
    """More datagrams than are taken at one event arrive."""
    count = 3 * BATCH
    association.target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    for number in range(count):
        association.send(b"%d" % number)
        if number % 16 == 15:
            assert [association.arrives() for _ in range(16)][-1] == b"%d" % number
