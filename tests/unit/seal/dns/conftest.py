"""Answers by the rules of a proxy that resolves names, and the responders with them on a loop of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from socket import AF_INET
from typing import Any

import pytest

from socksify.config.loader import load
from socksify.routing import local_host, log
from socksify.routing.hosts_file import SystemFile
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router
from socksify.seal.dns import answers as subject
from socksify.seal.dns.answers import Answers, parse_search_list
from socksify.seal.dns.responder import TcpResponder, UdpResponder
from socksify.server.core.loop import Loop
from tests.unit.seal.dns.parts import HOST, LoopbackDialer, Serve


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(autouse=True)
def plain_search_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that the tests run on may have another search list."""
    monkeypatch.setattr(subject, "SEARCH_LIST", SystemFile("/nonexistent", parse_search_list))
    monkeypatch.setattr(subject, "gethostname", lambda: "host")
    monkeypatch.delenv("LOCALDOMAIN", raising=False)
    monkeypatch.delenv("RES_OPTIONS", raising=False)
    monkeypatch.setattr(local_host, "nameservers", lambda: (HOST,))


@pytest.fixture
def dialer(loop: Loop) -> LoopbackDialer:
    return LoopbackDialer(loop)


@pytest.fixture
def answers(loop: Loop, dialer: LoopbackDialer) -> Callable[..., Answers]:
    def make(*routes: str, proxy: str = "socks5h://192.0.2.1:1080", **settings: Any) -> Answers:
        loaded = load({"proxy": (proxy,), "routes": routes, **settings}, {}, "/", caller="the test")
        router = Router(loaded)
        return Answers(router, Lookups(router), loaded, loop, dialer)  # type: ignore[arg-type]

    return make


@pytest.fixture
def serve(loop: Loop) -> Iterator[Serve]:
    """Answer on one port of loopback, over UDP and TCP, while the loop runs in a thread. The port is returned."""
    threads: list[threading.Thread] = []

    def begin(answers: Answers) -> int:
        listener = loop.stream(AF_INET)
        listener.bind((HOST, 0))
        listener.listen(16)
        port: int = listener.getsockname()[1]
        datagrams = loop.datagrams(AF_INET)
        datagrams.bind((HOST, port))
        UdpResponder(loop, datagrams, answers)
        TcpResponder(loop, listener, answers)
        threads.append(threading.Thread(target=loop.run))
        threads[-1].start()
        return port

    yield begin
    loop.stop()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(log, "line", lines.append)
    return lines
