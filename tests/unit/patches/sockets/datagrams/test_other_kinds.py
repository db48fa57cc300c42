"""Sockets that are neither TCP nor UDP, and frames of the link layer."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from socksify import _originals
from tests.support.datagram_sockets import (
    EVERY_SHAPE,
    NAME,
    SHAPES,
    URL,
    refused,
)
from tests.support.processes import unavailable
from tests.support.routing import SECONDS, routed
from tests.support.servers import Server
from tests.support.streams import receive
from tests.support.targets import Target

# --- what is no UDP ---

OTHERS = {
    "ICMP": (socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "UDP": (socket.SOCK_RAW, socket.IPPROTO_UDP),
    "IP protocol 255": (socket.SOCK_RAW, socket.IPPROTO_RAW),
    "UDP-Lite": (socket.SOCK_DGRAM, 136),
}


@EVERY_SHAPE
@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_stream_is_refused_likewise(what: str, shape: str) -> None:
    with routed(URL), made(socket.AF_INET, *OTHERS[what]) as sock:
        assert f"{what} to 203.0.113.5:0 refused" in refused(lambda: SHAPES[shape](sock, ("203.0.113.5", 0)))


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_stream_may_go_to_loopback(what: str) -> None:
    with routed(URL, routes=()), made(socket.AF_INET, *OTHERS[what]) as sock:
        # Of a header of its own the kernel wants to see one.
        assert sock.sendto(bytes([0x45] + [0] * 27), ("127.0.0.1", 9)) == 28


def made(family: int, kind: int, proto: int) -> socket.socket:
    try:
        return socket.socket(family, kind, proto)
    except OSError as error:
        unavailable(f"no socket of family {family}, type {kind}, protocol {proto}: {error}")
        raise


def of_kind(kind: int, proto: int, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A socket of a protocol that this kernel may not have: both the object and the kernel say that it is one."""
    told = {socket.SO_TYPE: kind, socket.SO_PROTOCOL: proto}
    original = _originals.getsockopt

    def getsockopt(sock: Any, level: int, name: int, *size: int) -> Any:
        return told[name] if level == socket.SOL_SOCKET and name in told else original(sock, level, name, *size)

    monkeypatch.setattr(_originals, "getsockopt", getsockopt)
    return socket.socket(socket.AF_INET, kind, proto, fileno=socket.socket().detach())


SHAKING_HANDS = [("SCTP", (socket.SOCK_STREAM, 132)), ("SCTP", (socket.SOCK_SEQPACKET, 132)), ("DCCP", (6, 33))]


@pytest.mark.parametrize(("what", "kind"), SHAKING_HANDS)
def test_a_handshake_of_another_protocol_is_refused(
    what: str, kind: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with routed(URL), of_kind(*kind, monkeypatch) as sock:
        assert f"{what} to 203.0.113.5:80 refused" in refused(lambda: sock.connect(("203.0.113.5", 80)))
        assert sock.connect_ex(("203.0.113.5", 80)) == errno.EACCES
        assert f"{what} to {NAME}:80 refused" in refused(lambda: sock.connect((NAME, 80)))
        assert f"{what} to 203.0.113.5:80 refused" in refused(lambda: sock.sendto(b"x", ("203.0.113.5", 80)))


@pytest.mark.skipif(not hasattr(socket, "IPPROTO_MPTCP"), reason="Linux 5.6")
def test_multipath_tcp_is_tcp(microsocks: Server, echo_server: Target) -> None:
    with routed(microsocks.url()), made(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as sock:
        sock.settimeout(SECONDS)
        sock.connect(echo_server.address)
        sock.sendall(b"ping")
        assert receive(sock, 4) == b"ping"
        assert sock.getpeername() == echo_server.address


LINK = pytest.mark.skipif(not hasattr(socket, "AF_PACKET"), reason="Linux's link layer")


FRAME = bytes(60)


@LINK
@EVERY_SHAPE
def test_a_frame_goes_past_every_rule_and_is_refused(shape: str) -> None:
    with routed(URL, routes=("*=direct",)), made(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        story = refused(lambda: SHAPES[shape](sock, ("eth0", 0x800)))
    assert story.startswith("[Errno 13] frame to eth0 refused")


@LINK
def test_a_frame_may_go_to_loopback() -> None:
    with routed(URL), made(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        assert sock.sendto(FRAME, ("lo", 0x88B5)) == len(FRAME)
        sock.bind(("lo", 0x88B5))
        assert sock.send(FRAME) == len(FRAME)


@LINK
def test_udp_direct_allows_frames() -> None:
    with (
        routed(URL, udp="direct"),
        made(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock,
        pytest.raises(OSError, match="No such device"),
    ):
        sock.sendto(FRAME, ("no-such-device", 0x88B5))
