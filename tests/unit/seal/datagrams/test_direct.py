"""Services of this machine, reached from inside the pool's namespace."""

from __future__ import annotations

import queue
import select
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from socksify import _originals
from socksify.seal.datagrams import direct as direct_datagrams
from socksify.seal.datagrams.direct import DirectDatagrams, _Client, _Service, is_served
from socksify.seal.datagrams.socket_pool import SocketPool
from socksify.server.core.loop import Loop
from tests.support.network.namespaces import needs_root
from tests.unit.server.loops import running_loop

SECONDS = 10.0
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


def family_of(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class Place:
    """A pool and its services, with a loop that runs in a thread."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.pool = loop, SocketPool()
        self.pool.serve(loop)
        self.datagrams = DirectDatagrams(loop, self.pool)

    def reach(self, *address: object) -> None:
        done: queue.Queue[None] = queue.Queue()
        self.loop.call(lambda: self.datagrams.reach(address, lambda: done.put(None)))
        done.get(timeout=SECONDS)

    def client(self, host: str) -> socket.socket:
        taken: queue.Queue[_originals.Socket | OSError] = queue.Queue()
        self.loop.call(lambda: self.pool.take(family_of(host), taken.put))
        made = taken.get(timeout=SECONDS)
        assert not isinstance(made, OSError)
        client = socket.socket(fileno=made.detach())
        client.settimeout(SECONDS)
        return client

    def settle(self) -> None:
        """Return when the loop has handled what it was told so far."""
        done: queue.Queue[None] = queue.Queue()
        self.loop.call(lambda: done.put(None))
        done.get(timeout=SECONDS)


@pytest.fixture
def place() -> Iterator[Place]:
    needs_root()
    with running_loop(Place) as place:
        yield place
    place.pool.close()


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    host = getattr(request, "param", "127.0.0.1")
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as service:
        service.bind((host, 0))
        service.settimeout(SECONDS)
        yield service


BOTH = pytest.mark.parametrize("service", ["127.0.0.1", "::1"], indirect=True)


@BOTH
def test_datagrams_and_answers_pass(place: Place, service: socket.socket) -> None:
    address = service.getsockname()[:2]
    place.reach(*address)
    with place.client(address[0]) as client:
        for data in (b"first", b"", bytes(60_000)):
            client.sendto(data, address)
            received, sender = service.recvfrom(65535)
            assert received == data
            service.sendto(received[::-1], sender)
            answer, answerer = client.recvfrom(65535)
            assert (answer, answerer[:2]) == (data[::-1], address)


def test_each_client_has_its_own_answers(place: Place, service: socket.socket) -> None:
    address = service.getsockname()
    place.reach(*address)
    with place.client("127.0.0.1") as one, place.client("127.0.0.1") as other:
        senders = []
        for client, name in ((one, b"one"), (other, b"other")):
            client.connect(address)
            client.send(name)
            senders.append(service.recvfrom(100))
        for name, sender in reversed(senders):
            service.sendto(name, sender)
        assert (one.recv(100), other.recv(100)) == (b"one", b"other")


def test_a_service_may_end_and_come_back(loop: Loop) -> None:
    """The kernel reports with the second datagram that the first one has found nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    client = _Client(loop, cast(_Service, SimpleNamespace(address=address)), ("127.0.0.1", 9), lambda: None)
    client.send(b"to nobody")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(address)
        service.settimeout(SECONDS)
        client.send(b"to the second")
        assert service.recv(100) == b"to the second"


@HOSTS
def test_an_address_that_nobody_has_is_left_to_the_tree(place: Place, host: str) -> None:
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        address = probe.getsockname()[:2]
        assert is_served(address)
    assert not is_served(address)
    place.reach(*address)
    assert address not in place.datagrams
    with place.client(host) as server:
        server.bind(address)


def test_a_server_of_the_tree_keeps_its_address(place: Place, service: socket.socket) -> None:
    address = service.getsockname()
    with place.client("127.0.0.1") as server, place.client("127.0.0.1") as client:
        server.bind(address)
        place.reach(*address)
        client.sendto(b"in the tree", address)
        assert server.recv(100) == b"in the tree"


def test_another_host_is_served() -> None:
    assert is_served(("192.0.2.77", 9))


def test_there_are_not_more_services_than_the_limit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_datagrams, "_MOST_SERVICES", 2)
    addresses = [("192.0.2.77", port) for port in (1001, 1002, 1003)]
    for address in (addresses[0], addresses[1], addresses[0], addresses[2]):
        place.reach(*address)
    assert [address in place.datagrams for address in addresses] == [True, False, True]
    place.settle()
    # The address is free in the namespace.
    with place.client("192.0.2.77") as server:
        server.bind(addresses[1])


def test_there_are_not_more_clients_than_the_limit(
    place: Place, service: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_datagrams, "_MOST_CLIENTS", 3)
    address = service.getsockname()
    place.reach(*address)
    senders = set()
    for _ in range(10):
        with place.client("127.0.0.1") as client:
            client.sendto(b"x", address)
            senders.add(service.recvfrom(10)[1])
    place.settle()
    assert len(senders) == 10
    assert len(place.datagrams._clients) == 3


def test_a_silent_client_is_dropped(place: Place, service: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_datagrams, "_IDLE_SECONDS", 0.05)
    address = service.getsockname()
    place.reach(*address)
    with place.client("127.0.0.1") as client:
        client.sendto(b"x", address)
        _, first = service.recvfrom(10)
        dropped = select.epoll()
        while place.datagrams._clients:
            dropped.poll(0.01)
            place.settle()
        dropped.close()
        client.sendto(b"x", address)
        assert service.recvfrom(10)[0] == b"x"
    assert first


def test_the_last_datagrams_pass_at_the_end(loop: Loop, service: socket.socket) -> None:
    """The loop does not run any more when they arrive."""
    needs_root()
    place, address = Place(loop), service.getsockname()
    taken: list[_originals.Socket | OSError] = []

    def end(made: _originals.Socket | OSError) -> None:
        taken.append(made)
        loop.stop()

    place.datagrams.reach(address, lambda: place.pool.take(socket.AF_INET, end))
    loop.run()
    (client,) = taken
    assert not isinstance(client, OSError)
    for number in range(50):
        client.sendto(bytes((number,)), address)
    client.close()
    place.datagrams.close()
    place.pool.close()
    assert [service.recv(10)[0] for _ in range(50)] == list(range(50))
