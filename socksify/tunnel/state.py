"""One connection through a chain of proxies, the socket objects that hold it, and what its proxy listens for.

An essay on who may change a Tunnel. Its attributes are assigned by its own methods alone; each method is a transition:

  begin      registry.begin(): the handshake is pending from now on
  settle     the handshake has an outcome (`Handshake.conclude`); what follows from it is done, and then it is no longer
             pending. The tunnel is open, or it has failed
  fail       a socket that listened through the proxy does not any longer
  take_report  the client is told the failure of a non-blocking connect, which is told once

`settle` and `take_report` are one event to the observers of the tunnel: the registry with its tables and the masks of
epoll objects, the guards, BIND, and the log. They are told in the reverse order of their registration, so the registry,
which is the first, is told when the guards are off already. A signal handler or another thread may come between any two
steps, and an exception may end `settle` halfway. Then it is done again, so observers must not mind to be told twice.
The last step is that `handshake` becomes None: whoever finds it set knows that something is left to be done.
"""

from __future__ import annotations

import os
from errno import ENOTCONN
from select import POLLOUT, POLLWRNORM

from socksify import _originals
from socksify._descriptors import identity
from socksify._signal_safety import OwnedLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any
    from weakref import ref

    from socksify._descriptors import Identity
    from socksify.protocol.conversation import Conversation
    from socksify.routing.route import Via
    from socksify.tunnel.handshake import Handshake

    Observer = Callable[["Tunnel"], object]
    # A weak reference to a socket object.
    Holder = ref[Socket]

_WRITABLE = POLLOUT | POLLWRNORM


class Tunnel:
    """One connection through a chain of proxies: pending while it has a handshake, failed if it has an error.

    `route` is the way to its target. For a listening socket `listener` is what the proxy is asked for. `observers` are
    told when the tunnel is settled, the last of them first. `bound` is BND.ADDR and BND.PORT, where these are known
    already. `options` are options that the client has set and the kernel's socket cannot have: (level, name) -> value.
    """

    __slots__ = (
        "_observers",
        "bound",
        "chosen_port",
        "error",
        "handshake",
        "holders",
        "identities",
        "listener",
        "lock",
        "options",
        "released",
        "report",
        "route",
        "watchers",
    )

    def __init__(
        self,
        route: Via,
        listener: BindListener | None = None,
        *,
        observers: tuple[Observer, ...] = (),
        bound: tuple[str, int] | None = None,
        options: dict[tuple[int, int], int] | None = None,
    ) -> None:
        self.route = route
        self.handshake: Handshake | None = None
        self.error: OSError | None = None
        # The error that SO_ERROR has still to report, as connect(2) says of a non-blocking socket: once.
        self.report: OSError | None = None
        # For a listening socket: what its proxy is asked for. None for a connection.
        self.listener = listener
        # BND.ADDR and BND.PORT of the last hop's reply: (host, port).
        self.bound = bound
        # The port to which the client has bound its socket. The client goes on to see this port, whatever the port of
        # the connection to the proxy is.
        self.chosen_port = 0
        self.options: dict[tuple[int, int], int] = dict(options or {})
        # By fd. None where the fd has no object.
        self.holders: dict[int, Holder | None] = {}
        # The kernel sockets that are, or were, its own, the latest first: a fresh one may be moved onto an fd.
        self.identities: tuple[Identity, ...] = ()
        # Held while the handshake is driven.
        self.lock = OwnedLock()
        # Whether no fd holds it any longer.
        self.released = False
        # The epoll objects that watch it while it is pending, by fd and by their own fd.
        self.watchers: dict[tuple[int, int], Any] = {}
        self._observers = observers

    @property
    def is_open(self) -> bool:
        """Whether it is a connection to its target."""
        return self.handshake is None and self.error is None and self.listener is None

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
        # Once only: another thread may take its peer at any moment.
        listener = self.listener
        return listener is not None and listener.listens and self.error is None

    def awaited(self, mask: int) -> int:
        """Return the poll(2) events that the kernel is asked for where the client asks for `mask`."""
        handshake = self.handshake
        if handshake is not None and not handshake.driven and not handshake.outcome:
            return handshake.events
        listener = self.listener
        return mask if listener is None or not self.listens else listener.awaited(mask)

    # --- transitions ---

    def observe(self, observer: Observer) -> None:
        """Have a function called when the tunnel is settled, and when its failure is reported; see above."""
        if observer not in self._observers:
            self._observers += (observer,)

    def be_observed_by(self, *observers: Observer) -> None:
        """From now on only these observers are told."""
        self._observers = observers

    def begin(self, handshake: Handshake, name: Identity, fd: int, holder: Holder, port: int) -> None:
        """A handshake begins, on the kernel's socket of this name, which an object holds by `fd`.

        `port` is the port to which the client has bound the socket before; 0 if the client left the port open.
        """
        self.handshake = handshake
        self.chosen_port = port
        self.identities = (name,)
        self.holders[fd] = holder

    def settle(self, handshake: Handshake) -> None:
        """Take over the outcome of the handshake, and tell the observers. The last step ends the state of pending.

        Nothing is left to be done if another thread, or a signal handler, has taken that step already.
        """
        if self.handshake is not handshake:
            # The client may have been told the failure meanwhile, which is told once.
            return
        error = handshake.outcome["error"]
        if error is None:
            self.bound = handshake.bound()
        else:
            self.error = error
            self.report = None if handshake.waits or self.released else error
        self._tell()
        self.handshake = None
        handshake.end()
        if not self.is_unsettled:
            self._observers = ()

    def take_report(self) -> OSError | None:
        """Return the error that SO_ERROR has still to report, which it thereby is; tell the observers so."""
        report, self.report = self.report, None
        self._tell()
        return report

    def fail(self, error: OSError) -> None:
        """A listening socket fails; an error that it has already stays."""
        self.error = self.error or error

    def be_known_at(self, host: str, port: int | None = None) -> None:
        """The other side knows it by this address; a `port` of None leaves the port as it is."""
        self.bound = host, (self.bound or (host, 0))[1] if port is None else port

    def become_connection(self, route: Via) -> None:
        """The peer has come for which a proxy listened: from now on it is a connection, by `route`."""
        self.listener = None
        self.route = route

    def release(self) -> None:
        """No fd holds it any longer."""
        self.released = True

    def hold(self, fd: int, holder: Holder | None) -> None:
        """An fd belongs to it."""
        self.holders[fd] = holder
        # It may have had no fd for a while, as the connection of a peer that was accepted.
        self.released = False

    def add_identity(self, name: Identity) -> None:
        """Another kernel socket is about to be put on its fds."""
        # The latest is the first: it is the one that is looked for.
        self.identities = (name, *self.identities)

    def take_identities(self, names: tuple[Identity, ...]) -> None:
        """From now on these kernel sockets are its own."""
        self.identities = names

    def _tell(self) -> None:
        for observer in reversed(self._observers):
            observer(self)

    # --- its sockets ---

    def is_on(self, fd: int) -> bool:
        """Whether the fd means the tunnel's own socket; the kernel is asked."""
        return identity(fd) in self.identities

    def is_somewhere(self) -> bool:
        """Whether any of its fds still means its socket: somebody may have closed them behind our back."""
        return any(self.is_on(fd) for fd in list(self.holders))

    def holder(self) -> Socket | None:
        """Return a living socket object that holds it, for reading and writing."""
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
        """Return an fd that means the tunnel's own socket, the latest that was moved there; None if all are gone."""
        found = {identity(fd): fd for fd in list(self.holders)}
        return next((found[name] for name in self.identities if name in found), None)

    def objects(self) -> list[Socket]:
        """Return the living socket objects that were registered, whatever their fds mean by now."""
        held = [reference() for reference in list(self.holders.values()) if reference is not None]
        return [sock for sock in held if sock is not None]

    def verified(self) -> list[Socket]:
        """Return the living socket objects whose fds mean the tunnel's own socket, so that something may be done."""
        return [sock for sock in self.objects() if self.is_on(_originals.fileno(sock))]

    def borrow(self) -> Any:
        """Return an object of ours on its fd, where every holder is detached; None if its fds are gone.

        The object is to be detached again after use.
        """
        fd = self.own_fd()
        return None if fd is None else _originals.Socket(fileno=fd)


class BindListener:
    """What a proxy is asked for, again and again, in place of one listening socket; `bind/listener` does the asking.

    `connections` are those whose peer is to come, at least one. `route` leads to the proxy that is to listen.
    `limit` bounds the question, in seconds. `early` is whether getsockname() asks it before listen() was called.
    `ask_again` is called with the tunnel of an idle listener for which somebody waits; it returns the poll(2) events to
    wait for.
    """

    __slots__ = ("_ask_again", "connections", "early", "is_parting", "limit", "listens", "peer", "route")

    def __init__(
        self, connections: list[Tunnel], route: Via, limit: float, early: bool, ask_again: Callable[[Tunnel], int]
    ) -> None:
        self.connections = connections
        self.route = route
        self.limit = limit
        self.early = early
        # Whether the client has asked for it, by listen() or early.
        self.listens = False
        # Whether the last connection to the proxy may still be on its descriptors.
        self.is_parting = False
        # The second answer, while it is awaited.
        self.peer: Conversation | None = None
        self._ask_again = ask_again

    @property
    def is_idle(self) -> bool:
        """Whether the proxy has to be asked."""
        return self.peer is None

    def awaited(self, mask: int) -> int:
        """Return the poll(2) events that stand in for a client's `mask`.

        An idle socket is reported at once, because somebody waits.
        """
        return POLLOUT if self.peer is None else mask & ~_WRITABLE

    def ask_again(self, tunnel: Tunnel) -> int:
        """Somebody waits for an idle socket: begin to ask the proxy. Returns the events to wait for."""
        return self._ask_again(tunnel)

    def set_listening(self, listens: bool) -> None:
        """The client listens from now on, or its listen() has failed."""
        self.listens = listens

    def await_peer(self, conversation: Conversation) -> None:
        """The first answer has come; `conversation` is to hear the second one."""
        self.peer = conversation

    def part(self) -> None:
        """The connection to the proxy is about to be taken off the descriptors of the socket."""
        self.is_parting = True
        self.peer = None

    def has_parted(self) -> None:
        """An unconnected socket is in the place of the connection to the proxy."""
        self.is_parting = False


def not_connected() -> OSError:
    """What the kernel says of a socket whose connect is pending or has failed."""
    return OSError(ENOTCONN, os.strerror(ENOTCONN))
