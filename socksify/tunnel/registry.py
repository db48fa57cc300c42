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
from _weakref import ref as weak_reference

from socksify import _real
from socksify.tunnel import callers, pending
from socksify.tunnel.tunnel import Holder, Tunnel, not_connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket

    from socksify.tunnel.handshake import Handshake


by_fd: dict[int, Tunnel] = {}

# The tunnels that pollers must not simply believe the kernel about: pending ones, failed ones whose error has not
# been reported yet, and listening ones. By fd.
unsettled: dict[int, Tunnel] = {}

# Why the last connect of a socket object failed, for as long as the object lives: an event loop closes its fd.
_failures: dict[weak_reference[Socket], OSError] = {}

# The ports of their client's own choice that socket objects were bound to.
_chosen_ports: dict[weak_reference[Socket], int] = {}

_sweep_at = 64


def begin(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    """Register a new tunnel, which is pending."""
    tunnel.handshake = handshake
    pending.add(tunnel)
    add(sock, tunnel)


def choose_port(sock: Socket, port: int) -> None:
    """A socket object was bound to a port that its client named."""
    _chosen_ports[weak_reference(sock, _chosen_ports.pop)] = port


def chosen_port(sock: Socket) -> int:
    """The port that the client of a socket object named to bind(); 0 if it left that open."""
    return _chosen_ports.get(weak_reference(sock), 0)


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
    if tunnel.handshake is not None or tunnel.report is not None or tunnel.listens:
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


def add_fd(fd: int, tunnel: Tunnel) -> None:
    """Register an fd of a settled tunnel of which no object has been made yet."""
    tunnel.identity = _identity(fd)
    tunnel.holders[fd] = None
    by_fd[fd] = tunnel


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
        pending.discard(tunnel)
        callers.forget(tunnel)


def end(tunnel: Tunnel) -> None:
    """The tunnel is no longer pending."""
    pending.discard(tunnel)
    tunnel.handshake = None
    if tunnel.report is None and unsettled and not tunnel.listens:
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
    for sock in tunnel.objects():
        _failures[weak_reference(sock, _failures.pop)] = error


def failure(sock: Socket) -> OSError | None:
    """Why the last connect of a socket object failed; None if it did not."""
    tunnel = find(sock)
    return tunnel.error if tunnel is not None else _failures.get(weak_reference(sock))


def after_fork() -> None:
    """In a child, pending handshakes and peers to come are the parent's: nobody here goes on with them.

    The fds are shared, and so are the epoll objects; neither is touched. To the child they are failed connects.
    """
    known = {*pending.everyone(), *by_fd.values()}
    for tunnel in known:
        # Another thread, which is not here, may hold it, also of one that it was about to settle.
        tunnel.lock = _real.allocate_lock()
    for tunnel in [tunnel for tunnel in known if tunnel.handshake is not None or tunnel.listens]:
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
