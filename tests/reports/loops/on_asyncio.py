"""asyncio, with the selector that is named, or uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from tests.reports.loops import behaviours


def uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "select": lambda: asyncio.SelectorEventLoop(selectors.SelectSelector()),
    "poll": lambda: asyncio.SelectorEventLoop(selectors.PollSelector()),
    "epoll": lambda: asyncio.SelectorEventLoop(selectors.EpollSelector()),
    "uvloop": uvloop,
}


class Loop:
    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        with asyncio.Runner(loop_factory=FACTORIES[sys.argv[1]]) as runner:
            return runner.run(main())

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        context = None if tls is None else ssl.create_default_context(cafile=tls)
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        writer.write(words)
        answer = await reader.readexactly(len(words))
        peer = writer.get_extra_info("socket").getpeername()
        writer.close()
        await writer.wait_closed()
        return answer, peer

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        return list(await asyncio.gather(*works))

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wait_for(work, seconds)

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        task = asyncio.create_task(work)
        await until
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    behaviours.main(Loop())
