"""A socket that listens at the proxy in use: accepted again, copied, detached, under TLS, misused."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from errno import EINVAL, EISCONN, ENOTCONN
from pathlib import Path
from typing import Any

import pytest

from tests.support.bind_proxy import (
    OUTSIDE,
    SERVER,
    BindProxy,
)
from tests.support.certificates import Certificates
from tests.support.proxy_listeners import accepted, echoes

# --- one after another ---


def test_a_second_accept(proxy: BindProxy, listener: socket.socket) -> None:
    """A proxy listens for one peer, elsewhere for the next; nobody asks before somebody wants to know."""
    fd = listener.fileno()
    for number in range(1, 4):
        assert listener.getsockname() == proxy.listening == (OUTSIDE, 40000 + number)
        with accepted(listener, proxy) as stream:
            assert stream.fileno() != fd == listener.fileno()
            assert stream.getsockname() == (OUTSIDE, 40000 + number)
            assert echoes(stream) and proxy.binds == number


def test_it_listens_between_two_accepts(proxy: BindProxy, listener: socket.socket) -> None:
    """SO_ACCEPTCONN is how servers that inherit a socket tell what it is."""
    accepted(listener, proxy).close()
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_who_accepts_one_asks_once(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
    with socket.create_server(("", 0)) as listener:
        accepted(listener, proxy).close()
    assert proxy.binds == 1


def test_the_listener_may_be_closed_first(proxy: BindProxy, listener: socket.socket) -> None:
    with accepted(listener, proxy) as stream:
        listener.close()
        assert echoes(stream)


def test_options_survive(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
    with socket.create_server(("", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        assert not os.get_inheritable(listener.fileno())
        for _ in range(2):
            with accepted(listener, proxy) as stream:
                assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
                assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
                assert not os.get_inheritable(stream.fileno())


def test_a_dup_of_the_listener(proxy: BindProxy, listener: socket.socket) -> None:
    with listener.dup() as other:
        for each in (other, listener):
            assert each.getsockname() == proxy.listening
            with accepted(each, proxy) as stream:
                assert echoes(stream)


def test_detached_and_made_anew(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
    first = socket.create_server(("", 0))
    with socket.socket(fileno=first.detach()) as listener, accepted(listener, proxy) as stream:
        assert listener.family == socket.AF_INET and echoes(stream)


def test_a_listener_under_tls(proxy: BindProxy, listener: socket.socket, tmp_path: Path) -> None:
    """ssl looks whether there are bytes before its handshake: the proxy's answer is none of them."""
    context = Certificates(tmp_path).server()
    proxy.come(b"this is no TLS")
    with context.wrap_socket(listener, server_side=True) as wrapped:
        assert wrapped.getsockname() == proxy.listening
        with pytest.raises(ssl.SSLError):
            wrapped.accept()


# --- what a listening socket cannot do ---


@pytest.mark.parametrize(
    "call",
    [lambda sock: sock.recv(1), lambda sock: sock.send(b"x"), lambda sock: sock.getpeername()],
    ids=["recv", "send", "getpeername"],
)
def test_it_is_not_connected(
    proxy: BindProxy, listener: socket.socket, call: Callable[[socket.socket], object]
) -> None:
    with pytest.raises(OSError) as raised:
        call(listener)
    assert raised.value.errno == ENOTCONN
    with accepted(listener, proxy) as stream:
        assert echoes(stream)


def test_connect_and_bind_again(listener: socket.socket) -> None:
    assert listener.connect_ex(SERVER) == EISCONN
    with pytest.raises(OSError) as raised:
        listener.bind(("", 0))
    assert raised.value.errno == EINVAL


@pytest.mark.parametrize("backlog", [("x",), (1, 2), (None,)])
def test_a_backlog_that_is_none(proxy: BindProxy, control: socket.socket, backlog: Any) -> None:  # noqa: ARG001
    with socket.socket() as listener:
        listener.bind(("", 0))
        with pytest.raises(TypeError):
            listener.listen(*backlog)
        assert proxy.binds == 0


def test_listen_again_changes_nothing(proxy: BindProxy, listener: socket.socket) -> None:
    listener.listen(50)
    assert proxy.binds == 1


def test_a_socket_that_was_bound_may_connect_instead(proxy: BindProxy, control: socket.socket) -> None:
    with socket.socket() as sock:
        sock.bind((control.getsockname()[0], 0))
        sock.connect(SERVER)
        assert echoes(sock) and proxy.binds == 0
