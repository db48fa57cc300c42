"""The log: one line for each connection, with target, route, proxy, time and result. It is off by default.

Each line is written by one write(2), so the lines of threads and child processes are never mixed. `logging` would cost
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

# The name of the client, which SOCKSinit() sets.
DEFAULT_NAME = "SOCKSclient"

name = DEFAULT_NAME
_STDERR = Stderr()
_log: _File | Stderr | None = None


class _File:
    """A log file. It is opened again if the program has closed it: a daemon closes all descriptors."""

    __slots__ = ("_kept", "_path")

    def __init__(self, path: str) -> None:
        # The program may change its working directory.
        self._path = os.path.abspath(path)
        self._kept = _opened(path)

    def write(self, data: bytes) -> None:
        """Write some bytes. Raises OSError."""
        if not write(self._kept, data) and self._path:
            self._kept = _opened(self._path)
            write(self._kept, data)
            if not self._path:  # another thread has closed the log
                self._kept.close()

    def close(self) -> None:
        # A thread that is still writing must not open the file again.
        self._path = ""
        self._kept.close()


def set_name(client: str) -> None:
    """Set the name of the client, which begins each line."""
    global name
    name = client


def open_log(where: str) -> None:
    """Write to "stderr", to the end of a file, or with "" nowhere. Raises OSError."""
    global _log
    log = _STDERR if where == "stderr" else _File(where) if where else None
    close_log()
    _log = log


def close_log() -> None:
    """Close the log."""
    global _log
    # No thread must write to a closed log.
    closed, _log = _log, None
    if isinstance(closed, _File):
        closed.close()


def is_open() -> bool:
    """Return True if lines are written to a log."""
    return _log is not None


def line(message: str) -> None:
    """Write one line. An error of the log does not make the connection fail."""
    if _log is not None:
        _write(_log, message)


def notice(message: str) -> None:
    """Write a line to stderr, with or without a log."""
    _write(_STDERR, message)


def warn(message: str) -> None:
    """Write a line to stderr, and to the log if that is another file."""
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
    """Return host:port. An IPv6 literal is in brackets."""
    return host_port(address.host, address.port)


def host_port(host: str, port: int) -> str:
    """Return host:port. An IPv6 literal is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connected(route: Via, started: float, error: OSError | None) -> None:
    """Report a connection through proxies. It failed if there is an `error`. `started` is a time of monotonic()."""
    if _log is None:
        return
    what = f"{'bind for' if route.command == BIND else 'connect'} {text(route.target)}"
    line(f"{name}: {what} via {_proxies(route)} (rule {route.rule.text}) {_since(started)} {_result(error)}")


def accepted(route: Via) -> None:
    """Report that the peer of a BIND has connected. `route` is that of the connection to the peer."""
    line(f"{name}: accepted {text(route.target)} via {_proxies(route)}")


def direct(address: SockAddress, rule: str, started: float, error: OSError | None) -> None:
    """Report a direct connection that was made, begun or refused."""
    result = "begun" if isinstance(error, BlockingIOError) else _result(error)
    line(f"{name}: connect {host_port(str(address[0]), address[1])} direct (rule {rule}) {_since(started)} {result}")


def unresolved(host: str, rule: str, error: OSError) -> None:
    """Report a name that cannot be resolved on this machine. No connection is begun, so there is no other line."""
    line(f"{name}: look up {host} here (rule {rule}) {type(error).__name__}: {error}")


def denied(address: SockAddress, why: str, what: str = "connect") -> None:
    """Report a connection that is not made, or another packet that is not sent."""
    line(f"{name}: {what} {host_port(str(address[0]), address[1])} denied: {why}")


def _proxies(route: Via) -> str:
    return " + ".join(proxy.url for proxy in route.chain)


def _result(error: OSError | None) -> str:
    return "ok" if error is None else f"{type(error).__name__}: {error}"


def _since(started: float) -> str:
    return f"{(monotonic() - started) * 1000:.0f} ms"
