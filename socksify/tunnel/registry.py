"""The registry of all kernel sockets that go, or went, through a proxy.

An essay on identity. Several Python objects may hold the same connection: `ssl.wrap_socket()` makes a new object on
the fd and detaches the old one; `dup()` and `socket(fileno=)` make more objects, on the same fd or on others. An fd may
be closed without a call of the object's methods (`os.close(s.detach())`, `os.closerange()`). Soon the same number may
refer to another socket, while the object that had the fd lives on. So a Tunnel is found by its fd, and then the fd is
verified. The kernel's own name for the socket is (st_dev, st_ino) of fstat(2). The name is stored when the socket is
registered, and compared at each look-up. An fd that turns out to refer to another file is forgotten at once. Copies are
found by the name; their fds may be any.

Objects dropped by the garbage collector run no Python code, but the callbacks of their weak references do. Weak
references cannot see an fd that was detached and then closed. Such entries are swept away from time to time, at
amortised O(1).

There is one Registry, `registry`. Each of its parts has one subject, such as the deadlines of handshakes, the masks of
epoll objects, the connections on whose behalf a proxy may listen, and the addresses of proxies. No table has a lock,
because a signal handler would wait for the code that it interrupted. Instead the steps are ordered so that a socket is
found at every moment, either in its old state or in its new one (see `socksify/_signal_safety.py`).
"""

from __future__ import annotations

import os
from _weakref import ref as weak_reference
from errno import EALREADY, EBADF, EISCONN
from functools import partial
from operator import index

from socksify import _originals
from socksify._descriptors import identity
from socksify.tunnel.control_connections import ControlConnections
from socksify.tunnel.deadlines import Deadlines
from socksify.tunnel.epoll_masks import EpollMasks
from socksify.tunnel.external_addresses import ExternalAddresses
from socksify.tunnel.proxy_addresses import ProxyAddresses
from socksify.tunnel.state import not_connected
from socksify.tunnel.unattended import Unattended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify._descriptors import Identity
    from socksify.routing.sockaddr import SockAddress
    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.state import Holder, Tunnel

_FEW = 64


class Registry:
    """The tunnels, by their fds and by the kernel's names for their sockets, and the tables that belong to them.

    `by_fd` and `unsettled` are read at each call on a socket and at each wait. Fast code may keep a reference to either
    dict, because the dict object stays the same.
    """

    __slots__ = (
        "_bound",
        "_by_identity",
        "_failures",
        "_sweep_at",
        "by_fd",
        "control_connections",
        "deadlines",
        "epoll_masks",
        "external_addresses",
        "proxy_addresses",
        "unattended",
        "unsettled",
    )

    def __init__(self) -> None:
        self.by_fd: dict[int, Tunnel] = {}
        # The tunnels, by fd, on which the kernel's report must not simply be passed on to pollers: pending ones,
        # failed ones whose error has not been reported yet, and listening ones.
        self.unsettled: dict[int, Tunnel] = {}
        self._by_identity: dict[Identity, Tunnel] = {}
        # The error of the last connect of each living socket object. The object outlives its fd, which an event loop
        # closes.
        self._failures: dict[weak_reference[Socket], OSError] = {}
        # The addresses that clients chose in bind(), by socket object.
        self._bound: dict[weak_reference[Socket], SockAddress] = {}
        self._sweep_at = _FEW
        self.deadlines = Deadlines()
        self.unattended = Unattended()
        self.epoll_masks = EpollMasks(self.unattended)
        self.control_connections = ControlConnections()
        self.proxy_addresses = ProxyAddresses()
        self.external_addresses = ExternalAddresses(self.proxy_addresses)

    # --- a tunnel comes and goes ---

    def begin(self, sock: Socket, tunnel: Tunnel, handshake: Handshake, instead_of: Tunnel | None = None) -> None:
        """Register a new, pending tunnel for a socket that has no tunnel, or whose tunnel is `instead_of`.

        The method `settled` must be an observer of the tunnel already. If a signal handler or another thread has
        registered a tunnel for the socket first, EALREADY or EISCONN is raised. If the socket was closed, EBADF is
        raised.
        """
        fd = _originals.fileno(sock)
        name = identity(fd)
        if name is None:
            raise OSError(EBADF, os.strerror(EBADF))
        # For BIND the client sees the port on which the proxy listens.
        port = self.chosen_port(sock) if tunnel.listener is None else 0
        tunnel.begin(handshake, name, fd, self._holder(sock, fd), port)
        by_fd = self.by_fd
        if instead_of is not None and by_fd.get(fd) is instead_of:
            # One of the two tunnels is found at every moment, even if this code is interrupted.
            by_fd[fd] = self._by_identity[name] = tunnel
            self.drop(fd, instead_of)
        while (other := by_fd.setdefault(fd, tunnel)) is not tunnel:
            if other is not instead_of and other.error is None and other.is_on(fd):
                tunnel.holders.clear()
                number = EALREADY if other.handshake is not None else EISCONN
                raise OSError(number, os.strerror(number))
            self.drop(fd, other)
        self._by_identity[name] = tunnel
        self.unsettled[fd] = tunnel
        self.deadlines.add(tunnel)
        if tunnel.handshake is None:  # settled meanwhile, in a child that a signal handler has forked
            self.settled(tunnel)
        if len(by_fd) > self._sweep_at:
            self.sweep()
        if _originals.fileno(sock) != fd:
            self.drop(fd, tunnel)
            raise OSError(EBADF, os.strerror(EBADF))

    def add(self, sock: Socket, tunnel: Tunnel) -> None:
        """Register a socket object as a holder of a tunnel."""
        fd = _originals.fileno(sock)
        if tunnel.is_unsettled:
            tunnel.observe(self.settled)
            # The entry of a listening socket must exist here before it exists in the other tables.
            self.unsettled[fd] = tunnel
        self._hold(fd, tunnel, self._holder(sock, fd))
        if tunnel.is_unsettled:
            self.unsettled[fd] = tunnel
            if not tunnel.is_unsettled:  # settled meanwhile
                self._believe_kernel(tunnel)
        if len(self.by_fd) > self._sweep_at:
            self.sweep()

    def add_fd(self, fd: int, tunnel: Tunnel) -> None:
        """Register an fd of a settled tunnel of which no object has been made yet."""
        self._hold(fd, tunnel, None)

    def add_copy(self, sock: Socket) -> Tunnel | None:
        """Register an object that was made from an fd, if the fd's socket has a tunnel; return the tunnel, or None."""
        if not self.by_fd:
            return None
        fd = _originals.fileno(sock)
        name = identity(fd)
        tunnel = self._by_identity.get(name) if name is not None else None
        if tunnel is not None:
            self.add(sock, tunnel)
        return tunnel

    def detach(self, sock: Socket) -> None:
        """Note that the object is about to give up its fd. The fd stays open without an object."""
        tunnel = self._held_by(sock)
        if tunnel is not None:
            tunnel.hold(_originals.fileno(sock), None)

    def drop(self, fd: int, tunnel: Tunnel) -> None:
        """Forget that an fd belongs to a tunnel."""
        if tunnel.holders.keys() <= {fd}:
            tunnel.release()
            self.deadlines.discard(tunnel)
            self.unattended.discard(tunnel)
            self.control_connections.forget(tunnel)
            for name in tunnel.identities:
                _remove(self._by_identity, name, tunnel)
        _remove(self.unsettled, fd, tunnel)
        tunnel.holders.pop(fd, None)
        # This step is the last. If an exception interrupts drop(), the tunnel is still found by its fd, so a later
        # call of drop() completes the work.
        _remove(self.by_fd, fd, tunnel)

    def sweep(self) -> None:
        """Forget every fd that no longer refers to the socket for which it was registered."""
        for fd, tunnel in self.by_fd.copy().items():
            if not tunnel.is_on(fd):
                self.drop(fd, tunnel)
        self._sweep_at = max(_FEW, 2 * len(self.by_fd))

    def settled(self, tunnel: Tunnel) -> None:
        """Update the tables, because the handshake of a tunnel is over, or its failure has been reported.

        This may be called twice for the same tunnel.
        """
        if tunnel.error is not None and tunnel.handshake is not None and not tunnel.released:
            for sock in tunnel.objects():
                self._failures[weak_reference(sock, self._failures.pop)] = tunnel.error
        if tunnel.watchers and not tunnel.released:
            self.epoll_masks.restore(tunnel)
        self.deadlines.discard(tunnel)
        self.unattended.discard(tunnel)
        tunnel.watchers.clear()
        if tunnel.report is None and (tunnel.listener is None or not tunnel.listens):
            self._believe_kernel(tunnel)

    # --- a tunnel is looked for ---

    def find(self, sock: Socket) -> Tunnel | None:
        """Return the tunnel that a socket object belongs to, if any."""
        fd = _originals.fileno(sock)
        while (tunnel := self.by_fd.get(fd)) is not None:
            if _waits_in(tunnel, sock, fd) or tunnel.is_on(fd):
                return tunnel
            self._forget_stale(fd, tunnel)
        return None

    def unsettled_at(self, fd: int) -> Tunnel | None:
        """Return the tunnel of the fd if it is unsettled (`Tunnel.is_unsettled`), otherwise None."""
        tunnel = self.unsettled.get(fd)
        if tunnel is not None and not tunnel.is_on(fd):
            self._forget_stale(fd, tunnel)
            tunnel = self.unsettled.get(fd)
            return tunnel if tunnel is not None and tunnel.is_on(fd) else None
        return tunnel

    def closing(self, sock: Socket) -> Tunnel | None:
        """Return the tunnel of an object that is about to close its fd, if any.

        If the object itself was registered, its fd is not verified, because nothing is done to the fd.
        """
        return self._held_by(sock) or self.find(sock)

    def everyone(self) -> list[Tunnel]:
        """Return all tunnels that have an fd, each of them once, the latest last."""
        return list(dict.fromkeys(list(self.by_fd.values())))

    def known_at(self, host: str) -> list[Tunnel]:
        """Return the open connections whose clients were told that `host` is their own address, the latest last."""
        own_host = self.external_addresses.host
        return [each for each in self.everyone() if each.is_open and own_host(each) == host and each.is_somewhere()]

    def is_taken(self, tunnel: Tunnel, port: int) -> bool:
        """Whether the client has chosen the same port for another connection to the same target."""
        target = tunnel.route.target
        others = [other for other in list(self.by_fd.values()) if other.chosen_port == port and other is not tunnel]
        return any(other.route.target == target and other.error is None and other.is_somewhere() for other in others)

    # --- moving another kernel socket onto the fds of a tunnel ---

    def moving(self, tunnel: Tunnel, fresh: int) -> None:
        """Note that the kernel socket of the fd `fresh` is about to be put on the fds of the tunnel."""
        self._learn(tunnel, fresh)

    def has_moved(self, tunnel: Tunnel) -> None:
        """Forget the older kernel sockets of the tunnel: the latest one is on all its fds by now."""
        for name in tunnel.identities[1:]:
            _remove(self._by_identity, name, tunnel)
        tunnel.take_identities(tunnel.identities[:1])

    # --- facts about socket objects ---

    def bound_to(self, sock: Socket, address: SockAddress) -> None:
        """Remember that a socket object was bound to an address, or a port, that its client chose."""
        self._bound[weak_reference(sock, self._bound.pop)] = address

    def chosen_address(self, sock: Socket) -> SockAddress | None:
        """Return the address that the client chose in bind(); None if the client chose none."""
        return self._bound.get(weak_reference(sock))

    def chosen_port(self, sock: Socket) -> int:
        """Return the port that the client chose in bind(); 0 if the client chose none."""
        address = self.chosen_address(sock)
        return index(address[1]) if address is not None else 0

    def failure(self, sock: Socket) -> OSError | None:
        """Return the error with which the last connect of a socket object failed; None if it did not fail."""
        tunnel = self.find(sock)
        return tunnel.error if tunnel is not None else self._failures.get(weak_reference(sock))

    # --- the process ---

    def clear(self) -> None:
        """Forget the facts that belong to one installation. Connections stay known as long as their sockets exist."""
        self.deadlines.clear()
        self.unattended.clear()
        self.epoll_masks.clear()
        self.control_connections.clear()
        self.external_addresses.clear()
        self.proxy_addresses.clear()

    def after_fork(self) -> None:
        """Fail the listening sockets in a child, because the awaited peers belong to the parent.

        Parent and child share the fds and the epoll objects, so neither are touched. In the child the listening
        sockets look like sockets whose connect has failed.
        """
        self.unattended.clear()
        for tunnel in [tunnel for tunnel in self.everyone() if tunnel.listens]:
            tunnel.watchers.clear()
            tunnel.fail(not_connected())
            tunnel.take_report()

    # --- in private ---

    def _believe_kernel(self, tunnel: Tunnel) -> None:
        if self.unsettled:
            for fd in list(tunnel.holders):
                _remove(self.unsettled, fd, tunnel)

    def _holder(self, sock: Socket, fd: int) -> Holder:
        return weak_reference(sock, partial(self._on_collected, fd))

    def _on_collected(self, fd: int, holder: Holder) -> None:
        tunnel = self.by_fd.get(fd)
        if tunnel is not None and tunnel.holders.get(fd) is holder:
            self.drop(fd, tunnel)

    def _hold(self, fd: int, tunnel: Tunnel, holder: Holder | None) -> None:
        previous = self.by_fd.get(fd)
        # This order matters: if this code is interrupted, one of the two tunnels is found by the fd with all its names.
        tunnel.hold(fd, holder)
        self.by_fd[fd] = tunnel
        if not tunnel.identities:
            self._learn(tunnel, fd)
        else:
            self._by_identity.update(dict.fromkeys(tunnel.identities, tunnel))
        if previous is not None and previous is not tunnel:
            self.drop(fd, previous)

    def _learn(self, tunnel: Tunnel, fd: int) -> None:
        name = identity(fd)
        if name is not None:
            tunnel.add_identity(name)
            self._by_identity[name] = tunnel

    def _forget_stale(self, fd: int, tunnel: Tunnel) -> None:
        """Drop an fd that was closed unnoticed. A new file with the same number inherits nothing from the tunnel.

        Another thread may have just moved a fresh socket onto the fd (`bind/listener.reset`), so the kernel is asked
        again before the fd is dropped.
        """
        if not tunnel.is_on(fd):
            self.drop(fd, tunnel)

    def _held_by(self, sock: Socket) -> Tunnel | None:
        """Return the tunnel for which this very object was registered, under its present fd."""
        fd = _originals.fileno(sock)
        tunnel = self.by_fd.get(fd)
        holder = tunnel.holders.get(fd) if tunnel is not None else None
        return tunnel if holder is not None and holder() is sock else None


def _remove(table: dict[Any, Tunnel], key: object, tunnel: Tunnel) -> None:
    """Take a tunnel out of a table, even if a signal handler or another thread changes the table meanwhile."""
    if table.get(key) is tunnel:
        removed = table.pop(key, tunnel)
        if removed is not tunnel:
            table.setdefault(key, removed)


def _waits_in(tunnel: Tunnel, sock: Socket, fd: int) -> bool:
    """Whether this is the object whose connect() waits. That connect() keeps the fd in use."""
    handshake = tunnel.handshake
    if handshake is None or not handshake.waits:
        return False
    holder = tunnel.holders.get(fd)
    return holder is not None and holder() is sock


registry = Registry()
