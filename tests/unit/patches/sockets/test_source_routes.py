"""Options, ancillary data and headers that lead a packet past the address that the rules have judged."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

import socksify
from tests.support.processes import unavailable
from tests.support.routing import routed
from tests.support.targets import Target

URL = "socks5h://192.0.2.1:1080"
ROUTED = "203.0.113.5"
LOOSE, STRICT = 131, 137
IP_OPTIONS, IP_RETOPTS, IP_PKTINFO, IPV6_PKTINFO, IPV6_RTHDR, IPV6_2292RTHDR = 4, 7, 8, 50, 57, 5
V4, V6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6


def source_route(kind: int = LOOSE) -> bytes:
    """RFC 791 section 3.1, behind an option that does nothing."""
    return bytes([1, kind, 7, 4]) + socket.inet_aton(ROUTED)


# A routing header of type 2 (RFC 6275 section 6.4).
ROUTING_HEADER = bytes([0, 2, 2, 1, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, "2001:db8::5")
REFUSED_OPTIONS = [
    (V4, IP_OPTIONS, source_route()),
    (V4, IP_OPTIONS, source_route(STRICT)),
    (V4, IP_OPTIONS, bytearray(b"\x07\x07\x04\0\0\0\0") + source_route()),
    (V4, 17, b"policy"),
    (V6, IPV6_RTHDR, ROUTING_HEADER),
    (V6, 9, bytes(28)),
]


pytestmark = pytest.mark.usefixtures("uninstalled")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
@pytest.mark.parametrize(("level", "name", "value"), REFUSED_OPTIONS)
def test_an_option_that_leads_elsewhere_is_refused(
    echo_server: Target, kind: int, level: int, name: int, value: bytes
) -> None:
    with routed(URL, routes=()), socket.socket(socket.AF_INET6 if level == V6 else socket.AF_INET, kind) as sock:
        with pytest.raises(PermissionError, match=r"IP.* refused"):
            sock.setsockopt(level, name, value)
        sock.connect(("::ffff:" * (level == V6) + echo_server.host, echo_server.port))
        with pytest.raises(PermissionError, match=r"IP.* refused"):
            sock.setsockopt(level, name, value)


def test_options_that_lead_nowhere_else_are_the_kernels() -> None:
    with routed(URL, routes=()), socket.socket() as sock:
        sock.setsockopt(V4, IP_OPTIONS, b"")
        sock.setsockopt(V4, IP_OPTIONS, b"\x07\x07\x04\0\0\0\0\0")
        sock.setsockopt(V4, socket.IP_TOS, 16)
        with pytest.raises(TypeError):
            sock.setsockopt(V4, IP_OPTIONS, 1.5)  # type: ignore[call-overload]
    with routed(URL, routes=()), socket.socket(socket.AF_INET6) as sock:
        sock.setsockopt(V6, IPV6_RTHDR, b"")


def test_where_everything_is_direct_nothing_is_refused() -> None:
    with routed(URL, routes=("*=direct",)), socket.socket() as sock:
        sock.setsockopt(V4, IP_OPTIONS, source_route())
        assert sock.getsockopt(V4, IP_OPTIONS, 40)


def test_inside_a_direct_block_nothing_is_refused() -> None:
    with routed(URL, routes=()), socket.socket() as sock:
        with socksify.via("direct"):
            sock.setsockopt(V4, IP_OPTIONS, source_route())
        with pytest.raises(PermissionError):
            sock.setsockopt(V4, IP_OPTIONS, source_route())


ANCILLARY = [(V4, IP_RETOPTS, source_route()), (V6, IPV6_RTHDR, ROUTING_HEADER), (V6, IPV6_2292RTHDR, ROUTING_HEADER)]


@pytest.mark.parametrize("item", ANCILLARY, ids=lambda item: str(item[:2]))
@pytest.mark.parametrize("connected", [False, True])
def test_ancillary_data_that_leads_elsewhere_is_refused(
    receiver: socket.socket, item: tuple[int, int, bytes], connected: bool
) -> None:
    with routed(URL, routes=()), socket.socket(type=socket.SOCK_DGRAM) as sock:
        if connected:
            sock.connect(receiver.getsockname())
        where = () if connected else (0, receiver.getsockname())
        with pytest.raises(PermissionError, match="ancillary data IP"):
            sock.sendmsg([b"x"], iter([item]), *where)
        sock.sendto(b"y", receiver.getsockname())
    assert receiver.recv(9) == b"y"


def test_other_ancillary_data_goes_on(receiver: socket.socket) -> None:
    info = struct.pack("@i4s4s", socket.if_nametoindex("lo"), socket.inet_aton("127.0.0.3"), bytes(4))
    with routed(URL, routes=()), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendmsg([b"x"], iter([(V4, IP_PKTINFO, info)]), 0, receiver.getsockname())
        assert receiver.recvfrom(9)[1][0] == "127.0.0.3"
        for wrong in (5, [5], [(0, 7)], [(0, 7, "x")]):
            with pytest.raises(TypeError):
                sock.sendmsg([b"x"], wrong, 0, receiver.getsockname())  # type: ignore[arg-type]
    here, there = socket.socketpair()
    with routed(URL, routes=()), here, there:
        socket.send_fds(here, [b"x"], [0])
        message, (fd,), _, _ = socket.recv_fds(there, 1, 1)
        os.close(fd)
        assert message == b"x"


# --- headers of the client's own ---


def packet(destination: str, options: bytes = b"") -> bytes:
    size = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x40 | size // 4, 0, size + 4, 0, 0, 1, 253, 0, bytes(4), socket.inet_aton(destination)
    )
    return head + options + b"data"


@pytest.fixture(params=[socket.IPPROTO_RAW, 253], ids=["IPPROTO_RAW", "IP_HDRINCL"])
def raw(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    try:
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, request.param)
    except PermissionError as error:
        unavailable(f"no raw sockets: {error}")
    with made:
        made.setsockopt(V4, socket.IP_HDRINCL, 1)
        yield made


@pytest.mark.parametrize("shape", ["sendto", "sendmsg"])
def test_a_header_is_judged_like_an_address(raw: socket.socket, shape: str) -> None:
    def send(data: bytes) -> int:
        if shape == "sendto":
            return raw.sendto(data, ("127.0.0.1", 0))
        return raw.sendmsg(iter([data[:17], data[17:]]), [], 0, ("127.0.0.1", 0))

    with routed(URL, routes=()):
        with pytest.raises(PermissionError, match=rf"{ROUTED}.* refused"):
            send(packet(ROUTED))
        with pytest.raises(PermissionError, match="IP header with a source route"):
            send(packet("127.0.0.1", source_route()))
        assert send(packet("127.0.0.1")) == 24
    with routed(URL, routes=(), udp="direct"):
        assert send(packet(ROUTED)) == 24


def test_a_header_has_to_have_an_address_beside_it(raw: socket.socket) -> None:
    with routed(URL, routes=()):
        with pytest.raises(PermissionError, match="IP headers of one's own"):
            raw.connect(("127.0.0.1", 0))
        raw.setsockopt(V4, socket.IP_HDRINCL, 0)
        raw.connect(("127.0.0.1", 9))
        with pytest.raises(PermissionError, match="IP header of one's own"):
            raw.setsockopt(V4, socket.IP_HDRINCL, 1)


def test_a_header_of_ipv6() -> None:
    try:
        made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError as error:
        unavailable(f"no raw sockets: {error}")

    def header(destination: str, following: int = 59, rest: bytes = b"") -> bytes:
        head = struct.pack("!IHBB16s", 6 << 28, len(rest), following, 1, bytes(16))
        return head + socket.inet_pton(socket.AF_INET6, destination) + rest

    with made, routed(URL, routes=()):
        with pytest.raises(PermissionError, match=r"2001:db8::5.* refused"):
            made.sendto(header("2001:db8::5"), ("::1", 0))
        for following, rest in ((43, ROUTING_HEADER), (60, bytes([43, 0]) + bytes(6) + ROUTING_HEADER)):
            with pytest.raises(PermissionError, match="a routing header"):
                made.sendto(header("::1", following, rest), ("::1", 0))
        assert made.sendto(header("::1"), ("::1", 0)) == 40
