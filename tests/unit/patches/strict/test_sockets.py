"""Raw sockets and saved methods: refused where it belongs to the proxy, and working where it is direct."""

from __future__ import annotations

import _socket
import functools
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

import socksify
from tests.support.routing import LOOPBACK, routed
from tests.support.strict_refusals import FAR, FAR6, NOWHERE, refused, with_default
from tests.support.targets import Target


class Derived(_socket.socket):
    """As gevent has one."""


@pytest.mark.parametrize("cls", [_socket.socket, _socket.SocketType, Derived])
@pytest.mark.parametrize("family", [None, socket.AF_INET, socket.AF_INET6, socket.AF_PACKET])
@pytest.mark.usefixtures("installed")
def test_a_raw_socket_is_refused_when_it_is_made(cls: Any, family: int | None) -> None:
    arguments = () if family is None else (family, socket.SOCK_DGRAM)
    told = refused(lambda: cls(*arguments))
    assert cls.__qualname__ in told
    assert "use socket.socket" in told


@pytest.mark.usefixtures("installed")
def test_a_raw_socket_is_refused_a_descriptor() -> None:
    with socket.socket() as sock:
        refused(lambda: _socket.socket(fileno=sock.fileno()))
        refused(lambda: _socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, sock.fileno()))


@pytest.mark.usefixtures("installed")
def test_other_families_are_let_alone() -> None:
    one, other = _socket.socketpair()
    one.send(b"x")
    assert other.recv(1) == b"x"
    one.close()
    other.close()
    raw = _socket.socket(socket.AF_UNIX)
    raw.close()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
        _socket.socket.bind(netlink, (0, 0))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, pytest.raises(FileNotFoundError):
        _socket.socket.connect(sock, "/nowhere/at/all")


# Each holds on to a method of _socket.socket, found before install(), and calls it on a socket.
KEEPERS: dict[str, Callable[[str], Callable[..., Any]]] = {
    "method": lambda name: getattr(socket.socket, name),
    "base's method": lambda name: getattr(_socket.socket, name),
    "partial": lambda name: functools.partial(getattr(socket.socket, name)),
    "default": lambda name: with_default(getattr(socket.socket, name)),
    "super": lambda name: lambda sock, *args: getattr(super(socket.socket, sock), name)(*args),
}


SENDS: dict[str, tuple[int, Callable[[Callable[[str], Callable[..., Any]]], Callable[..., Any]]]] = {
    "connect": (socket.SOCK_STREAM, lambda keep: keep("connect")),
    "connect_ex": (socket.SOCK_STREAM, lambda keep: keep("connect_ex")),
    "sendto": (socket.SOCK_DGRAM, lambda keep: _sending(keep("sendto"))),
    "sendmsg": (socket.SOCK_DGRAM, lambda keep: _sending_message(keep("sendmsg"))),
    "fast open": (socket.SOCK_STREAM, lambda keep: _opening(keep("sendto"))),
    "connect and send": (socket.SOCK_DGRAM, lambda keep: _connecting(keep("connect"))),
}


def _sending(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sock, address: call(sock, b"x", address)


def _sending_message(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sock, address: call(sock, [b"x"], [], 0, address)


def _connecting(call: Callable[..., Any]) -> Callable[..., Any]:
    """connect(2) of a datagram socket sends nothing, but nobody would hear of what is sent then."""
    return lambda sock, address: call(sock, address) or sock.send(b"x")


def _opening(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sock, address: call(sock, b"x", socket.MSG_FASTOPEN, address)


@pytest.mark.parametrize("keeper", KEEPERS)
@pytest.mark.parametrize("send", SENDS)
def test_a_saved_method_is_refused_what_belongs_to_the_proxy(send: str, keeper: str) -> None:
    kind, make = SENDS[send]
    call = make(KEEPERS[keeper])
    socksify.install(NOWHERE, strict=True)
    for family, address in (
        (socket.AF_INET, FAR),
        (socket.AF_INET6, FAR6),
        (socket.AF_INET6, ("::ffff:192.0.2.7", 80)),
        (socket.AF_INET, (b"192.0.2.7", 80)),
    ):
        with socket.socket(family, kind) as sock:
            told = refused(lambda sock=sock, address=address: call(sock, address))  # type: ignore[misc]
            assert "rule '*=proxy'" in told
            assert "not originals saved before install()" in told


@pytest.mark.parametrize("send", SENDS)
def test_nothing_of_it_arrives(send: str, echo_server: Target) -> None:
    """The same call reaches a server when strict is off, and would when it was let through."""
    kind, make = SENDS[send]
    call = make(KEEPERS["method"])
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        server.settimeout(30)
        address = server.getsockname()
        with routed(NOWHERE, routes=(*LOOPBACK,), strict=True), socket.socket(socket.AF_INET, kind) as sock:
            refused(lambda: call(sock, address))
        with routed(NOWHERE, strict=False), socket.socket(socket.AF_INET, kind) as sock:
            call(sock, address)
            mine = sock.getsockname()
        if kind == socket.SOCK_STREAM:
            peer, sender = server.accept()
            peer.close()
        else:
            _, sender = server.recvfrom(9)
        # The first to arrive is the second that was sent.
        assert sender[1] == mine[1]
    assert echo_server.port


@pytest.mark.parametrize("keeper", KEEPERS)
def test_a_saved_method_works_where_it_is_direct(keeper: str, echo_server: Target) -> None:
    connect, connect_ex = KEEPERS[keeper]("connect"), KEEPERS[keeper]("connect_ex")
    sendto, sendmsg = KEEPERS[keeper]("sendto"), KEEPERS[keeper]("sendmsg")
    socksify.install(NOWHERE, strict=True, routes=["192.0.2.0/24=direct"])
    for call in (connect, connect_ex):
        with socket.socket() as sock:
            assert not call(sock, echo_server.address)
            sock.sendall(b"ping")
            assert sock.recv(4) == b"ping"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(30)
        sendto(sock, b"one", other.getsockname())
        sendmsg(sock, [b"two"], [], 0, other.getsockname())
        connect(sock, other.getsockname())
        sendmsg(sock, [b"three"])
        assert [other.recv(9) for _ in range(3)] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("event", ["socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"])
@pytest.mark.usefixtures("installed")
def test_a_name_that_c_has_resolved_is_refused_all_the_same(event: str) -> None:
    """The look-up has been made by the time that the hook is told: see the README."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            refused(lambda sock=sock: sys.audit(event, sock, ("host.example", 80)))  # type: ignore[misc]
            sys.audit(event, sock, ("localhost", 80))


def test_datagrams_may_go_where_udp_is_direct() -> None:
    sent = sys.audit
    socksify.install(NOWHERE, strict=True, udp="direct")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            sent(event, sock, FAR)
            sent(event, sock, ("host.example", 80))
    with socket.socket() as sock:
        refused(lambda: sent("socket.connect", sock, FAR))


@pytest.mark.parametrize("udp", ["block", "direct"])
def test_frames(udp: str) -> None:
    """packet(7): the interface's name comes first."""
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    except PermissionError:
        pytest.skip("only root makes these")
    socksify.install(NOWHERE, strict=True, udp=udp)
    with sock:
        sys.audit("socket.sendto", sock, ("lo", 0x0800))
        if udp == "direct":
            sys.audit("socket.sendto", sock, ("eth0", 0x0800))
        else:
            assert "eth0" in refused(lambda: sys.audit("socket.sendto", sock, ("eth0", 0x0800)))
