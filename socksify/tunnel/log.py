"""One line per connection, for people: target, route, proxy, time, result. Off unless asked for.

Lines are written with one write(2) each, so that threads and children never mix them; `logging` would cost
every client its import.
"""

from __future__ import annotations

import os

from socksify import _real
from socksify._real import monotonic
from socksify.protocol.socks5 import BIND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.address import Address
    from socksify.tunnel.sockaddr import SockAddress
    from socksify.tunnel.tunnel import Tunnel

# The client's name, as SOCKSinit() gave it.
DEFAULT_NAME = "SOCKSclient"

_STDERR = 2

name = DEFAULT_NAME
_fd: int | None = None


def open_log(where: str) -> None:
    """Write to "stderr", to a file (appended to), or with "" nowhere. Raises OSError."""
    global _fd
    fd = None
    if where == "stderr":
        fd = _STDERR
    elif where:
        fd = os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    close_log()
    _fd = fd


def close_log() -> None:
    """Write nothing any more."""
    global _fd
    # Nobody is to write to what is closed.
    closed, _fd = _fd, None
    if closed is not None and closed != _STDERR:
        os.close(closed)


def is_open() -> bool:
    """Whether anybody reads."""
    return _fd is not None


def line(message: str) -> None:
    """Write one line; a log that cannot be written is no reason to fail a connection."""
    if _fd is not None:
        _write(_fd, message)


def notice(message: str) -> None:
    """Say on stderr, log or no log, what the user has to know."""
    _write(_STDERR, message)


def warn(message: str) -> None:
    """Say it on stderr, and in the log where that is another place."""
    notice(message)
    if _fd is not None and _fd != _STDERR:
        _write(_fd, message)


def _write(fd: int, message: str) -> None:
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in message)
    try:
        _real.write(fd, f"socksify: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def text(address: Address) -> str:
    """host:port, with brackets round an IPv6 literal."""
    return host_port(address.host, address.port)


def host_port(host: str, port: int) -> str:
    """host:port, with brackets round an IPv6 literal."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def settled(tunnel: Tunnel, started: float) -> None:
    """A connection through proxies is open or has failed."""
    if _fd is None:
        return
    route = tunnel.route
    proxies = " + ".join(proxy.url for proxy in route.chain)
    result = "ok" if tunnel.error is None else f"{type(tunnel.error).__name__}: {tunnel.error}"
    what = f"{'bind for' if route.command == BIND else 'connect'} {text(route.target)}"
    line(f"{name}: {what} via {proxies} (rule {route.rule.text}) {_since(started)} {result}")


def accepted(tunnel: Tunnel) -> None:
    """The peer has come for which a proxy listened."""
    route = tunnel.route
    line(f"{name}: accepted {text(route.target)} via {' + '.join(proxy.url for proxy in route.chain)}")


def direct(address: SockAddress, rule: str, started: float, error: OSError | None) -> None:
    """A connection that no proxy sees was made, begun or refused."""
    result = "ok" if error is None else f"{type(error).__name__}: {error}"
    if isinstance(error, BlockingIOError):
        result = "begun"
    line(f"{name}: connect {host_port(str(address[0]), address[1])} direct (rule {rule}) {_since(started)} {result}")


def denied(address: SockAddress, why: str, what: str = "connect") -> None:
    """A connection that is not made, or something else that is not sent."""
    line(f"{name}: {what} {host_port(str(address[0]), address[1])} denied: {why}")


def _since(started: float) -> str:
    return f"{(monotonic() - started) * 1000:.0f} ms"
