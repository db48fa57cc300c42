"""asyncio's transports and servers on uvloop's loops, for what libuv does in C, where no patch reaches.

asyncio sends datagrams, listens and accepts by the methods of a socket.socket, which are ours. So datagram endpoints
are asyncio's, and so are servers that listen through the proxy; what such a server accepts is handed to uvloop. All
other servers are uvloop's own. `_SelectorLoop` stands between asyncio's code and a loop of uvloop.
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
    """Serves asyncio's transports and servers as a loop of asyncio would, by a loop of uvloop."""

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
    """Return a call in a context. asyncio asks for one from Python 3.15 on; uvloop's methods take none."""
    return (call, *args) if context is None else (context.run, call, *args)


class _DatagramLoop(_SelectorLoop):
    create_datagram_endpoint: Any = BaseEventLoop.create_datagram_endpoint
    _make_datagram_transport = vars(BaseSelectorEventLoop)["_make_datagram_transport"]


async def create_datagram_endpoint(wrapped: Callable[..., Awaitable[Any]], loop: Any, args: Any, kwargs: Any) -> Any:
    """Take the place of create_datagram_endpoint(), but for Unix sockets."""
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

        `rest` are extra, sslcontext, server and time-outs. `context` (Python 3.15) is the context of this task already.
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
    """Return a server of asyncio if one of its sockets is to listen through the proxy; else None.

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
    """Wrap sock_accept(): a socket that listens through the proxy accepts by its method."""
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
    """Return True if the proxy listens for a socket, or is to."""
    tunnel = registry.find(sock) if registry.by_fd else None
    return tunnel is not None and tunnel.listener is not None


async def _readable(loop: Any, sock: Socket) -> None:
    waiter = loop.create_future()
    loop.add_reader(sock, lambda: waiter.done() or waiter.set_result(None))
    try:
        await waiter
    finally:
        loop.remove_reader(sock)
