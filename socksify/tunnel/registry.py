"""What we know of each kernel socket that goes, or went, through a proxy.

An essay on identity. The same connection may be held by several Python objects: `ssl.wrap_socket()` makes a
new object on the fd and detaches the old one, `dup()` and `socket(fileno=)` make more, on the same or on other
fds; and an fd may be closed behind our back (`os.close(s.detach())`) and soon mean another socket. So a Tunnel
is found by fd and the find is verified. As long as the object that registered the fd lives and still has that
fd, the kernel itself guarantees that the fd means the same socket: that costs no system call, and covers all
but a few cases. Where there is no such object (detached, or a dup made behind our back), the kernel's own name
for the socket, (st_dev, st_ino) of fstat(2), is compared; it is asked for when it is first needed.

Objects dropped by the garbage collector run no Python code, but their weak references do. What even that
cannot see, an fd that was detached and then closed, is swept away from time to time, at amortised O(1).
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from _weakref import ref as weak_reference
from errno import ENOTCONN

from socksify import _real

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.route import Via


class Tunnel:
    """One connection through a chain of proxies: pending while it has a handshake, failed if it has an error."""

    __slots__ = (
        "bound",
        "error",
        "handshake",
        "holders",
        "identity",
        "lock",
        "options",
        "released",
        "report",
        "route",
        "settled",
        "watchers",
    )

    def __init__(self, route: Via) -> None:
        self.route = route
        self.handshake: Handshake | None = None
        self.error: OSError | None = None
        # The error that SO_ERROR has still to report, as connect(2) says of a non-blocking socket: once.
        self.report: OSError | None = None
        # BND.ADDR and BND.PORT of the last hop's reply: (host, port).
        self.bound: tuple[str, int] | None = None
        # Options that the client set and the kernel's socket cannot have: (level, name) -> value.
        self.options: dict[tuple[int, int], int] = {}
        self.holders: dict[int, Holder | None] = {}
        self.identity: tuple[int, int] | None = None
        # Held while the handshake is driven, and while a holder closes.
        self.lock = allocate_lock()
        self.released = False
        # Called once when it is no longer pending; the epoll objects that watch it meanwhile, by fd and their own fd.
        self.settled: list[Callable[[], None]] = []
        self.watchers: dict[tuple[int, int], Any] = {}

    @property
    def is_open(self) -> bool:
        return self.handshake is None and self.error is None


class Holder(weak_reference):  # type: ignore[type-arg]
    """A weak reference to a socket object that knows the fd under which the object was registered."""

    __slots__ = ("fd",)
    fd: int


by_fd: dict[int, Tunnel] = {}

# The tunnels that pollers must not simply believe the kernel about: pending ones, and failed ones whose error
# has not been reported yet. By fd.
unsettled: dict[int, Tunnel] = {}

# Why the last connect of a socket object failed, for as long as the object lives: an event loop closes its fd.
_failures: dict[weak_reference[Socket], OSError] = {}

# The pending tunnels, in the order in which their handshakes began.
_pending: dict[Tunnel, None] = {}

# Of these the ones that pollers have to end in time, by how long they may take: among equals the oldest is over first.
_timed: dict[float, dict[Tunnel, None]] = {}

_sweep_at = 64


def begin(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    """Register a new tunnel, which is pending."""
    tunnel.handshake = handshake
    _pending[tunnel] = None
    add(sock, tunnel)


def add(sock: Socket, tunnel: Tunnel) -> None:
    """Register a socket object as a holder of a tunnel."""
    fd = _real.fileno(sock)
    previous = by_fd.get(fd)
    if previous is not None and previous is not tunnel:
        drop(fd, previous)
    holder = Holder(sock, _on_collected)
    holder.fd = fd
    tunnel.holders[fd] = holder
    by_fd[fd] = tunnel
    if tunnel.handshake is not None or tunnel.report is not None:
        unsettled[fd] = tunnel
    if len(by_fd) > _sweep_at:
        sweep()


def find(sock: Socket) -> Tunnel | None:
    """The tunnel that a socket object belongs to, if any."""
    fd = _real.fileno(sock)
    tunnel = by_fd.get(fd)
    if tunnel is None:
        return None
    holder = tunnel.holders.get(fd)
    if holder is not None and holder() is sock:
        return tunnel
    return tunnel if _still_means(fd, tunnel) else None


def unsettled_at(fd: int) -> Tunnel | None:
    """The tunnel that pollers must not believe the kernel about, if the fd belongs to one."""
    tunnel = unsettled.get(fd)
    if tunnel is not None and tunnel.holders.get(fd) is None and not _still_means(fd, tunnel):
        drop(fd, tunnel)
        return None
    return tunnel


def adopt(sock: Socket) -> Tunnel | None:
    """Register an object that was made from an fd, if the fd's socket is one of ours."""
    if not by_fd:
        return None
    fd = _real.fileno(sock)
    tunnel = by_fd.get(fd)
    if tunnel is None or not _still_means(fd, tunnel):
        tunnel = _by_identity(fd)
    if tunnel is not None:
        add(sock, tunnel)
    return tunnel


def detach(sock: Socket) -> None:
    """The object is about to give up its fd, which goes on without an object."""
    fd = _real.fileno(sock)
    tunnel = by_fd.get(fd)
    if tunnel is None:
        return
    holder = tunnel.holders.get(fd)
    if holder is not None and holder() is sock:
        tunnel.identity = _identity(fd)
        tunnel.holders[fd] = None


def moved(tunnel: Tunnel, fd: int) -> None:
    """Another kernel socket was put on the fd: if its name was known, it is no longer that."""
    if tunnel.identity is not None:
        tunnel.identity = _identity(fd)


def drop(fd: int, tunnel: Tunnel) -> None:
    """Forget that an fd belongs to a tunnel."""
    tunnel.holders.pop(fd, None)
    if by_fd.get(fd) is tunnel:
        del by_fd[fd]
    if unsettled.get(fd) is tunnel:
        del unsettled[fd]
    if not tunnel.holders:
        tunnel.released = True
        _forget_pending(tunnel)


def end(tunnel: Tunnel) -> None:
    """The tunnel is no longer pending."""
    _pending.pop(tunnel, None)
    if _timed:
        _forget_pending(tunnel)
    tunnel.handshake = None
    if tunnel.report is None and unsettled:
        settle(tunnel)


def settle(tunnel: Tunnel) -> None:
    """Pollers may believe the kernel again."""
    tunnel.report = None
    for fd in list(tunnel.holders):
        if unsettled.get(fd) is tunnel:
            del unsettled[fd]


def failed(tunnel: Tunnel, error: OSError) -> None:
    """Remember why a tunnel could not be opened."""
    tunnel.error = error
    for sock in objects(tunnel):
        _failures[weak_reference(sock, _failures.pop)] = error


def failure(sock: Socket) -> OSError | None:
    """Why the last connect of a socket object failed; None if it did not."""
    tunnel = find(sock)
    return tunnel.error if tunnel is not None else _failures.get(weak_reference(sock))


def oldest_pending() -> Tunnel | None:
    """The pending tunnel that began first."""
    return next(iter(_pending), None)


def begin_timing(tunnel: Tunnel, handshake: Handshake) -> None:
    """From now on pollers see to it that a pending tunnel does not outlive its time: no connect() waits for it."""
    _timed.setdefault(handshake.limit, {})[tunnel] = None
    if tunnel.handshake is None:  # settled by another thread meanwhile
        _timed[handshake.limit].pop(tunnel, None)


def next_over() -> Tunnel | None:
    """The pending tunnel whose time is over first, of those that pollers have to end."""
    oldest = [next(iter(equals), None) for equals in list(_timed.values())]
    firsts = [tunnel for tunnel in oldest if tunnel is not None]
    if len(firsts) < 2:
        return firsts[0] if firsts else None
    return min(firsts, key=lambda tunnel: tunnel.handshake.deadline if tunnel.handshake is not None else 0.0)


def _forget_pending(tunnel: Tunnel) -> None:
    _pending.pop(tunnel, None)
    if tunnel.handshake is not None:
        _timed.get(tunnel.handshake.limit, {}).pop(tunnel, None)


def after_fork() -> None:
    """In a child, pending handshakes are the parent's: nobody here goes on with them.

    The fds are shared, and so are the epoll objects; neither is touched. To the child they are failed connects.
    """
    for tunnel in list(_pending):
        tunnel.lock = allocate_lock()
        tunnel.watchers.clear()
        tunnel.error = not_connected()
        end(tunnel)


def sweep() -> None:
    """Forget every fd that no longer means the socket it was registered for."""
    global _sweep_at
    for fd, tunnel in list(by_fd.items()):
        if not _still_means(fd, tunnel):
            drop(fd, tunnel)
    _sweep_at = max(64, 2 * len(by_fd))


def holder(tunnel: Tunnel) -> Socket | None:
    """A living socket object that holds a tunnel."""
    for reference in tunnel.holders.values():
        sock: Socket | None = reference() if reference is not None else None
        if sock is not None:
            return sock
    return None


def objects(tunnel: Tunnel) -> list[Socket]:
    """The living socket objects that hold a tunnel."""
    held = [holder() for holder in list(tunnel.holders.values()) if holder is not None]
    return [sock for sock in held if sock is not None]


def borrow(tunnel: Tunnel) -> Any:
    """Where every holder is detached: an object of ours on the tunnel's fd, to be detached again after use."""
    return _real.Socket(fileno=next(iter(tunnel.holders)))


def not_connected() -> OSError:
    """What the kernel says of a socket whose connect is pending or has failed."""
    return OSError(ENOTCONN, os.strerror(ENOTCONN))


def _on_collected(holder: Holder) -> None:
    tunnel = by_fd.get(holder.fd)
    if tunnel is not None and tunnel.holders.get(holder.fd) is holder:
        drop(holder.fd, tunnel)


def _still_means(fd: int, tunnel: Tunnel) -> bool:
    holder = tunnel.holders.get(fd)
    if holder is not None:
        sock = holder()
        return sock is not None and _real.fileno(sock) == fd
    return tunnel.identity is not None and tunnel.identity == _identity(fd)


def _by_identity(fd: int) -> Tunnel | None:
    wanted = _identity(fd)
    if wanted is None:
        return None
    for other, tunnel in list(by_fd.items()):
        # A name that is known stays true when the fd it was learned from is closed: other dups go on.
        if tunnel.identity is None and not _still_means(other, tunnel):
            continue
        if _identify(tunnel, other) == wanted:
            return tunnel
    return None


def _identify(tunnel: Tunnel, fd: int) -> tuple[int, int] | None:
    """The kernel's name; kept once it is final, for while a tunnel is pending another socket may be moved to its fd."""
    if tunnel.identity is not None:
        return tunnel.identity
    identity = _identity(fd)
    if tunnel.handshake is None:
        tunnel.identity = identity
    return identity


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
