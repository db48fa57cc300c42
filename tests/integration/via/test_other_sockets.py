"""Datagrams, listening sockets and strict inside a block of via()."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Iterator

import pytest

import socksify
from tests.support.bind_proxy import bind_proxy

PROXY = "socks5h://192.0.2.1:1080"


pytestmark = pytest.mark.usefixtures("uninstalled")


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        yield sock


def test_a_datagram_goes_by_the_block(sender: socket.socket, receiver: socket.socket) -> None:
    socksify.install(PROXY, routes=["*=proxy"])
    to = receiver.getsockname()
    with socksify.via("direct"):
        sender.sendto(b"1", to)
    assert receiver.recv(9) == b"1"
    for inside in ("proxy", "block"):
        with socksify.via(inside), pytest.raises(PermissionError):
            sender.sendto(b"2", to)


def test_a_connected_one_goes_by_the_block_that_connected_it(sender: socket.socket, receiver: socket.socket) -> None:
    socksify.install(PROXY, routes=["*=proxy"])
    to = receiver.getsockname()
    with socksify.via("direct"):
        sender.connect(to)
    sender.send(b"1")
    assert receiver.recv(9) == b"1"
    sender.connect(to)
    with socksify.via("direct"), pytest.raises(PermissionError):
        sender.send(b"2")
    with pytest.raises(PermissionError):
        sender.send(b"3")
    with socksify.via("direct"):
        sender.connect(to)
        sender.send(b"4")
    assert receiver.recv(9) == b"4"


def test_what_a_block_refused_is_refused_outside(sender: socket.socket, receiver: socket.socket) -> None:
    socksify.install(PROXY, routes=["*=proxy"])
    with socksify.via("direct"):
        with socksify.via("block"):
            sender.connect(receiver.getsockname())
        with pytest.raises(PermissionError):
            sender.send(b"1")
        sender.connect(receiver.getsockname())
        sender.send(b"2")
    assert receiver.recv(9) == b"2"


def test_strict_looks_by_the_block() -> None:
    socksify.install(PROXY, strict=True, routes=["*=proxy"])
    connect = _socket.socket.connect
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        with pytest.raises(PermissionError, match="goes past socksify"):
            connect(sock, server.getsockname())
        for inside in ("proxy", "block"):
            with socksify.via(inside), pytest.raises(PermissionError, match="goes past socksify"):
                connect(sock, server.getsockname())
        with socksify.via("direct"):
            connect(sock, server.getsockname())
    # One that is made so is refused everywhere.
    with socksify.via("direct"), pytest.raises(PermissionError, match=r"use socket\.socket"):
        _socket.socket()


def test_a_peer_calls_back_through_the_proxy_of_its_block() -> None:
    with bind_proxy("socks5") as proxy:
        socksify.install(PROXY, routes=["*=proxy"])
        with socksify.via(proxy.url), proxy.control() as control:
            local = control.getsockname()
            with socket.socket() as listener:
                listener.bind(("", 0))
                listener.listen()
                assert proxy.binds == 1
                assert listener.getsockname() == proxy.listening
                proxy.come(b"x")
                stream, _ = listener.accept()
                with stream:
                    assert stream.recv(1) == b"x"
            with socksify.via("direct"), socket.socket() as listener:
                listener.bind(("", 0))
                listener.listen()
                assert listener.getsockname()[0] == "0.0.0.0"
        assert proxy.binds == 1
        assert local is not None


def test_a_listener_outside_is_that_of_its_caller() -> None:
    """The expected caller is the peer of a connection, so the listener goes by the proxy of that connection."""
    with bind_proxy("socks5") as proxy:
        socksify.install(PROXY, routes=["*=proxy"])
        with socksify.via(proxy.url):
            control = proxy.control()
        with control, socket.socket() as listener:
            listener.bind((control.getsockname()[0], 0))
            listener.listen()
            assert (proxy.binds, listener.getsockname()) == (1, proxy.listening)
