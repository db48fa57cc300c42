"""twisted, with the reactor that is named."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from twisted.internet import defer, endpoints, protocol, task

from tests.reports.loops import behaviours

REACTORS = {"select": "selectreactor", "poll": "pollreactor", "epoll": "epollreactor", "asyncio": "asyncioreactor"}


class Words(protocol.Protocol):  # type: ignore[misc]  # twisted's types are not read (pyproject.toml)
    """Says words, and hears as many."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._heard = b""
        self.answer: defer.Deferred[bytes] = defer.Deferred()
        self.gone: defer.Deferred[None] = defer.Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self._words)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if len(self._heard) == len(self._words):
            self.answer.callback(self._heard)

    def connectionLost(self, _: object = None) -> None:
        self.gone.callback(None)


class Loop:
    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        results = []

        async def keep(reactor: Any) -> None:
            self._reactor = reactor
            results.append(await main())

        importlib.import_module(f"twisted.internet.{REACTORS[sys.argv[1]]}").install()
        try:
            task.react(lambda reactor: defer.ensureDeferred(keep(reactor)))
        except SystemExit as ended:
            if ended.code:
                raise
        return results[0]

    async def talk(self, host: str, port: int, words: bytes, tls: str | None = None) -> tuple[bytes, Any]:
        plain = endpoints.HostnameEndpoint(self._reactor, host, port)
        endpoint = plain if tls is None else endpoints.wrapClientTLS(_trusting(host, tls), plain)
        heard = await endpoint.connect(protocol.Factory.forProtocol(lambda: Words(words)))
        answer = await heard.answer
        peer = heard.transport.getPeer()
        heard.transport.loseConnection()
        await heard.gone
        return answer, (peer.host, peer.port)

    async def sleep(self, seconds: float) -> None:
        await task.deferLater(self._reactor, seconds)

    async def gather(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        return list(await defer.gatherResults([defer.ensureDeferred(work) for work in works]))

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        return await defer.ensureDeferred(work).addTimeout(seconds, self._reactor)

    async def cancel(self, work: Coroutine[Any, Any, Any], until: Awaitable[None]) -> None:
        begun = defer.ensureDeferred(work)
        await until
        begun.addErrback(lambda failure: failure.trap(defer.CancelledError, Exception))
        begun.cancel()
        await begun


def _trusting(host: str, authority: str) -> Any:
    from twisted.internet import ssl

    with open(authority, encoding="ascii") as file:
        return ssl.optionsForClientTLS(host, trustRoot=ssl.Certificate.loadPEM(file.read()))


if __name__ == "__main__":
    behaviours.main(Loop())
