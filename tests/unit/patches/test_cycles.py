"""What fails leaves nothing for the garbage collector: no error, no frame that it went through, no socket.

A variable that holds the error that its own frame raises is a cycle: error, traceback, frame, variable. Programs that
have switched the collector off keep each of them for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import socksify
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed

DEAD = "socks5h://127.0.0.1:1"
ROOT = str(Path(socksify.__file__).parent)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    socksify.uninstall()


def left_behind() -> list[str]:
    """The frames of ours, and the errors, that only the collector would free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        found = list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    frames = [each.f_code for each in found if isinstance(each, types.FrameType)]
    ours = [f"{code.co_filename}:{code.co_name}" for code in frames if code.co_filename.startswith(ROOT)]
    return ours + [repr(each) for each in found if isinstance(each, (OSError, socket.socket))]


def fails(call: Callable[[socket.socket], object], kind: int = socket.SOCK_STREAM, timeout: float | None = 5) -> None:
    with socket.socket(type=kind) as sock:
        sock.settimeout(timeout)
        with contextlib.suppress(OSError, UnicodeError):
            call(sock)


def connect_and_send(sock: socket.socket) -> None:
    sock.connect(("203.0.113.5", 80))
    sock.send(b"x")


CALLS: dict[str, Callable[[], object]] = {
    "connect": lambda: fails(lambda sock: sock.connect(("name.example", 80))),
    "connect without a timeout": lambda: fails(lambda sock: sock.connect(("name.example", 80)), timeout=None),
    "connect_ex": lambda: fails(lambda sock: sock.connect_ex(("203.0.113.5", 80))),
    "connect that does not block": lambda: fails(lambda sock: sock.connect(("203.0.113.5", 80)), timeout=0),
    "a blocked one": lambda: fails(lambda sock: sock.connect(("blocked.example", 80))),
    "a direct one": lambda: fails(lambda sock: sock.connect(("127.0.0.1", 1))),
    "a datagram": lambda: fails(lambda sock: sock.sendto(b"x", ("203.0.113.5", 80)), socket.SOCK_DGRAM),
    "a muted one": lambda: fails(connect_and_send, socket.SOCK_DGRAM),
    "an option": lambda: fails(lambda sock: sock.setsockopt(0, 4, b"\x83\x03\x04")),
    "a name that nobody has": lambda: fails(lambda _: socket.getaddrinfo("a..b", 80)),
    "whose an address is": lambda: fails(lambda _: socket.gethostbyaddr("203.0.113.5")),
    "create_connection": lambda: fails(lambda _: socket.create_connection(("name.example", 80))),
    "bind": lambda: fails(lambda sock: sock.bind(("203.0.113.5", 80))),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("log", [False, True])
def test_a_failure_leaves_no_cycle(call: str, log: bool, tmp_path: Path) -> None:
    settings = {"log": str(tmp_path / "log")} if log else {}
    with routed(DEAD, routes=("blocked.example=block", "127.0.0.1:1=direct"), **settings):
        CALLS[call]()
        gc.collect()
        CALLS[call]()
        assert left_behind() == []


@pytest.mark.parametrize(
    "answer", [b"\x05\xff", b"\x05", b"HTTP/1.1 400 no\r\n\r\n", b"\x05\x00\x05\x02\x00\x01" + bytes(6)]
)
@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
def test_a_refusal_leaves_no_cycle(answer: bytes, scheme: str) -> None:
    with BadProxy([lambda session: session.stream.sendall(answer)]) as proxy, routed(proxy.url(scheme)):
        fails(lambda sock: sock.connect(("203.0.113.5", 80)))
        gc.collect()
        fails(lambda sock: sock.connect(("203.0.113.5", 80)))
        assert left_behind() == []


def test_what_strict_refuses_leaves_no_cycle() -> None:
    import _socket

    with routed(DEAD, strict=True):
        for _ in range(2):
            gc.collect()
            with contextlib.suppress(OSError):
                _socket.socket()
        assert left_behind() == []


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("host", ["name.example", "127.0.0.1", "localhost"])
def test_an_event_loops_failure_leaves_no_cycle(loop: str, host: str) -> None:
    import uvloop

    async def main() -> list[str]:
        for _ in range(2):
            gc.collect()
            with contextlib.suppress(OSError):
                await asyncio.open_connection(host, 1)
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol, host, 1, local_addr=("192.0.2.9", 0)
                )
        return left_behind()

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    # libuv keeps a pipe for signals from its first loop on.
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop()
    with routed(DEAD, routes=()), asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(main()) == []
