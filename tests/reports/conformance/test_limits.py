"""What SOCKS cannot carry, met by a client that speaks SOCKS5 by hand through danted: socksify has no part in it."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from tests.reports.conformance.limits import LIMITS, limit_of
from tests.support.servers import Server

SECONDS = 10.0
# A race that is lost natively never, and behind a relay often: how many times it is run there at the most.
NATIVELY, ATTEMPTS = 50, 1000


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(SECONDS)
        yield sock


def asking(proxy: Server, listener: socket.socket) -> socket.socket:
    """A socket whose CONNECT to the listener has been sent; RFC 1928 sections 3 and 4."""
    sock = socket.create_connection((proxy.host, proxy.port), timeout=SECONDS)
    sock.sendall(b"\5\1\0")
    assert sock.recv(2) == b"\5\0"
    host, port = listener.getsockname()
    sock.sendall(b"\5\1\0\1" + socket.inet_aton(host) + port.to_bytes(2, "big"))
    return sock


def answered(sock: socket.socket) -> socket.socket:
    """The same, with section 6's reply read."""
    source_port(sock)
    return sock


def source_port(sock: socket.socket) -> int:
    """Whence the relay has connected, by its reply: ten bytes for an IPv4 address."""
    reply = sock.recv(10, socket.MSG_WAITALL)
    assert reply[:4] == b"\5\0\0\1"
    return int.from_bytes(reply[8:], "big")


def direct(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=SECONDS)


def hears_an_urgent_byte(client: socket.socket, listener: socket.socket) -> bool:
    """Whether it is told of one, or finds its mark, by the time that everything has arrived."""
    server, _ = listener.accept()
    with client, server:
        server.send(b"!", socket.MSG_OOB)
        server.sendall(b"and the rest")
        server.shutdown(socket.SHUT_WR)
        received, urgent = b"", False
        while not received.endswith(b"rest"):
            readable, _, exceptional = select.select([client], [], [client], SECONDS)
            urgent = urgent or bool(exceptional)
            received += client.recv(64) if readable else b""
        return urgent


def test_urgent_data_is_not_urgent_behind_a_relay(danted: Server, listener: socket.socket) -> None:
    assert hears_an_urgent_byte(direct(listener), listener)
    assert not hears_an_urgent_byte(answered(asking(danted, listener)), listener)


def is_connected_when_it_is_accepted(client: socket.socket, listener: socket.socket, events: int) -> bool:
    """Whether a client that has begun to connect knows the outcome as soon as accept() returns."""
    server, _ = listener.accept()
    with client, server:
        poller = select.poll()
        poller.register(client, events)
        return bool(poller.poll(0))


def test_the_server_has_accepted_before_the_client_is_told(danted: Server, listener: socket.socket) -> None:
    for _ in range(NATIVELY):
        assert is_connected_when_it_is_accepted(beginning(listener), listener, select.POLLOUT)
    attempts = (asking(danted, listener) for _ in range(ATTEMPTS))
    assert not all(is_connected_when_it_is_accepted(client, listener, select.POLLIN) for client in attempts)


def beginning(listener: socket.socket) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.connect(listener.getsockname())
    return sock


def test_connections_overtake_one_another_behind_a_relay(danted: Server, listener: socket.socket) -> None:
    for _ in range(NATIVELY):
        with beginning(listener) as first, beginning(listener):
            assert first.getsockname() == accepted(listener, 2)[0]
    for _ in range(ATTEMPTS):
        with asking(danted, listener) as first, asking(danted, listener):
            if accepted(listener, 2)[0][1] != source_port(first):
                return
    pytest.fail(f"all {ATTEMPTS} came in order")


def accepted(listener: socket.socket, count: int) -> list[tuple[str, int]]:
    """The peers of as many connections, in the order in which they came."""
    peers = []
    for _ in range(count):
        server, peer = listener.accept()
        server.close()
        peers.append(peer)
    return peers


def is_reset_at_once(client: socket.socket, listener: socket.socket) -> bool:
    """Whether the server is disconnected as soon as the client's close(), with RFC 9293's reset, returns."""
    server, _ = listener.accept()
    with server:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"hello")
        client.close()
        try:
            server.getpeername()
        except OSError:
            return True
        return False


def test_a_reset_is_not_there_at_once_behind_a_relay(danted: Server, listener: socket.socket) -> None:
    assert all(is_reset_at_once(direct(listener), listener) for _ in range(NATIVELY))
    attempts = (answered(asking(danted, listener)) for _ in range(ATTEMPTS))
    assert not all(is_reset_at_once(client, listener) for client in attempts)


def test_every_limit_is_shown_and_excuses_something() -> None:
    for limit in LIMITS:
        assert callable(globals()[limit.shown_by])
        assert limit.tests
        assert not limit.what.endswith(".")


def test_a_limit_excuses_no_more_than_it_says() -> None:
    assert limit_of("test.test_epoll.TestEPoll.test_fromfd") is LIMITS[1]
    assert limit_of("test.test_epoll.TestEPoll.test_fromfd2") is None
    assert not any(fnmatchcase("test.test_socket", pattern) for limit in LIMITS for pattern in limit.tests)
