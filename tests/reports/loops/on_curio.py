"""curio."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import curio

from tests.reports.loops import behaviours


class Loop:
    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return curio.run(main)

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        options: dict[str, Any] = {}
        if tls is not None:
            options = {"ssl": ssl.create_default_context(cafile=tls), "server_hostname": host}
        sock = await curio.open_connection(host, port, **options)
        async with sock:
            await sock.sendall(words)
            answer = b""
            while len(answer) < len(words):
                answer += await sock.recv(65536)
            return answer, sock.getpeername()

    async def sleep(self, seconds: float) -> None:
        await curio.sleep(seconds)

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        tasks = [await curio.spawn(work) for work in works]
        return [await task.join() for task in tasks]

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await curio.timeout_after(seconds, work)
        except curio.TaskTimeout:  # which no `except Exception` catches
            raise TimeoutError from None

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        task = await curio.spawn(work)
        await until
        await task.cancel()


if __name__ == "__main__":
    behaviours.main(Loop())
