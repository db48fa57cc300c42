"""pyzmq: connections by which libzmq would go past the proxy are refused, all others are made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
import zmq.asyncio

import socksify
from tests.support.routing import LOOPBACK
from tests.support.servers import Server

PROXY = "socks5h://127.0.0.1:9"
NOWHERE = ("10.0.0.0/8=direct", "127.0.0.0/8=direct")


@contextlib.contextmanager
def installed(proxy: str, routes: tuple[str, ...], **settings: Any) -> Iterator[None]:
    """As routed(), which would mind libzmq's own descriptors."""
    socksify.install(proxy, routes=list(routes), **settings)
    try:
        yield
    finally:
        socksify.uninstall()


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    with zmq.Context() as made:
        made.linger = 0
        yield made


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "ipc://*", "inproc://here"])
def test_on_this_machine_it_works(context: zmq.Context[Any], endpoint: str, strict: bool) -> None:
    with (
        installed(PROXY, routes=(), strict=strict),
        context.socket(zmq.REP) as server,
        context.socket(zmq.REQ) as client,
    ):
        server.bind(endpoint)
        client.connect(server.last_endpoint if "*" in endpoint else endpoint)
        client.send(b"ping")
        assert server.recv() == b"ping"


REFUSED = [
    "tcp://203.0.113.5:80",
    "tcp://name.example:80",
    "tcp://192.0.2.7:0;203.0.113.5:80",
    "tcp://[2001:db8::5]:80",
    "ws://name.example:80/path",
    "udp://203.0.113.5:5555",
    "epgm://192.0.2.7;239.192.1.1:5555",
]


@pytest.mark.parametrize("kind", [zmq.Context, zmq.asyncio.Context])
@pytest.mark.parametrize("endpoint", REFUSED)
def test_past_the_proxy_it_is_refused(endpoint: str, kind: type[zmq.Context[Any]]) -> None:
    with (
        kind() as context,
        context.socket(zmq.REQ) as client,
        installed(PROXY, routes=NOWHERE),
        pytest.raises(PermissionError, match="past the proxy") as caught,
    ):
        client.connect(endpoint)
    assert isinstance(caught.value, socksify.ProxyError)


def test_what_is_direct_is_connected(context: zmq.Context[Any]) -> None:
    with installed(PROXY, routes=NOWHERE), context.socket(zmq.REQ) as client:
        client.connect("tcp://10.255.255.1:80")


def test_what_is_wrong_zmq_says_itself(context: zmq.Context[Any]) -> None:
    with installed(PROXY, routes=()), context.socket(zmq.REQ) as client:
        for endpoint in ("tcp://nothing", "what://ever:80", "tcp://127.0.0.1:port", "nothing"):
            with pytest.raises((zmq.ZMQError, PermissionError)):
                client.connect(endpoint)
        with pytest.raises(TypeError):
            client.connect(80)


def test_its_own_option_takes_it_through_the_proxy(context: zmq.Context[Any], microsocks: Server) -> None:
    with (
        installed(microsocks.url(), routes=LOOPBACK),
        context.socket(zmq.REP) as server,
        context.socket(zmq.REQ) as client,
    ):
        port = server.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(PermissionError):
            client.connect(f"tcp://127.0.0.1:{port}")
        client.setsockopt(zmq.SOCKS_PROXY, f"{microsocks.host}:{microsocks.port}".encode())
        client.connect(f"tcp://127.0.0.1:{port}")
        client.send(b"ping")
        assert server.recv() == b"ping"


def test_afterwards_it_connects_as_before(context: zmq.Context[Any]) -> None:
    with installed(PROXY, routes=()):
        pass
    with context.socket(zmq.REQ) as client:
        client.connect("tcp://127.0.0.1:9")
