"""The behaviours that every program of this directory shows on its own loop. The results are printed as JSON.

    python on_asyncio.py epoll '{"echo": ["127.0.0.1", 7], ...}'

If a "proxy" is given, the program shows every behaviour twice: natively, and after a late install() in the running
loop. After uninstall(), it connects once more.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

CROWD = 200
TICK = 0.005
# Seconds after which a connect is given up. By then it has begun, and no answer has come.
MOMENT = 0.2


class Loop(Protocol):
    """An event loop behind one interface. On green threads, a coroutine runs to its end without yielding."""

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine on the loop to its end, and return its result."""

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        """Connect, send `words`, and receive as many bytes. Return these bytes and the peer's address.

        Use TLS if `tls` is the file of the authority to trust.
        """

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run."""

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Run the coroutines concurrently, and return their results."""

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        """Return the result of `work`. After `seconds`, give it up and raise the loop's own exception for a timeout."""

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        """Start `work`, cancel it when `until` is done, and wait until the work has ended."""


class Targets:
    """The servers' addresses, and the name by which the proxy, or natively the machine, knows their host."""

    def __init__(self, given: dict[str, Any], name: str) -> None:
        self.echo, self.tls, self.closed, self.deaf = (
            _address(given[name]) for name in ("echo", "tls", "closed", "deaf")
        )
        self.name = name
        self.authority = given["authority"]


async def connect(loop: Loop, at: Targets) -> Any:
    answer, peer = await loop.talk(*at.echo, b"ping")
    return answer.decode(), tuple(peer[:2]) == at.echo


async def refusal(loop: Loop, at: Targets) -> Any:
    return await _failing(loop.talk(*at.closed, b"ping"))


async def timeout(loop: Loop, at: Targets) -> Any:
    return await _failing(loop.within(MOMENT, loop.talk(*at.deaf, b"ping")))


async def cancelling(loop: Loop, at: Targets) -> Any:
    """Cancel in the middle of a handshake. No file descriptor may be left."""
    before = _open_fds()
    await loop.cancel(loop.talk(*at.deaf, b"ping"), loop.sleep(MOMENT))
    for _ in range(100):
        gc.collect()
        if _open_fds() <= before:
            return "nothing is left"
        await loop.sleep(TICK)
    return f"{_open_fds() - before} descriptors are left"


async def crowd(loop: Loop, at: Targets) -> Any:
    """Make many connections at once while the loop keeps ticking. The number of ticks is not a part of the result."""
    ticks = 0
    is_over = False

    async def tick() -> None:
        nonlocal ticks
        while not is_over:
            await loop.sleep(TICK)
            ticks += 1

    async def talk() -> int:
        nonlocal is_over
        words = [b"%05d" % number for number in range(CROWD)]
        heard = await loop.gather([loop.talk(*at.echo, word) for word in words])
        is_over = True
        return sum(answer == word for (answer, _), word in zip(heard, words, strict=True))

    right, _ = await loop.gather([talk(), tick()])
    sys.stderr.write(f"{ticks} ticks\n")
    return right


async def tls(loop: Loop, at: Targets) -> Any:
    answer, _ = await loop.talk(at.name, at.tls[1], b"ping", at.authority)
    return answer.decode()


async def names(loop: Loop, at: Targets) -> Any:
    answer, _ = await loop.talk(at.name, at.echo[1], b"ping")
    return answer.decode()


BEHAVIOURS = {
    "connect": connect,
    "refusal": refusal,
    "timeout": timeout,
    "cancel": cancelling,
    f"{CROWD} at once": crowd,
    "TLS": tls,
    "names": names,
}


def _address(given: list[Any]) -> tuple[str, int]:
    host, port = given
    return host, port


async def _failing(work: Awaitable[Any]) -> Any:
    """Return the native class that a client would catch, and the errno. socksify's classes are derived from these."""
    try:
        return await work
    except Exception as error:
        native = next(cls for cls in type(error).__mro__ if not cls.__module__.startswith("socksify"))
        return native.__name__, getattr(error, "errno", None)


def _open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


async def _everything(loop: Loop, at: Targets) -> dict[str, Any]:
    report = {}
    for name, behaviour in BEHAVIOURS.items():
        report[name] = await behaviour(loop, at)
    return report


def main(loop: Loop) -> None:
    """Show all behaviours on a loop."""
    given = json.loads(sys.argv[-1])

    async def work() -> dict[str, Any]:
        if not given["proxy"]:
            return {"launched": await _everything(loop, Targets(given, given["name"]))}
        import socksify

        native = Targets(given, "localhost")
        report = {"native": await _everything(loop, native)}
        # eventlet's monkey_patch() imports psycopg2, and socksify prints a message about psycopg2 unless it is allowed.
        socksify.install(given["proxy"], routes=["*=proxy"], allow=["psycopg2"])
        report["late"] = await _everything(loop, Targets(given, given["name"]))
        socksify.uninstall()
        return {**report, "afterwards": await connect(loop, native)}

    sys.stdout.write(json.dumps(loop.run(work)))
