"""Answers by the rules of a proxy that resolves names, and the two responders with them on a loop of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from socket import AF_INET
from typing import Any

import pytest

from socksify.config.loader import load
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router
from socksify.seal.dns.answers import Answers
from socksify.seal.dns.responder import TcpResponder, UdpResponder
from socksify.server.core.loop import Loop

HOST = "127.0.0.1"


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def answers(loop: Loop) -> Callable[..., Answers]:
    def make(*routes: str, proxy: str = "socks5h://192.0.2.1:1080", **settings: Any) -> Answers:
        loaded = load({"proxy": (proxy,), "routes": routes, **settings}, {}, "/", caller="the test")
        router = Router(loaded)
        return Answers(router, Lookups(router), loaded, loop, None)

    return make


@pytest.fixture
def name_server(loop: Loop) -> Iterator[Callable[[Answers], int]]:
    """Answer on one port of loopback, over UDP and TCP. The function returns the port."""
    threads: list[threading.Thread] = []

    def serve(answers: Answers) -> int:
        listener = loop.stream(AF_INET)
        listener.bind((HOST, 0))
        listener.listen(16)
        port: int = listener.getsockname()[1]
        datagrams = loop.datagrams(AF_INET)
        datagrams.bind((HOST, port))
        UdpResponder(loop, datagrams, answers)
        TcpResponder(loop, listener, answers)
        thread = threading.Thread(target=loop.run)
        threads.append(thread)
        thread.start()
        return port

    yield serve
    loop.stop()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
