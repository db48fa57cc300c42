"""gevent and eventlet: monkey-patched (`patched`), so that the stdlib is theirs, or by their own modules (`green`)."""

from __future__ import annotations

import sys
import warnings

NAME, KIND = sys.argv[1:3]
# eventlet says of itself that it is deprecated.
warnings.simplefilter("ignore")
if (NAME, KIND) == ("gevent", "patched"):
    from gevent import monkey

    monkey.patch_all()
elif NAME == "eventlet":
    import eventlet

    if KIND == "patched":
        eventlet.monkey_patch()

import importlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from tests.reports.loops import behaviours

PLACE = {"patched": "", "green": {"gevent": "gevent.", "eventlet": "eventlet.green."}[NAME]}[KIND]
socket = importlib.import_module(f"{PLACE}socket")
ssl = importlib.import_module(f"{PLACE}ssl")
if NAME == "gevent":
    from gevent import Timeout, kill, sleep, spawn
else:
    from eventlet import Timeout, kill, sleep, spawn


def ended(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, which on green threads never yields."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("it yielded")


class Loop:
    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return ended(main())

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        sock = socket.create_connection((host, port))
        try:
            peer = sock.getpeername()
            if tls is not None:
                sock = ssl.create_default_context(cafile=tls).wrap_socket(sock, server_hostname=host)
            sock.sendall(words)
            answer = b""
            while len(answer) < len(words):
                answer += sock.recv(65536)
            return answer, peer
        finally:
            sock.close()

    async def sleep(self, seconds: float) -> None:
        sleep(seconds)

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        threads = [spawn(ended, work) for work in works]
        return [thread.get() if NAME == "gevent" else thread.wait() for thread in threads]

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        with Timeout(seconds, TimeoutError("given up")):
            return await work

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        thread = spawn(ended, work)
        await until
        kill(thread)


if __name__ == "__main__":
    behaviours.main(Loop())
