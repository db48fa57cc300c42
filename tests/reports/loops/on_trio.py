"""trio."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import trio

from tests.reports.loops import behaviours


class Loop:
    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return trio.run(main)

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        plain = await trio.open_tcp_stream(host, port)
        peer = plain.socket.getpeername()
        stream: Any = plain
        if tls is not None:
            context = ssl.create_default_context(cafile=tls)
            # Servers that end TLS by ending TCP are common.
            stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
        async with stream:
            await stream.send_all(words)
            answer = b""
            while len(answer) < len(words):
                answer += await stream.receive_some()
        return answer, peer

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        results: dict[int, Any] = {}

        async def note(number: int, work: Coroutine[Any, Any, Any]) -> None:
            results[number] = await work

        async with trio.open_nursery() as nursery:
            for number, work in enumerate(works):
                nursery.start_soon(note, number, work)
        return [results[number] for number in range(len(works))]

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        with trio.fail_after(seconds):
            return await work

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        async def begin() -> None:
            await work

        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin)
            await until
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    behaviours.main(Loop())
