"""One connection through a chain of proxies, and the socket objects that hold it."""

from __future__ import annotations

import os
from _weakref import ref as weak_reference
from errno import ENOTCONN

from socksify import _originals
from socksify._descriptors import identity
from socksify._signal_safety import OwnedLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

    from socksify._descriptors import Identity
    from socksify.routing.route import Via
    from socksify.tunnel.bind.listener import Rendezvous
    from socksify.tunnel.handshake import Handshake


class Tunnel:
    """One connection through a chain of proxies: pending while it has a handshake, failed if it has an error."""

    __slots__ = (
        "bound",
        "chosen_port",
        "error",
        "handshake",
        "holders",
        "identities",
        "lock",
        "options",
        "released",
        "rendezvous",
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
        # For a listening socket: what its proxy is asked for. None for a connection.
        self.rendezvous: Rendezvous | None = None
        # BND.ADDR and BND.PORT of the last hop's reply: (host, port).
        self.bound: tuple[str, int] | None = None
        # The port to which the client bound its socket before, and which it goes on to see; 0 if it left that open.
        self.chosen_port = 0
        # Options that the client set and the kernel's socket cannot have: (level, name) -> value.
        self.options: dict[tuple[int, int], int] = {}
        self.holders: dict[int, Holder | None] = {}
        # The kernel sockets that are, or were, its own, the latest first: a fresh one may be moved onto an fd.
        self.identities: tuple[Identity, ...] = ()
        # Held while the handshake is driven.
        self.lock = OwnedLock()
        self.released = False
        # Called once when it is no longer pending; the epoll objects that watch it meanwhile, by fd and their own fd.
        self.settled: list[Callable[[], None]] = []
        self.watchers: dict[tuple[int, int], Any] = {}

    @property
    def is_open(self) -> bool:
        return self.handshake is None and self.error is None and self.rendezvous is None

    @property
    def is_shut(self) -> bool:
        """Whether the client has shut it down while it was connecting."""
        return type(self.error) is ConnectionResetError

    @property
    def is_unsettled(self) -> bool:
        """Whether pollers must not simply believe the kernel about it."""
        return self.handshake is not None or self.report is not None or self.listens

    @property
    def listens(self) -> bool:
        """Whether it is a listening socket that may be waited for."""
        return self.rendezvous is not None and self.rendezvous.listens and self.error is None

    def awaited(self, mask: int) -> int:
        """The poll(2) events that the kernel is asked for where the client asks for `mask`."""
        handshake = self.handshake
        if handshake is not None and not handshake.driven and not handshake.outcome:
            return handshake.events
        rendezvous = self.rendezvous
        return mask if rendezvous is None or not self.listens else rendezvous.awaited(mask)

    def is_on(self, fd: int) -> bool:
        """Whether the fd means the tunnel's own socket; the kernel is asked."""
        return identity(fd) in self.identities

    def is_somewhere(self) -> bool:
        """Whether any of its fds still means its socket: somebody may have closed them behind our back."""
        return any(self.is_on(fd) for fd in list(self.holders))

    def holder(self) -> Socket | None:
        """A living socket object that holds it, for reading and writing."""
        handshake = self.handshake
        waits = handshake is not None and handshake.waits
        other = None
        for fd, reference in self.holders.copy().items():
            sock: Socket | None = reference() if reference is not None else None
            # A connect() that waits stands on the fd: it costs no further look.
            if sock is None or waits:
                if sock is not None:
                    return sock
                continue
            name = identity(fd)
            if name in self.identities[:1]:
                return sock
            if name in self.identities:
                # A copy of the socket that was there before a fresh one was moved onto the fd.
                other = sock
        return other

    def own_fd(self) -> int | None:
        """An fd that means the tunnel's own socket, the latest that was moved there if any; None if all are gone."""
        found = {identity(fd): fd for fd in list(self.holders)}
        return next((found[name] for name in self.identities if name in found), None)

    def objects(self) -> list[Socket]:
        """The living socket objects that were registered, whatever their fds mean by now."""
        held = [reference() for reference in list(self.holders.values()) if reference is not None]
        return [sock for sock in held if sock is not None]

    def verified(self) -> list[Socket]:
        """The living socket objects on whose fds something may be done: these mean the tunnel's own socket."""
        return [sock for sock in self.objects() if self.is_on(_originals.fileno(sock))]

    def borrow(self) -> Any:
        """Where every holder is detached: an object of ours on its fd, to be detached again after use; None if gone."""
        fd = self.own_fd()
        return None if fd is None else _originals.Socket(fileno=fd)


class Holder(weak_reference):  # type: ignore[type-arg]
    """A weak reference to a socket object that knows the fd under which the object was registered."""

    __slots__ = ("fd",)
    fd: int


def not_connected() -> OSError:
    """What the kernel says of a socket whose connect is pending or has failed."""
    return OSError(ENOTCONN, os.strerror(ENOTCONN))
