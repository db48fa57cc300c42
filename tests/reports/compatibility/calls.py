"""Calls from one program to another: HTTP/2, gRPC, rpyc."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from tests.reports.compatibility.server_host import Port, ServerHost


@contextlib.contextmanager
def hypercorn(host: ServerHost) -> Iterator[None]:
    """HTTP/2 over TLS, for whoever can."""
    certificate, key = host.certificate()
    tls = ["--certfile", str(certificate), "--keyfile", str(key)]
    words = [sys.executable, "-m", "hypercorn", "--bind", f"[::]:{Port.HTTP2}", *tls]
    with host.running([*words, "tests.reports.compatibility.calls:application"], Port.HTTP2):
        yield


async def application(scope: Any, _: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Of ASGI: answers each request with its path."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


@contextlib.contextmanager
def grpc(host: ServerHost) -> Iterator[None]:
    """The library's own server, which sends back what it is asked."""
    from concurrent.futures import ThreadPoolExecutor

    from grpc import method_handlers_generic_handler, server, unary_unary_rpc_method_handler

    with host.network.namespace.inside():
        echoing = server(ThreadPoolExecutor(2))
        handler = unary_unary_rpc_method_handler(lambda request, _: request)
        echoing.add_generic_rpc_handlers((method_handlers_generic_handler("echo", {"Echo": handler}),))
        echoing.add_insecure_port(f"[::]:{Port.GRPC}")
        echoing.start()
    try:
        yield
    finally:
        echoing.stop(None).wait()


@contextlib.contextmanager
def rpyc(host: ServerHost) -> Iterator[None]:
    """The library's own server."""
    from rpyc import Service
    from rpyc.utils.server import ThreadedServer

    class Desk(Service):  # type: ignore[misc]
        def exposed_add(self, one: int, other: int) -> int:
            return one + other

        def exposed_tell(self, hear: Callable[[str], object]) -> None:
            hear("hello")

    with host.network.namespace.inside():
        server = ThreadedServer(Desk, hostname="::", ipv6=True, port=Port.RPYC)
    thread = threading.Thread(target=server.start, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.close()
        thread.join()
