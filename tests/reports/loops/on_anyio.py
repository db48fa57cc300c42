"""anyio, on the backend that is named."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import anyio
import anyio.abc

from tests.reports.loops import behaviours


class Loop:
    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return anyio.run(main, backend=sys.argv[1])

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        if tls is None:
            stream: Any = await anyio.connect_tcp(host, port)
        else:
            context = ssl.create_default_context(cafile=tls)
            stream = await anyio.connect_tcp(
                host, port, tls_hostname=host, ssl_context=context, tls_standard_compatible=False
            )
        async with stream:
            await stream.send(words)
            answer = b""
            while len(answer) < len(words):
                answer += await stream.receive()
            return answer, stream.extra(anyio.abc.SocketAttribute.remote_address)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        results: dict[int, Any] = {}

        async def note(number: int, work: Coroutine[Any, Any, Any]) -> None:
            results[number] = await work

        async with anyio.create_task_group() as group:
            for number, work in enumerate(works):
                group.start_soon(note, number, work)
        return [results[number] for number in range(len(works))]

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        with anyio.fail_after(seconds):
            return await work

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        async def begin() -> None:
            await work

        async with anyio.create_task_group() as group:
            group.start_soon(begin)
            await until
            group.cancel_scope.cancel()


if __name__ == "__main__":
    behaviours.main(Loop())
