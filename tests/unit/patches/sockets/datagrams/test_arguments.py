"""Bad arguments raise what the stdlib raises; endpoints of asyncio are told of a refusal."""

from __future__ import annotations

import asyncio
import socket
import warnings
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import pytest

import socksify
from tests.support.datagram_sockets import (
    NAME,
    URL,
    udp,
)
from tests.support.processes import unavailable
from tests.support.routing import SECONDS, routed

# --- arguments ---

ADDRESS = ("203.0.113.5", 53)


BAD_ARGUMENTS: dict[str, list[tuple[object, ...]]] = {
    "sendto": [
        (), (b"x",), (ADDRESS,), (b"x", 0, ADDRESS, 1), ("x", ADDRESS), (None, ADDRESS), (b"x", "0", ADDRESS),
        (b"x", 1.5, ADDRESS), (b"x", None, ADDRESS), (b"x", None), (b"x", "203.0.113.5"), (b"x", ()),
        (b"x", ("203.0.113.5",)), (b"x", ("203.0.113.5", "53")), (b"x", ("203.0.113.5", 65536)),
        (b"x", ("203.0.113.5", -1)), (b"x", ("203.0.113.5", 53, 0)), (b"x", ["203.0.113.5", 53]),
        (b"x", (None, 53)), (b"x", (b"\xff", 53)), (b"x", ("a\0b", 53)), (b"x", 1 << 40, ADDRESS),
        (5, ADDRESS), (b"x", ("a" * 64, 53)),
    ],
    "sendmsg": [
        (), (b"x", [], 0, ADDRESS), (5, [], 0, ADDRESS), ([b"x"], [], "0", ADDRESS), ([b"x"], [], 0, ()),
        ([b"x"], [], 0, "203.0.113.5"), ([b"x"], [], 0, ("203.0.113.5", 65536)), (["x"], [], 0, ADDRESS),
        ([b"x"], [], 0, ADDRESS, 5), ([b"x"], 5, 0, ADDRESS), ([b"x"], [(1,)], 0, ADDRESS),
        ([b"x"], [(1, 1, 5)], 0, ADDRESS), ([5], [], 0, ADDRESS), ([b"x"], [], None, ADDRESS),
    ],
}  # fmt: skip


WRONG: dict[str, Callable[[socket.socket], object]] = {
    f"{method}{arguments!r}": methodcaller(method, *arguments)
    for method, calls in BAD_ARGUMENTS.items()
    for arguments in calls
}


@pytest.mark.parametrize("call", WRONG)
def test_bad_arguments_raise_what_the_stdlib_raises(call: str) -> None:
    with udp() as sock:
        natively = raised(lambda: WRONG[call](sock))
        with routed(URL):
            assert raised(lambda: WRONG[call](sock)) == natively


def raised(call: Callable[[], object]) -> tuple[type, str]:
    with warnings.catch_warnings():
        # -bb
        warnings.simplefilter("ignore", BytesWarning)
        with pytest.raises(Exception) as caught:
            call()
    return caught.type, str(caught.value)


def test_keywords_are_refused_as_the_stdlib_refuses_them() -> None:
    with udp() as sock:
        with pytest.raises(TypeError):
            sock.sendto(b"x", address=ADDRESS)  # type: ignore[call-overload]
        with routed(URL), pytest.raises(TypeError):
            sock.sendto(b"x", address=ADDRESS)  # type: ignore[call-overload]


# --- asyncio ---


class Protocol(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()

    def error_received(self, exc: Exception) -> None:
        self.errors.put_nowait(exc)


@pytest.mark.parametrize("host", ["203.0.113.5", "2001:db8::5", NAME])
@pytest.mark.parametrize("connected", [True, False])
def test_an_endpoint_of_asyncio_is_told(host: str, connected: bool) -> None:
    if ":" in host and not _routes_ipv6():
        unavailable("no route to any IPv6 address")

    async def talk() -> Exception:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        where: dict[str, Any] = {"remote_addr": (host, 53)} if connected else {}
        transport, protocol = await loop.create_datagram_endpoint(Protocol, family=family, **where)
        transport.sendto(b"x", None if connected else (host, 53))
        try:
            return await asyncio.wait_for(protocol.errors.get(), SECONDS)
        finally:
            transport.close()

    with routed(URL):
        error = asyncio.run(talk())
    assert isinstance(error, socksify.ProxyPermissionError)
    assert host in str(error)


def _routes_ipv6() -> bool:
    with udp(socket.AF_INET6) as probe:
        return probe.connect_ex(("2001:db8::5", 53)) == 0


def test_sock_sendto_and_sock_sendall_of_a_loop_are_refused() -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        with udp() as sock:
            sock.setblocking(False)
            with pytest.raises(PermissionError):
                await loop.sock_sendto(sock, b"x", ("203.0.113.5", 53))
            await loop.sock_connect(sock, ("203.0.113.5", 53))
            with pytest.raises(PermissionError):
                await loop.sock_sendall(sock, b"x")

    with routed(URL):
        asyncio.run(talk())
