"""asyncio's datagram transports and servers on uvloop's loops, because libuv works in C, where no patch reaches.

asyncio sends datagrams, listens and accepts by our methods of socket.socket. So we use asyncio's code for datagram
endpoints and for servers that listen through the proxy. The connections that such a server accepts are given to uvloop.
All other servers are uvloop's own. `_SelectorLoop` makes a loop of uvloop usable for asyncio's code.
"""

from __future__ import annotations

import warnings
from asyncio import BaseEventLoop
from asyncio.selector_events import BaseSelectorEventLoop
from inspect import signature
from socket import AF_UNIX

from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Server
    from collections.abc import Awaitable, Callable
    from contextvars import Context
    from socket import socket as Socket
    from typing import Any


class _SelectorLoop:
    """Has the private methods that asyncio's transports and servers call; the rest are methods of a uvloop loop."""

    _ensure_resolved = vars(BaseEventLoop)["_ensure_resolved"]
    _ensure_fd_no_transport = vars(BaseSelectorEventLoop)["_ensure_fd_no_transport"]

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._debug = loop.get_debug()
        self._transports: dict[int, Any] = {}
        self._remove_reader, self._remove_writer = loop.remove_reader, loop.remove_writer

    def _add_reader(self, fd: int, call: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        self._loop.add_reader(fd, *_in(context, call, args))

    def _add_writer(self, fd: int, call: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        self._loop.add_writer(fd, *_in(context, call, args))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def _in(context: Context | None, call: Callable[..., object], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a call that runs in `context`, if it is not None.

    asyncio passes a context from Python 3.15 on, and uvloop's methods accept none.
    """
    return (call, *args) if context is None else (context.run, call, *args)


class _DatagramLoop(_SelectorLoop):
    create_datagram_endpoint: Any = BaseEventLoop.create_datagram_endpoint
    _make_datagram_transport = vars(BaseSelectorEventLoop)["_make_datagram_transport"]


async def create_datagram_endpoint(wrapped: Callable[..., Awaitable[Any]], loop: Any, args: Any, kwargs: Any) -> Any:
    """Replace create_datagram_endpoint(), except for Unix sockets."""
    if getattr(kwargs.get("sock"), "family", None) == AF_UNIX:
        return await wrapped(*args, **kwargs)
    # asyncio has no such option any more.
    if "reuse_address" in kwargs:
        if kwargs.pop("reuse_address"):
            raise ValueError("reuse_address=True is no longer supported: others could take datagrams of this port")
        warnings.warn("reuse_address has been deprecated", DeprecationWarning, stacklevel=2)
    return await _DatagramLoop(loop).create_datagram_endpoint(*args, **kwargs)


class _ServerLoop(_SelectorLoop):
    create_server: Any = BaseEventLoop.create_server
    _create_server_getaddrinfo = vars(BaseEventLoop)["_create_server_getaddrinfo"]
    _start_serving = vars(BaseSelectorEventLoop)["_start_serving"]
    _stop_serving = vars(BaseSelectorEventLoop)["_stop_serving"]
    _accept_connection = vars(BaseSelectorEventLoop)["_accept_connection"]

    async def _accept_connection2(self, protocol_factory: Any, conn: Socket, *rest: Any, **_: Any) -> None:
        """Hand an accepted connection to uvloop.

        `rest` are extra, sslcontext, server and the time-outs. The keyword `context` (Python 3.15) is ignored, because
        this task runs in that context already.
        """
        sslcontext, timeouts = (*rest, None, None)[1], rest[3:]
        options = dict(zip(("ssl_handshake_timeout", "ssl_shutdown_timeout"), timeouts, strict=False))
        tls = {"ssl": sslcontext, **options} if sslcontext is not None else {}
        try:
            await self._loop.connect_accepted_socket(protocol_factory, conn, **tls)
        except Exception as error:
            conn.close()
            what = {"message": "Error on transport creation for incoming connection", "exception": error}
            self._loop.call_exception_handler(what)


async def create_proxied_server(loop: Any, given: dict[str, Any]) -> Server | None:
    """Return a server of asyncio if one of its sockets listens through the proxy; else None.

    `given` are the arguments of create_server(), by name.
    """
    sock = given.get("sock")
    if not registry.control_connections.are_there() or (sock is not None and not _listens_through_proxy(sock)):
        return None
    server: Server = await _ServerLoop(loop).create_server(**{**given, "start_serving": False})
    if not any(_listens_through_proxy(each._sock) for each in server.sockets):  # type: ignore[attr-defined]
        server.close()
        return None
    try:
        if given.get("start_serving", True):
            await server.start_serving()
    except BaseException:
        server.close()
        raise
    return server


async def sock_accept(wrapped: Callable[..., Awaitable[Any]], loop: Any, args: Any, kwargs: Any) -> Any:
    """Wrap sock_accept(). A socket that listens through the proxy accepts by our method accept()."""
    (sock,) = signature(wrapped).bind(*args, **kwargs).args
    if not _listens_through_proxy(sock):
        return await wrapped(sock)
    while True:
        try:
            connection, address = sock.accept()
        except BlockingIOError:
            await _readable(loop, sock)
        else:
            connection.setblocking(False)
            return connection, address


def _listens_through_proxy(sock: Any) -> bool:
    """Return True if the proxy listens for a socket, or will do so."""
    tunnel = registry.find(sock) if registry.by_fd else None
    return tunnel is not None and tunnel.listener is not None


async def _readable(loop: Any, sock: Socket) -> None:
    waiter = loop.create_future()
    loop.add_reader(sock, lambda: waiter.done() or waiter.set_result(None))
    try:
        await waiter
    finally:
        loop.remove_reader(sock)
