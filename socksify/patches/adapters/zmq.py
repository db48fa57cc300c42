"""pyzmq: libzmq connects in C, where no patch reaches. So the Python method connect() refuses forbidden endpoints.

A direct connection is allowed. For example, a Jupyter kernel talks to its clients on this machine by such connections.
A connection that should go through a proxy is allowed if the socket has libzmq's own option for a proxy,
zmq.SOCKS_PROXY.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, gaierror

from socksify.patches import scope
from socksify.patches.adapters import wrap
from socksify.routing import log
from socksify.routing.route import Direct
from socksify.routing.sockaddr import numeric
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# zmq_tcp(7) and zmq_ws(7) use IP; zmq_inproc(7), zmq_ipc(7), zmq_vmci(7) and zmq_tipc(7) do not.
_TCP = ("tcp", "ws", "wss")
_NO_IP = ("inproc", "ipc", "vmci", "tipc")
_OPTION = "set the socket's option zmq.SOCKS_PROXY, or route it direct"


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap connect() of zmq.Socket, which the sockets for asyncio and for green threads inherit."""
    wrap(journal, module.Socket, "connect", _connect)


def _connect(wrapped: Callable[..., Any], sock: Any, args: Any, kwargs: Any) -> Any:
    endpoint = args[0] if args else kwargs.get("addr")
    if isinstance(endpoint, (str, bytes)):
        _check(sock, endpoint if isinstance(endpoint, str) else endpoint.decode("utf-8", "replace"))
    return wrapped(*args, **kwargs)


def _check(sock: Any, endpoint: str) -> None:
    """Raise PermissionError if a connection to an endpoint, `protocol://[source;]host:port`, is refused."""
    protocol, _, rest = endpoint.partition("://")
    if protocol in _NO_IP:
        return
    host, _, port = rest.rpartition(";")[2].partition("/")[0].rpartition(":")
    host = host.strip("[]")
    if protocol in _TCP and port.isdecimal():
        if _is_direct(host, int(port)) or _has_proxy(sock):
            return
    elif protocol in _TCP or scope.current().settings.udp == "direct":
        # The endpoint is malformed, or multicast is allowed.
        return
    log.line(f"{log.name}: zmq {endpoint} denied")
    raise errors.not_sent("zmq connection", endpoint, f"libzmq would go past the proxy; {_OPTION}")


def _is_direct(host: str, port: int) -> bool:
    literal = numeric(host)
    family = AF_INET6 if literal is not None and ":" in literal else AF_INET
    try:
        return isinstance(scope.current().router.decide(family, (literal or host, port)), Direct)
    except gaierror:
        return False


def _has_proxy(sock: Any) -> bool:
    import zmq

    return bool(sock.getsockopt(zmq.SOCKS_PROXY))
