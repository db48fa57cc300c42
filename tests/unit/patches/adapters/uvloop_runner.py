"""Runs coroutines on a loop of uvloop, which is made before install()."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from tests.support.stepping import SECONDS

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class _Derived(uvloop.Loop):
    """A client's own class."""


@contextmanager
def uvloop_runner() -> Iterator[Run]:
    """Yield a function that runs a coroutine, for SECONDS at most, on a loop of a client's own class."""
    with asyncio.Runner(loop_factory=_Derived) as runner:
        # With its first stream libuv opens a descriptor that it keeps.
        runner.run(_finished(_warm_up()))
        yield lambda coroutine: runner.run(_finished(coroutine))


async def _warm_up() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0):
        pass


async def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine, some rounds of the loop later: libuv closes sockets in them."""
    try:
        return await asyncio.wait_for(coroutine, SECONDS)
    finally:
        for _ in range(10):
            await asyncio.sleep(0)
