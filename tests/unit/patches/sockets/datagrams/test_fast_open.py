"""TCP Fast Open, and addresses that are given to a connected stream."""

from __future__ import annotations

import errno
import select
import socket

import pytest

from tests.support.datagram_sockets import (
    EVERY_SHAPE,
    NAME,
    SHAPES,
    URL,
    Receiver,
    refused,
)
from tests.support.routing import SECONDS, routed
from tests.support.servers import Server
from tests.support.streams import receive
from tests.support.targets import Target

# --- streams ---


class FastOpen:
    """A number as numpy has them."""

    def __index__(self) -> int:
        return int(socket.MSG_FASTOPEN)


FAST = {
    "sendto": lambda sock, address: sock.sendto(b"ping", socket.MSG_FASTOPEN, address),
    "sendmsg": lambda sock, address: sock.sendmsg([b"pi", b"ng"], [], socket.MSG_FASTOPEN, address),
    "sendto with a number of another type": lambda sock, address: sock.sendto(b"ping", FastOpen(), address),
    "sendmsg with a number of another type": lambda sock, address: sock.sendmsg([b"ping"], [], FastOpen(), address),
}


FAST_OPEN = pytest.mark.skipif(not hasattr(socket, "MSG_FASTOPEN"), reason="Linux's TCP Fast Open")


@FAST_OPEN
@pytest.mark.parametrize("timeout", [None, SECONDS])
@pytest.mark.parametrize("call", FAST)
def test_fast_open_is_a_connect(danted: Server, echo_server: Target, call: str, timeout: float | None) -> None:
    with routed(danted.url()), socket.socket() as sock:
        sock.settimeout(timeout)
        assert FAST[call](sock, echo_server.address) == 4
        assert receive(sock, 4) == b"ping"
        assert sock.getpeername() == echo_server.address
        with pytest.raises(OSError) as caught:
            FAST[call](sock, echo_server.address)
        assert caught.value.errno == errno.EISCONN


@FAST_OPEN
@pytest.mark.parametrize("call", FAST)
def test_fast_open_that_does_not_wait_has_sent_nothing(danted: Server, echo_server: Target, call: str) -> None:
    with routed(danted.url()), socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError) as caught:
            FAST[call](sock, echo_server.address)
        assert caught.value.errno == errno.EINPROGRESS
        assert select.select([], [sock], [], SECONDS)[1] == [sock]
        assert sock.send(b"pong") == 4
        sock.settimeout(SECONDS)
        assert receive(sock, 4) == b"pong"


@FAST_OPEN
@pytest.mark.parametrize("call", FAST)
def test_fast_open_to_a_blocked_destination(echo_server: Target, call: str) -> None:
    with routed(URL, routes=("127.0.0.0/8=block",)), socket.socket() as sock:
        assert "blocked by rule" in refused(lambda: FAST[call](sock, echo_server.address))


@FAST_OPEN
@pytest.mark.parametrize("call", FAST)
def test_fast_open_to_a_direct_destination_is_the_kernels(echo_server: Target, call: str) -> None:
    with routed(URL, routes=()), socket.socket() as sock:
        assert FAST[call](sock, echo_server.address) == 4
        sock.settimeout(SECONDS)
        assert receive(sock, 4) == b"ping"


@FAST_OPEN
def test_fast_open_and_bad_arguments() -> None:
    with routed(URL), socket.socket() as sock:
        with pytest.raises(TypeError, match="a bytes-like object is required, not 'str'"):
            sock.sendto("ping", socket.MSG_FASTOPEN, ("203.0.113.5", 80))  # type: ignore[call-overload]
        with pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN


@pytest.mark.parametrize("host", [NAME, "203.0.113.5", "blocked.example"])
@EVERY_SHAPE
def test_a_connected_stream_does_not_look_at_an_address(echo_server: Target, shape: str, host: str) -> None:
    with routed(URL, routes=("blocked.example=block",)), socket.create_connection(echo_server.address) as sock:
        sock.settimeout(SECONDS)
        assert SHAPES[shape](sock, (host, 80)) == 1
        assert receive(sock, 1) == b"x"


@EVERY_SHAPE
def test_fromfd_may_be_told_that_a_datagram_socket_is_a_stream(receiver: Receiver, shape: str) -> None:
    with (
        routed(URL),
        socket.socket(type=socket.SOCK_DGRAM) as sock,
        socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM) as other,
    ):
        refused(lambda: SHAPES[shape](other, (receiver.host, receiver.port)))
    assert receiver.received() == []


@pytest.mark.parametrize("host", [NAME, "203.0.113.5"])
def test_a_stream_that_is_not_connected_says_so(host: str) -> None:
    with routed(URL), socket.socket() as sock, pytest.raises(BrokenPipeError):
        sock.sendto(b"x", (host, 80))
