"""Objects that were made from an fd with another family, type or protocol than the kernel's socket has.

CPython believes what it is told. What the kernel does with the socket is another matter, and that counts.
"""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import socksify
from socksify import _originals
from tests.support.processes import unavailable
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.targets import Target

AF_RDS = int(getattr(socket, "AF_RDS", 21))
AF_TIPC = int(getattr(socket, "AF_TIPC", 30))
URL = "socks5h://192.0.2.1:1080"

FAMILIES = (socket.AF_INET, socket.AF_INET6, AF_RDS, socket.AF_UNIX, socket.AF_PACKET, AF_TIPC, 0)
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_RDM, socket.SOCK_SEQPACKET)
PROTOCOLS = (-1, 0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_SCTP)
CALLS: dict[str, Callable[[socket.socket, Any], object]] = {
    "connect": lambda sock, address: sock.connect(address),
    "connect_ex": lambda sock, address: sock.connect_ex(address),
    "sendto": lambda sock, address: sock.sendto(b"x", address),
    "fast open": lambda sock, address: sock.sendto(b"x", socket.MSG_FASTOPEN, address),
    "sendmsg": lambda sock, address: sock.sendmsg([b"x"], [], 0, address),
    "fast open by sendmsg": lambda sock, address: sock.sendmsg([b"x"], [], socket.MSG_FASTOPEN, address),
}  # fmt: skip


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    socksify.uninstall()


def declared(sock: socket.socket, family: int, kind: int, proto: int) -> socket.socket:
    return socket.socket(family, kind, proto, fileno=os.dup(sock.fileno()))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_declaration_takes_a_tcp_socket_past_the_proxy(family: int, call: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        with routed("socks5h://127.0.0.1:1"):
            for kind in KINDS:
                for proto in PROTOCOLS:
                    with socket.socket() as sock, declared(sock, family, kind, proto) as other:
                        try:
                            CALLS[call](other, server.getsockname())
                        except (OSError, TypeError):
                            pass
            with pytest.raises(BlockingIOError):
                server.accept()


@pytest.mark.parametrize("call", [call for call in CALLS if "connect" not in call])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_declaration_takes_a_datagram_past_the_rules(family: int, call: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        with routed(URL):
            for kind in KINDS:
                with socket.socket(type=socket.SOCK_DGRAM) as sock, declared(sock, family, kind, 0) as other:
                    try:
                        CALLS[call](other, receiver.getsockname())
                    except (OSError, TypeError):
                        pass
        with pytest.raises(BlockingIOError):
            receiver.recv(9)


@pytest.mark.parametrize(("family", "kind"), [(socket.AF_INET, socket.SOCK_DGRAM), (AF_RDS, socket.SOCK_STREAM)])
def test_what_is_tcp_to_the_kernel_goes_through_the_proxy(
    danted: Server, echo_server: Target, family: int, kind: int
) -> None:
    url = f"socks5h://127.0.0.1:{danted.port}"
    with routed(url), socket.socket() as sock, declared(sock, family, kind, 0) as other:
        other.connect(echo_server.address)
        assert other.getpeername() == echo_server.address
        assert other.family == family
        assert other.type == kind


def test_a_name_is_not_looked_up_for_another_family(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(*arguments: object) -> None:
        raise AssertionError(arguments)

    with routed(URL, routes=()), socket.socket() as sock:
        monkeypatch.setattr(_originals, "getaddrinfo", looked_up)
        with declared(sock, AF_RDS, socket.SOCK_DGRAM, 0) as other, pytest.raises(OSError):
            other.bind(("name.example", 0))


class Liar(socket.socket):
    """Its attributes are the client's own; what the C methods know is not."""

    family = socket.AF_UNIX
    type = socket.SOCK_DGRAM
    proto = 17


def test_attributes_of_a_class_are_not_believed(danted: Server, echo_server: Target) -> None:
    with routed(f"socks5h://127.0.0.1:{danted.port}"), Liar() as sock:
        sock.connect(echo_server.address)
        assert _originals.getpeername(sock)[1] == danted.port


def test_a_raw_socket_that_is_declared_a_datagram_socket_is_a_raw_one() -> None:
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError as error:
        unavailable(f"no raw sockets: {error}")
    with raw, routed(URL, routes=()), declared(raw, socket.AF_INET, socket.SOCK_DGRAM, 0) as other:
        packet = bytes([0x45, *bytes(15)]) + socket.inet_aton("203.0.113.5")
        with pytest.raises(PermissionError, match=r"203\.0\.113\.5"):
            other.sendto(packet, ("127.0.0.1", 0))


def test_strict_knows_the_other_families() -> None:
    with routed(URL, strict=True), socket.socket() as sock, pytest.raises(PermissionError):
        _socket.socket(AF_RDS, socket.SOCK_STREAM, 0, sock.fileno())


@pytest.mark.parametrize("proto", PROTOCOLS)
def test_a_datagram_socket_that_is_declared_a_stream_says_nothing_to_the_proxy(proto: int) -> None:
    """It connects at once, as datagram sockets do, and its datagrams are judged as such."""
    with socket.socket(type=socket.SOCK_DGRAM) as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.setblocking(False)
        url = "socks5h://{}:{}".format(*proxy.getsockname())
        with (
            routed(url, routes=()),
            socket.socket(type=socket.SOCK_DGRAM) as sock,
            declared(sock, socket.AF_INET, socket.SOCK_STREAM, proto) as other,
        ):
            other.settimeout(5)
            other.connect(("203.0.113.5", 80))
            with pytest.raises(PermissionError):
                other.send(b"x")
        with pytest.raises(BlockingIOError):
            proxy.recv(9)
