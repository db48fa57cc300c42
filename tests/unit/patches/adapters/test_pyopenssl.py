"""pyOpenSSL, unmodified, over tunnels: it reads and writes in C while the connect is pending, and afterwards."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from errno import ECONNREFUSED, EINPROGRESS
from typing import Any

import pytest
from OpenSSL import SSL

from tests.support.bad_proxy import BadProxy
from tests.support.certificates import NAME, Certificates
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.stepping import ANYWHERE, MOMENT, SAID, SECONDS, TARGET, Stepping, begin
from tests.support.steps import good, trickled
from tests.support.targets import Target

CALLS: dict[str, Callable[[SSL.Connection], object]] = {
    "do_handshake": lambda connection: connection.do_handshake(),
    "send": lambda connection: connection.send(b"x"),
    "write": lambda connection: connection.write(b"x"),
    "sendall": lambda connection: connection.sendall(b"x"),
    "recv": lambda connection: connection.recv(9),
    "read": lambda connection: connection.read(9),
    "recv_into": lambda connection: connection.recv_into(bytearray(9)),
}
Begin = Callable[[SSL.Context, socket.socket, Any], SSL.Connection]


@pytest.fixture
def context(certificates: Certificates) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(str(certificates.authority))
    context.set_verify(SSL.VERIFY_PEER)
    return context


def made(context: SSL.Context, sock: socket.socket) -> SSL.Connection:
    connection = SSL.Connection(context, sock)
    connection.set_connect_state()
    return connection


def by_the_connection(context: SSL.Context, sock: socket.socket, address: Any) -> SSL.Connection:
    connection = made(context, sock)
    assert connection.connect_ex(address) == EINPROGRESS
    return connection


def by_the_socket_before(context: SSL.Context, sock: socket.socket, address: Any) -> SSL.Connection:
    assert sock.connect_ex(address) == EINPROGRESS
    return made(context, sock)


def by_the_socket_afterwards(context: SSL.Context, sock: socket.socket, address: Any) -> SSL.Connection:
    connection = made(context, sock)
    assert sock.connect_ex(address) == EINPROGRESS
    return connection


@pytest.fixture(params=[by_the_connection, by_the_socket_before, by_the_socket_afterwards])
def begins(request: pytest.FixtureRequest) -> Begin:
    """Begins to connect, by the one or the other."""
    found: Begin = request.param
    return found


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_said_while_it_connects(
    steps: Stepping, sock: socket.socket, context: SSL.Context, begins: Begin, call: str
) -> None:
    connection = begins(context, sock, TARGET)
    steps.play(lambda: wants(connection, call))
    assert select.select([], [sock], [], SECONDS)[1] == [sock]
    assert steps.received == SAID


def wants(connection: SSL.Connection, call: str) -> bool:
    """Tries, and gives the proxy a moment; False as long as it would block."""
    with pytest.raises(SSL.WantWriteError):
        CALLS[call](connection)
    return bool(select.select([], [connection], [], MOMENT)[1])


def test_tls(begins: Begin, tls_echo: Target, context: SSL.Context) -> None:
    with BadProxy(trickled(good("socks5"))) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.setblocking(False)
        connection = begins(context, sock, tls_echo.address)
        until_it_is_done(connection, connection.do_handshake)
        until_it_is_done(connection, lambda: connection.sendall(b"ping"))
        assert until_it_is_done(connection, lambda: connection.recv(4)) == b"ping"
        assert connection.getpeername() == tls_echo.address


def until_it_is_done(connection: SSL.Connection, call: Callable[[], Any]) -> Any:
    for _ in range(1000):
        try:
            return call()
        except SSL.WantReadError:
            select.select([connection], [], [], SECONDS)
        except SSL.WantWriteError:
            select.select([], [connection], [], SECONDS)
    raise AssertionError("it is never done")


def test_blocking(knowing: Server, tls_echo: Target, context: SSL.Context) -> None:
    with routed(knowing.url(), routes=()), socket.create_connection((NAME, tls_echo.port)) as sock:
        connection = made(context, sock)
        connection.do_handshake()
        connection.sendall(b"ping")
        assert connection.recv(4) == b"ping"


@pytest.mark.parametrize("call", CALLS)
def test_a_refusal_is_what_the_system_says(context: SSL.Context, call: str) -> None:
    with (
        BadProxy(good("socks5", reply=5)) as proxy,
        routed(proxy.url(), routes=ANYWHERE),
        socket.socket() as sock,
    ):
        connection = made(context, sock)
        begin(sock)
        with pytest.raises(SSL.SysCallError) as caught:
            until_it_is_done(connection, lambda: CALLS[call](connection))
        assert caught.value.args == (ECONNREFUSED, "ECONNREFUSED")


def test_what_is_connected_is_left_alone(knowing: Server, echo_server: Target, context: SSL.Context) -> None:
    """From the first call on; what has no socket is never touched."""
    with routed(knowing.url()), socket.create_connection(echo_server.address) as sock:
        connection, in_memory = made(context, sock), SSL.Connection(context)
        # Its own greeting is no answer.
        with pytest.raises(SSL.Error):
            until_it_is_done(connection, connection.do_handshake)
        assert vars(connection).keys() == vars(in_memory).keys()
