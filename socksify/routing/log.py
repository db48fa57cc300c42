"""One line per connection, for people: target, route, proxy, time, result. Off unless asked for.

Lines are written with one write(2) each, so that threads and children never mix them; `logging` would cost
every client its import.
"""

from __future__ import annotations

import os

from socksify._descriptors import Kept, Stderr, write
from socksify._originals import monotonic
from socksify._signal_safety import ours
from socksify.protocol.socks5 import BIND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.address import Address
    from socksify.routing.route import Via
    from socksify.routing.sockaddr import SockAddress

# The client's name, as SOCKSinit() gave it.
DEFAULT_NAME = "SOCKSclient"

name = DEFAULT_NAME
_STDERR = Stderr()
_log: _File | Stderr | None = None


class _File:
    """A log of our own. Where the program has closed it, it is opened again: a daemon closes all descriptors."""

    __slots__ = ("_kept", "_path")

    def __init__(self, path: str) -> None:
        # The program may change its working directory.
        self._path = os.path.abspath(path)
        self._kept = _opened(path)

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        if not write(self._kept, data) and self._path:
            self._kept = _opened(self._path)
            write(self._kept, data)
            if not self._path:  # closed meanwhile
                self._kept.close()

    def close(self) -> None:
        # A thread that still writes is not to open it again.
        self._path = ""
        self._kept.close()


def set_name(client: str) -> None:
    """Set the name of the client, which begins each line."""
    global name
    name = client


def open_log(where: str) -> None:
    """Write to "stderr", to a file (appended to), or with "" nowhere. Raises OSError."""
    global _log
    log = _STDERR if where == "stderr" else _File(where) if where else None
    close_log()
    _log = log


def close_log() -> None:
    """Write nothing any more."""
    global _log
    # Nobody is to write to what is closed.
    closed, _log = _log, None
    if isinstance(closed, _File):
        closed.close()


def is_open() -> bool:
    """Whether anybody reads."""
    return _log is not None


def line(message: str) -> None:
    """Write one line; a log that cannot be written is no reason to fail a connection."""
    if _log is not None:
        _write(_log, message)


def notice(message: str) -> None:
    """Say on stderr, log or no log, what the user has to know."""
    _write(_STDERR, message)


def warn(message: str) -> None:
    """Say it on stderr, and in the log where that is another place."""
    notice(message)
    if _log is not _STDERR:
        line(message)


def _opened(path: str) -> Kept:
    return Kept(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _write(log: _File | Stderr, message: str) -> None:
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in message)
    data = f"socksify: {text}\n".encode("utf-8", "backslashreplace")
    try:
        if isinstance(log, _File):
            log.write(data)
        else:
            write(log, data)
    except ours(OSError):
        pass


def text(address: Address) -> str:
    """host:port, with brackets round an IPv6 literal."""
    return host_port(address.host, address.port)


def host_port(host: str, port: int) -> str:
    """host:port, with brackets round an IPv6 literal."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connected(route: Via, started: float, error: OSError | None) -> None:
    """A connection through proxies was opened, or has failed with `error`; `started` is the time of monotonic()."""
    if _log is None:
        return
    what = f"{'bind for' if route.command == BIND else 'connect'} {text(route.target)}"
    line(f"{name}: {what} via {_proxies(route)} (rule {route.rule.text}) {_since(started)} {_result(error)}")


def accepted(route: Via) -> None:
    """The peer has come for which a proxy listened; `route` is that of the connection to the peer."""
    line(f"{name}: accepted {text(route.target)} via {_proxies(route)}")


def direct(address: SockAddress, rule: str, started: float, error: OSError | None) -> None:
    """A connection that no proxy sees was made, begun or refused."""
    result = "begun" if isinstance(error, BlockingIOError) else _result(error)
    line(f"{name}: connect {host_port(str(address[0]), address[1])} direct (rule {rule}) {_since(started)} {result}")


def unresolved(host: str, rule: str, error: OSError) -> None:
    """A name that is resolved on this machine cannot be: no connection is begun, so no other line tells of it."""
    line(f"{name}: look up {host} here (rule {rule}) {type(error).__name__}: {error}")


def denied(address: SockAddress, why: str, what: str = "connect") -> None:
    """A connection that is not made, or something else that is not sent."""
    line(f"{name}: {what} {host_port(str(address[0]), address[1])} denied: {why}")


def _proxies(route: Via) -> str:
    return " + ".join(proxy.url for proxy in route.chain)


def _result(error: OSError | None) -> str:
    return "ok" if error is None else f"{type(error).__name__}: {error}"


def _since(started: float) -> str:
    return f"{(monotonic() - started) * 1000:.0f} ms"
