"""tornado: its own streams and resolver, on its own loop."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from tornado import gen
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.tcpclient import TCPClient

from tests.reports.loops import behaviours, on_asyncio


class Loop(on_asyncio.Loop):
    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return IOLoop.current().run_sync(main)

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        context = None if tls is None else ssl.create_default_context(cafile=tls)
        stream = await TCPClient().connect(host, port, ssl_options=context)
        await stream.write(words)
        answer = await stream.read_bytes(len(words))
        peer = stream.socket.getpeername()
        stream.close()
        return answer, peer

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        return await gen.with_timeout(timedelta(seconds=seconds), gen.convert_yielded(work), StreamClosedError)


if __name__ == "__main__":
    behaviours.main(Loop())
