"""uvloop: libuv connects, resolves and sends in C, where no patch reaches, and polls with its own epoll object.

So a connection is made on a socket.socket, which has our methods, and is then given to uvloop. Readers and writers of
the loop advance the handshakes. The methods are wrapped on the class uvloop.Loop, which also covers running loops.
"""

from __future__ import annotations

import socket
from contextlib import closing
from errno import EINVAL
from inspect import signature
from ipaddress import ip_address
from socket import AF_UNIX, SOCK_STREAM

from socksify.patches.adapters import external_loops, wrap
from socksify.patches.adapters.uvloop import transports, watchers
from socksify.patches.sockets import lookups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal
    from socksify.tunnel.state import Tunnel

    Method = Callable[..., Awaitable[Any]]
    # Family, type, protocol, canonical name, address.
    AddressInfo = Any

# Options that create_connection() refuses at once if the connection has no TLS.
_TLS_OPTIONS = ("server_hostname", "ssl_handshake_timeout", "ssl_shutdown_timeout")
# Options that say where to connect; create_connection() does not take them together with a socket.
_HOST_OPTIONS = ("host", "port", "family", "proto", "flags", "local_addr")


def patch(uvloop: ModuleType, journal: Journal) -> None:
    """Wrap the methods of uvloop.Loop that connect, resolve, send or watch descriptors."""
    methods = {
        "create_connection": _create_connection,
        "create_server": _create_server,
        "sock_accept": transports.sock_accept,
        "sock_connect": _sock_connect,
        "getaddrinfo": _getaddrinfo,
        "getnameinfo": _getnameinfo,
        "create_datagram_endpoint": transports.create_datagram_endpoint,
        **watchers.METHODS,
    }
    for name, wrapper in methods.items():
        wrap(journal, uvloop.Loop, name, wrapper)


async def _getaddrinfo(_: Method, loop: Any, args: Any, kwargs: Any) -> Any:
    def ask(host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
        return socket.getaddrinfo(host, port, family, type, proto, flags)

    return await _look_up(loop, lambda: ask(*args, **kwargs), lookups.answers(args[0] if args else kwargs.get("host")))


async def _getnameinfo(_: Method, loop: Any, args: Any, kwargs: Any) -> Any:
    def ask(sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return socket.getnameinfo(sockaddr, flags)

    return await _look_up(loop, lambda: ask(*args, **kwargs), False)


async def _look_up(loop: Any, call: Callable[[], Any], at_once: bool) -> Any:
    return call() if at_once else await loop.run_in_executor(None, call)


async def _sock_connect(wrapped: Method, loop: Any, args: Any, kwargs: Any) -> None:
    sock, address = signature(wrapped).bind(*args, **kwargs).args
    if sock.family == AF_UNIX or (loop.get_debug() and sock.gettimeout() != 0):
        await wrapped(sock, address)
        return
    # As in uvloop itself: close() then waits until the loop does not use the descriptor any more.
    sock._io_refs += 1
    try:
        found = await loop.getaddrinfo(*address[:2], family=sock.family, type=sock.type, proto=sock.proto)
        await _connect_socket(wrapped, loop, sock, found[0][4])
    finally:
        sock._decref_socketios()


async def _connect_socket(wrapped: Method, loop: Any, sock: socket.socket, address: Any) -> None:
    try:
        sock.connect(address)
        return
    except BlockingIOError:
        pass
    tunnel = external_loops.pending(sock.fileno())
    if tunnel is None:
        # The connection is direct. The second connect() fails with EALREADY, and uvloop waits for the connection.
        await wrapped(sock, address)
        return
    await _settle(loop, sock, tunnel)


async def _settle(loop: Any, sock: socket.socket, tunnel: Tunnel) -> None:
    with closing(external_loops.steps(tunnel)) as waits:
        for readable, seconds in waits:
            await watchers.ready(loop, sock.fileno(), readable, seconds)
    external_loops.raise_outcome(tunnel)


async def _settle_given(loop: Any, sock: socket.socket, tunnel: Tunnel) -> None:
    """Settle the tunnel of a socket that was given to the loop. The socket is closed if the tunnel fails."""
    try:
        await _settle(loop, sock, tunnel)
    except BaseException:
        sock.close()
        raise


async def _create_connection(wrapped: Method, loop: Any, args: Any, kwargs: Any) -> Any:
    given = signature(wrapped).bind(*args, **kwargs)
    options = given.arguments
    host, tls, own = options.get("host"), options.get("ssl"), options.get("sock")
    if isinstance(own, socket.socket) and (tunnel := external_loops.pending(own.fileno())) is not None:
        # libuv would write to the proxy in the middle of the handshake.
        await _settle_given(loop, own, tunnel)
    is_refused = not tls and any(options.get(name) is not None for name in _TLS_OPTIONS)
    lacks_name = tls and not host and options.get("server_hostname") is None
    if own is not None or (host is None and options.get("port") is None) or is_refused or lacks_name:
        return await wrapped(*args, **kwargs)
    sock = await _connected(loop, host, **{name: options[name] for name in _HOST_OPTIONS[1:] if name in options})
    rest = {name: value for name, value in options.items() if name not in _HOST_OPTIONS}
    if tls:
        rest.setdefault("server_hostname", host)
    try:
        return await wrapped(**rest, sock=sock)
    except BaseException:
        sock.close()
        raise


async def _connected(
    loop: Any, host: Any, port: Any = None, *, family: int = 0, proto: int = 0, flags: int = 0, local_addr: Any = None
) -> socket.socket:
    """Return a socket that is connected to a host, at the first of its addresses that accepts the connection."""
    hints = {"family": family, "type": SOCK_STREAM, "proto": proto, "flags": flags}
    if local_addr is not None and (not isinstance(local_addr, (tuple, list)) or len(local_addr) != 2):
        raise ValueError("local_addr must be a tuple of host and port")
    remote = await loop.getaddrinfo(host, port, **hints)
    local = await loop.getaddrinfo(*local_addr, **hints) if local_addr is not None else None
    failures: list[OSError] = []
    for address in remote:
        try:
            return await _connected_to(loop, address, local)
        except OSError as error:
            failures.append(error)
    try:
        if len(set(map(str, failures))) == 1:
            raise failures[0]
        raise OSError(f"Multiple exceptions: {', '.join(map(str, failures))}")
    finally:
        # The tracebacks of the errors refer to this frame. Without clear() the frame would refer to the errors.
        failures.clear()


async def _connected_to(loop: Any, remote: AddressInfo, local: list[AddressInfo] | None) -> socket.socket:
    family, kind, protocol, _, address = remote
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if local is not None:
            _bind(sock, [info[4] for info in local if info[0] == family])
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, addresses: list[Any]) -> None:
    """Bind a socket to the first of these addresses that this machine has."""
    failure = OSError(EINVAL, f"no local address of the family {sock.family.name}")
    for address in addresses:
        try:
            sock.bind(address)
            return
        except OSError as error:
            failure = error
    try:
        raise failure
    finally:
        # The traceback of the error refers to this frame. Without `del` the frame would refer to the error.
        del failure


async def _create_server(wrapped: Method, loop: Any, args: Any, kwargs: Any) -> Any:
    """Wrap create_server(). Host names are looked up here, because libuv would ask name servers for them."""
    given = signature(wrapped).bind(*args, **kwargs)
    host = given.arguments.get("host")
    hosts = [host] if isinstance(host, str) else list(host or ())
    if any(each and not _is_literal(each) for each in hosts):
        found = [await loop.getaddrinfo(each, 0, type=SOCK_STREAM) for each in hosts]
        given.arguments["host"] = list(dict.fromkeys(info[4][0] for infos in found for info in infos))
    server = await transports.create_proxied_server(loop, given.arguments)
    return server if server is not None else await wrapped(*given.args, **given.kwargs)


def _is_literal(host: Any) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
