"""Connections to a full listener wait, and `open` ends the wait."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from errno import EADDRNOTAVAIL, EALREADY, EINPROGRESS, EMFILE

import pytest

from socksify import _originals
from socksify.seal.kernel.libc import connect_raw
from socksify.seal.kernel.raw_sockaddr import parse
from socksify.seal.streams import full_listener
from socksify.seal.streams.full_listener import FullListeners
from socksify.server.core.loop import Loop

# The targets, of which only the family counts.
HOST, MAPPED = "192.0.2.1", "::ffff:192.0.2.1"


@pytest.fixture
def listeners(loop: Loop) -> Iterator[FullListeners]:
    listeners = FullListeners(loop)
    yield listeners
    listeners.close()


def waiting(listeners: FullListeners, family: int, only_ipv6: bool = False) -> _originals.Socket:
    sock = _originals.Socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    if only_ipv6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    assert connect_raw(sock.fileno(), listeners.address_for(sock, HOST)) == EINPROGRESS
    return sock


def events(sock: _originals.Socket, timeout: float) -> int:
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    return dict(poller.poll(int(timeout * 1000))).get(sock.fileno(), 0)


def opened(listeners: FullListeners, loop: Loop, *socks: _originals.Socket) -> list[_originals.Socket | None]:
    """Our ends of the connections of these sockets."""
    ends: list[_originals.Socket | None] = []

    def done(end: _originals.Socket | OSError | None) -> None:
        assert not isinstance(end, OSError)
        ends.append(end)
        if len(ends) == len(socks):
            loop.stop()

    for sock in socks:
        listeners.open(sock.getsockname(), done)
    loop.run()
    return ends


def test_an_address_is_of_the_family_of_the_target(listeners: FullListeners) -> None:
    sock = _originals.Socket(socket.AF_INET6, socket.SOCK_STREAM)
    hosts = {host: parse(listeners.address_for(sock, host), socket.AF_INET6)[0] for host in ("2001:db8::1", MAPPED)}
    sock.close()
    assert hosts == {"2001:db8::1": "::1", MAPPED: "::ffff:127.0.0.1"}


def test_a_socket_that_is_bound_to_a_mapped_address_takes_no_other(listeners: FullListeners) -> None:
    sock = _originals.Socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.bind(("::ffff:127.0.0.1", 0))
    assert parse(listeners.address_for(sock, "2001:db8::1"), socket.AF_INET6)[0] == "::ffff:127.0.0.1"
    sock.close()


@pytest.mark.parametrize(
    ("family", "only_ipv6"), [(socket.AF_INET, False), (socket.AF_INET6, False), (socket.AF_INET6, True)]
)
def test_a_socket_waits_and_is_opened(listeners: FullListeners, loop: Loop, family: int, only_ipv6: bool) -> None:
    sock = waiting(listeners, family, only_ipv6)
    assert events(sock, 0.05) == 0
    assert connect_raw(sock.fileno(), listeners.address_for(sock, HOST)) == EALREADY
    (end,) = opened(listeners, loop, sock)
    assert end is not None
    assert events(sock, 5) == select.POLLOUT
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    sock.send(b"to the end")
    end.setblocking(True)
    assert end.recv(100) == b"to the end"
    end.send(b"from the end")
    sock.setblocking(True)
    assert sock.recv(100) == b"from the end"
    sock.close()


def test_a_socket_with_the_address_of_another_host_is_not_opened(
    listeners: FullListeners, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock = _originals.Socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.bind(("127.0.0.9", 0))
    assert connect_raw(sock.fileno(), listeners.address_for(sock, HOST)) == EINPROGRESS
    monkeypatch.setattr(full_listener, "is_own", lambda address: address != "127.0.0.9")
    # `done` is called before loop.run(), which a loop that was stopped leaves at once.
    assert opened(listeners, loop, sock) == [None]
    sock.close()


def test_a_socket_with_an_address_of_its_own_is_opened(listeners: FullListeners, loop: Loop) -> None:
    sock = _originals.Socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.bind(("127.0.0.9", 0))
    port = sock.getsockname()[1]
    assert connect_raw(sock.fileno(), listeners.address_for(sock, HOST)) == EINPROGRESS
    (end,) = opened(listeners, loop, sock)
    assert end is not None
    assert end.getpeername() == ("127.0.0.9", port)
    sock.close()


def test_a_socket_that_was_closed_is_not_opened(listeners: FullListeners, loop: Loop) -> None:
    sock = waiting(listeners, socket.AF_INET)
    ends: list[_originals.Socket | OSError | None] = []
    local = sock.getsockname()
    sock.close()

    def done(end: _originals.Socket | OSError | None) -> None:
        ends.append(end)
        loop.stop()

    listeners.open(local, done)
    loop.run()
    assert ends == [None]


def test_without_a_descriptor_it_is_an_error(
    listeners: FullListeners, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_family: int) -> None:
        raise OSError(EMFILE, os.strerror(EMFILE))

    sock = waiting(listeners, socket.AF_INET)
    ends: list[_originals.Socket | OSError | None] = []
    monkeypatch.setattr(loop, "stream", none_left)
    listeners.open(sock.getsockname(), ends.append)
    (end,) = ends
    assert isinstance(end, OSError)
    assert end.errno == EMFILE
    sock.close()


def test_many_sockets_wait_at_once(listeners: FullListeners, loop: Loop) -> None:
    socks = [waiting(listeners, socket.AF_INET) for _ in range(200)]
    assert [sock for sock in socks if events(sock, 0)] == []
    assert None not in opened(listeners, loop, socks[7], socks[150])
    assert [sock for sock in socks if events(sock, 0.01)] == [socks[7], socks[150]]
    for sock in socks:
        sock.close()


def test_an_address_of_ipv6_alone_needs_ipv6(listeners: FullListeners, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(listeners, "_ipv6", None)
        _needs_ipv6(listeners)


def _needs_ipv6(listeners: FullListeners) -> None:
    sock = _originals.Socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    with pytest.raises(OSError, match="Cannot assign") as failure:
        listeners.address_for(sock, HOST)
    assert failure.value.errno == EADDRNOTAVAIL
    sock.close()


def test_closing_ends_the_wait(loop: Loop) -> None:
    listeners = FullListeners(loop)
    sock = waiting(listeners, socket.AF_INET)
    listeners.close()
    # The next SYN is answered with a reset: RFC 6298 section 2 has it sent after one second.
    assert events(sock, 5) & select.POLLERR
    sock.close()
