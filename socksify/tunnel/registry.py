"""What we know of each kernel socket that goes, or went, through a proxy.

An essay on identity. The same connection may be held by several Python objects: `ssl.wrap_socket()` makes a
new object on the fd and detaches the old one, `dup()` and `socket(fileno=)` make more, on the same or on other
fds; and an fd may be closed behind our back (`os.close(s.detach())`, `os.closerange()`) and soon mean another
socket, while the object that had it lives on. So a Tunnel is found by fd, and the find is verified: the kernel's own
name for the socket, (st_dev, st_ino) of fstat(2), is learned when it is registered, and compared. An fd that turns
out to mean something else is forgotten at once. Copies are found by that name, whatever their fds.

Objects dropped by the garbage collector run no Python code, but their weak references do. What even that
cannot see, an fd that was detached and then closed, is swept away from time to time, at amortised O(1).
"""

from __future__ import annotations

import os
from _weakref import ref as weak_reference
from errno import EALREADY, EBADF, EISCONN
from operator import index

from socksify import _originals
from socksify._descriptors import identity
from socksify.tunnel import control_connections, deadlines, unattended
from socksify.tunnel.state import Holder, Tunnel, not_connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify._descriptors import Identity
    from socksify.routing.sockaddr import SockAddress
    from socksify.tunnel.handshake import Handshake


by_fd: dict[int, Tunnel] = {}

# The same tunnels by the kernel's names for their sockets.
_by_identity: dict[Identity, Tunnel] = {}

# The tunnels that pollers must not simply believe the kernel about: pending ones, failed ones whose error has not
# been reported yet, and listening ones. By fd.
unsettled: dict[int, Tunnel] = {}

# Why the last connect of a socket object failed, for as long as the object lives: an event loop closes its fd.
_failures: dict[weak_reference[Socket], OSError] = {}

# The addresses of their client's own choice that socket objects were bound to.
_bound: dict[weak_reference[Socket], SockAddress] = {}

_sweep_at = 64


def begin(sock: Socket, tunnel: Tunnel, handshake: Handshake, instead_of: Tunnel | None = None) -> None:
    """Register a new tunnel, which is pending, for a socket of no tunnel, or of `instead_of`.

    A signal handler or another thread may have been faster: raises EALREADY or EISCONN then, EBADF if it has closed
    the socket.
    """
    tunnel.handshake = handshake
    fd = _originals.fileno(sock)
    name = identity(fd)
    if name is None:
        raise OSError(EBADF, os.strerror(EBADF))
    tunnel.identities = (name,)
    holder = Holder(sock, _on_collected)
    holder.fd = fd
    tunnel.holders[fd] = holder
    if instead_of is not None and by_fd.get(fd) is instead_of:
        # At every moment one of the two is found, whatever interrupts this.
        by_fd[fd] = _by_identity[name] = tunnel
        drop(fd, instead_of)
    while (other := by_fd.setdefault(fd, tunnel)) is not tunnel:
        if other is not instead_of and other.error is None and other.is_on(fd):
            tunnel.holders.clear()
            number = EALREADY if other.handshake is not None else EISCONN
            raise OSError(number, os.strerror(number))
        drop(fd, other)
    _by_identity[name] = tunnel
    unsettled[fd] = tunnel
    deadlines.add(tunnel)
    if len(by_fd) > _sweep_at:
        sweep()
    if _originals.fileno(sock) != fd:
        drop(fd, tunnel)
        raise OSError(EBADF, os.strerror(EBADF))


def bound_to(sock: Socket, address: SockAddress) -> None:
    """A socket object was bound to an address, or a port, that its client named."""
    _bound[weak_reference(sock, _bound.pop)] = address


def chosen_address(sock: Socket) -> SockAddress | None:
    """What the client of a socket object named to bind(); None if it left that open."""
    return _bound.get(weak_reference(sock))


def chosen_port(sock: Socket) -> int:
    """The port that the client of a socket object named to bind(); 0 if it left that open."""
    address = chosen_address(sock)
    return index(address[1]) if address is not None else 0


def is_taken(tunnel: Tunnel, port: int) -> bool:
    """Whether another connection to the same target has the same port of its client's choice."""
    target = tunnel.route.target
    others = [other for other in list(by_fd.values()) if other.chosen_port == port and other is not tunnel]
    return any(other.route.target == target and other.error is None and other.is_somewhere() for other in others)


def add(sock: Socket, tunnel: Tunnel) -> None:
    """Register a socket object as a holder of a tunnel."""
    fd = _originals.fileno(sock)
    holder = Holder(sock, _on_collected)
    holder.fd = fd
    if tunnel.is_unsettled:
        # A listening socket is found here first.
        unsettled[fd] = tunnel
    _add(fd, tunnel, holder)
    if tunnel.is_unsettled:
        unsettled[fd] = tunnel
        if not tunnel.is_unsettled:  # settled meanwhile
            settle(tunnel)
    if len(by_fd) > _sweep_at:
        sweep()


def find(sock: Socket) -> Tunnel | None:
    """The tunnel that a socket object belongs to, if any."""
    fd = _originals.fileno(sock)
    while (tunnel := by_fd.get(fd)) is not None:
        if _waits_in(tunnel, sock, fd) or tunnel.is_on(fd):
            return tunnel
        _forget_stale(fd, tunnel)
    return None


def unsettled_at(fd: int) -> Tunnel | None:
    """The tunnel that pollers must not believe the kernel about, if the fd belongs to one."""
    tunnel = unsettled.get(fd)
    if tunnel is not None and not tunnel.is_on(fd):
        _forget_stale(fd, tunnel)
        tunnel = unsettled.get(fd)
        return tunnel if tunnel is not None and tunnel.is_on(fd) else None
    return tunnel


def adopt(sock: Socket) -> Tunnel | None:
    """Register an object that was made from an fd, if the fd's socket is one of ours."""
    if not by_fd:
        return None
    fd = _originals.fileno(sock)
    name = identity(fd)
    tunnel = _by_identity.get(name) if name is not None else None
    if tunnel is not None:
        add(sock, tunnel)
    return tunnel


def detach(sock: Socket) -> None:
    """The object is about to give up its fd, which goes on without an object."""
    tunnel = _held_by(sock)
    if tunnel is not None:
        tunnel.holders[_originals.fileno(sock)] = None


def closing(sock: Socket) -> Tunnel | None:
    """The tunnel of an object that is about to close its fd, if any.

    What an object has registered itself is not verified: nothing is done to the fd.
    """
    return _held_by(sock) or find(sock)


def add_fd(fd: int, tunnel: Tunnel) -> None:
    """Register an fd of a settled tunnel of which no object has been made yet."""
    _add(fd, tunnel, None)


def moving(tunnel: Tunnel, fresh: int) -> None:
    """The kernel socket of the fd `fresh` is about to be put on the tunnel's."""
    _learn(tunnel, fresh)


def has_moved(tunnel: Tunnel) -> None:
    """The latest kernel socket is on all of the tunnel's fds by now: the others are nobody's."""
    for name in tunnel.identities[1:]:
        _remove(_by_identity, name, tunnel)
    tunnel.identities = tunnel.identities[:1]


def drop(fd: int, tunnel: Tunnel) -> None:
    """Forget that an fd belongs to a tunnel."""
    if tunnel.holders.keys() <= {fd}:
        tunnel.released = True
        deadlines.discard(tunnel)
        control_connections.forget(tunnel)
        for name in tunnel.identities:
            _remove(_by_identity, name, tunnel)
    _remove(unsettled, fd, tunnel)
    tunnel.holders.pop(fd, None)
    # Last: as long as it is found by its fd, what an exception has left undone is done by the next one.
    _remove(by_fd, fd, tunnel)


def end(tunnel: Tunnel) -> None:
    """The tunnel is no longer pending: the last step by which it is settled."""
    deadlines.discard(tunnel)
    if tunnel.report is None and unsettled and not tunnel.listens:
        settle(tunnel)
    tunnel.handshake = None


def settle(tunnel: Tunnel) -> None:
    """Pollers may believe the kernel again."""
    tunnel.report = None
    for fd in list(tunnel.holders):
        _remove(unsettled, fd, tunnel)


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
    """In a child, peers to come are the parent's: nobody here waits for them.

    The fds are shared, and so are the epoll objects; neither is touched. To the child they are failed connects.
    """
    unattended.after_fork()
    for tunnel in [tunnel for tunnel in dict.fromkeys(list(by_fd.values())) if tunnel.listens]:
        tunnel.watchers.clear()
        tunnel.error = not_connected()
        end(tunnel)


def sweep() -> None:
    """Forget every fd that no longer means the socket it was registered for."""
    global _sweep_at
    for fd, tunnel in by_fd.copy().items():
        if not tunnel.is_on(fd):
            drop(fd, tunnel)
    _sweep_at = max(64, 2 * len(by_fd))


def _on_collected(holder: Holder) -> None:
    tunnel = by_fd.get(holder.fd)
    if tunnel is not None and tunnel.holders.get(holder.fd) is holder:
        drop(holder.fd, tunnel)


def _add(fd: int, tunnel: Tunnel, holder: Holder | None) -> None:
    previous = by_fd.get(fd)
    # In this order: whatever interrupts this, one of the two is found by its fd, with all of its names.
    tunnel.holders[fd] = holder
    by_fd[fd] = tunnel
    if not tunnel.identities:
        _learn(tunnel, fd)
    else:
        # It may have had no fd for a while, as the connection of a peer that was accepted.
        tunnel.released = False
        _by_identity.update(dict.fromkeys(tunnel.identities, tunnel))
    if previous is not None and previous is not tunnel:
        drop(fd, previous)


def _remove(table: dict[Any, Tunnel], key: object, tunnel: Tunnel) -> None:
    """Take a tunnel out of a table, whatever a signal handler or another thread does to that meanwhile."""
    if table.get(key) is tunnel:
        removed = table.pop(key, tunnel)
        if removed is not tunnel:
            table.setdefault(key, removed)


def _learn(tunnel: Tunnel, fd: int) -> None:
    name = identity(fd)
    if name is not None:
        # The latest first: it is the one that is looked for.
        tunnel.identities = (name, *tunnel.identities)
        _by_identity[name] = tunnel


def _forget_stale(fd: int, tunnel: Tunnel) -> None:
    """The fd was closed behind our back: it means nothing, or something else, which inherits nothing.

    Or another thread has just moved a fresh socket onto it (`rendezvous.rest`): so the kernel is asked once more.
    """
    if not tunnel.is_on(fd):
        drop(fd, tunnel)


def _held_by(sock: Socket) -> Tunnel | None:
    """The tunnel that an object itself was registered with under the fd that it has."""
    fd = _originals.fileno(sock)
    tunnel = by_fd.get(fd)
    holder = tunnel.holders.get(fd) if tunnel is not None else None
    return tunnel if holder is not None and holder() is sock else None


def _waits_in(tunnel: Tunnel, sock: Socket, fd: int) -> bool:
    """Whether it is the object whose connect() waits: that stands on the fd."""
    handshake = tunnel.handshake
    if handshake is None or not handshake.waits:
        return False
    holder = tunnel.holders.get(fd)
    return holder is not None and holder() is sock
