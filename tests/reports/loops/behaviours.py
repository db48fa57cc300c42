"""What every program of this directory does on its own loop; it reports in JSON what came of it.

    python on_asyncio.py epoll '{"echo": ["127.0.0.1", 7], ...}'

With a "proxy" it does everything twice: as it is, and after a late install() in the loop that runs; and after
uninstall() it connects once more.
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
# What is given up is given up after this; the next one has then been begun, and nobody answers.
MOMENT = 0.2


class Loop(Protocol):
    """An event loop in its own words. Awaiting is all that a coroutine does: on green threads it never yields."""

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine on the loop, to its end."""

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        """Connect, say the words, hear as many; returns these and whom the connection is with.

        By TLS where `tls` is the file of the authority that is to be trusted.
        """

    async def sleep(self, seconds: float) -> None:
        """Let the others run."""

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """The results of works that are done side by side."""

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of work that is given up after so many seconds; raises what this loop's users see then."""

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        """Begin work, give it up when `until` is over, and wait until it is gone."""


class Targets:
    """Where the servers of the test are, and how a name for them is known."""

    def __init__(self, given: dict[str, Any], name: str) -> None:
        self.echo, self.tls, self.closed, self.deaf = (given[what] for what in ("echo", "tls", "closed", "deaf"))
        self.name = name
        self.authority = given["authority"]


async def connect(loop: Loop, at: Targets) -> Any:
    answer, peer = await loop.talk(*at.echo, b"ping")
    return answer.decode(), list(peer[:2]) == at.echo


async def refusal(loop: Loop, at: Targets) -> Any:
    return await _failing(loop.talk(*at.closed, b"ping"))


async def timeout(loop: Loop, at: Targets) -> Any:
    return await _failing(loop.within(MOMENT, loop.talk(*at.deaf, b"ping")))


async def cancelling(loop: Loop, at: Targets) -> Any:
    """In the middle of the handshake, and nothing is left of it."""
    before = _open_fds()
    await loop.cancel(loop.talk(*at.deaf, b"ping"), loop.sleep(MOMENT))
    for _ in range(100):
        gc.collect()
        if _open_fds() <= before:
            return "nothing is left"
        await loop.sleep(TICK)
    return f"{_open_fds() - before} descriptors are left"


async def crowd(loop: Loop, at: Targets) -> Any:
    """Many at once, while the loop goes on ticking; how often is no part of the result."""
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


async def _failing(work: Awaitable[Any]) -> Any:
    """The class that a client would catch, ours being subclasses of the native ones, and its errno."""
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
    """Do it all on a loop."""
    given = json.loads(sys.argv[-1])

    async def work() -> dict[str, Any]:
        if not given["proxy"]:
            return {"launched": await _everything(loop, Targets(given, given["name"]))}
        import socksify

        native = Targets(given, "localhost")
        report = {"native": await _everything(loop, native)}
        # eventlet's monkey_patch() imports psycopg2, of which there is something to be said.
        socksify.install(given["proxy"], routes=["*=proxy"], allow=["psycopg2"])
        report["late"] = await _everything(loop, Targets(given, given["name"]))
        socksify.uninstall()
        return {**report, "afterwards": await connect(loop, native)}

    sys.stdout.write(json.dumps(loop.run(work)))
