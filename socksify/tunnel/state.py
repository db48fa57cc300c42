"""One connection through a chain of proxies, the socket objects that hold it, and the peers that its proxy awaits.

An essay on the transitions of a Tunnel. Only its own methods assign its attributes. The main transitions are:

  begin        registry.begin() is called: the handshake is pending from now on
  settle       the handshake has an outcome (`Handshake.conclude`); the consequences of the outcome are carried out, and
               then the tunnel is no longer pending. It is open, or it has failed
  fail         a socket that listened through the proxy does not listen any longer
  take_report  the client is told the failure of a non-blocking connect; a failure is told once

`settle` and `take_report` are the same event to the observers of the tunnel. The observers are the registry (with its
tables and the masks of epoll objects), the guards, BIND, and the log. They are told in the reverse order of their
registration. The registry is registered before the guards, so the guards are off already when the registry is told. A
signal handler or another thread may run between any two steps, and an exception may end `settle` halfway. Then `settle`
is repeated, so observers must accept that they are told twice. In the last step `handshake` becomes None. As long as
`handshake` is set, some step is left to be done.
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

    `route` is the way to its target. `listener` describes the BIND of a listening socket; it is None for a connection.
    `observers` are told when the tunnel is settled, the last of them first. `bound` is (BND.ADDR, BND.PORT), if these
    are known already. `options` are the options that the client has set and that the kernel's socket cannot have:
    (level, name) -> value.
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
        # The error that SO_ERROR has still to report. As with connect(2) on a non-blocking socket, it is reported once.
        self.report: OSError | None = None
        # The BIND of a listening socket. None for a connection.
        self.listener = listener
        # BND.ADDR and BND.PORT of the last hop's reply: (host, port).
        self.bound = bound
        # The port to which the client has bound its socket. The client goes on to see this port, whatever the port of
        # the connection to the proxy is.
        self.chosen_port = 0
        self.options: dict[tuple[int, int], int] = dict(options or {})
        # The socket objects, by fd. The value is None if no object has the fd.
        self.holders: dict[int, Holder | None] = {}
        # The kernel sockets that the tunnel has, or had, the latest first. There are several if a fresh kernel socket
        # was moved onto an fd.
        self.identities: tuple[Identity, ...] = ()
        # A thread holds the lock while it drives the handshake.
        self.lock = OwnedLock()
        # Whether no fd holds the tunnel any longer.
        self.released = False
        # The epoll objects that watch the pending tunnel, by the watched fd and the fd of the epoll object.
        self.watchers: dict[tuple[int, int], Any] = {}
        self._observers = observers

    @property
    def is_open(self) -> bool:
        """Whether the tunnel is a connection to its target."""
        return self.handshake is None and self.error is None and self.listener is None

    @property
    def is_shut(self) -> bool:
        """Whether the client has shut the socket down while it was connecting."""
        return type(self.error) is ConnectionResetError

    @property
    def is_unsettled(self) -> bool:
        """Whether the kernel's report on the socket must not simply be passed on to pollers."""
        return self.handshake is not None or self.report is not None or self.listens

    @property
    def listens(self) -> bool:
        """Whether the tunnel is a listening socket whose peers the client may await."""
        # `listener` is read once only, because another thread may take the peer at any moment.
        listener = self.listener
        return listener is not None and listener.listens and self.error is None

    def awaited(self, mask: int) -> int:
        """Return the poll(2) events that the kernel is asked for if the client asks for `mask`."""
        handshake = self.handshake
        if handshake is not None and not handshake.driven and not handshake.outcome:
            return handshake.events
        listener = self.listener
        return mask if listener is None or not self.listens else listener.awaited(mask)

    def reportable(self, mask: int) -> int:
        """Return the part of a client's `mask` that the client may be told. A listening socket is never writable."""
        return mask & ~_WRITABLE if self.listens else mask

    # --- transitions ---

    def observe(self, observer: Observer) -> None:
        """Have a function called when the tunnel is settled, and when its failure is reported."""
        if observer not in self._observers:
            self._observers += (observer,)

    def be_observed_by(self, *observers: Observer) -> None:
        """Replace the observers: from now on only these are told."""
        self._observers = observers

    def begin(self, handshake: Handshake, name: Identity, fd: int, holder: Holder, port: int) -> None:
        """Begin a handshake on the kernel's socket `name`. The socket object of `holder` has that socket on `fd`.

        `port` is the port to which the client has bound the socket before; 0 if the client left the port open.
        """
        self.handshake = handshake
        self.chosen_port = port
        self.identities = (name,)
        self.holders[fd] = holder

    def settle(self, handshake: Handshake) -> None:
        """Take over the outcome of the handshake, and tell the observers. The last step ends the pending state.

        Nothing is left to be done if another thread, or a signal handler, has taken the last step already.
        """
        if self.handshake is not handshake:
            # The client may have been told the failure meanwhile. A failure is told once.
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
        """Return the error that SO_ERROR has still to report, and tell the observers that it has been reported."""
        report, self.report = self.report, None
        self._tell()
        return report

    def fail(self, error: OSError) -> None:
        """Record the failure of a listening socket. If the socket has an error already, that error stays."""
        self.error = self.error or error

    def be_known_at(self, host: str, port: int | None = None) -> None:
        """Set the address that the other side sees of this tunnel. If `port` is None, the port stays as it is."""
        self.bound = host, (self.bound or (host, 0))[1] if port is None else port

    def become_connection(self, route: Via) -> None:
        """Turn the listening socket's tunnel into a connection by `route`, because the awaited peer has come."""
        self.listener = None
        self.route = route

    def release(self) -> None:
        """Note that no fd holds the tunnel any longer."""
        self.released = True

    def hold(self, fd: int, holder: Holder | None) -> None:
        """Note that an fd belongs to the tunnel, and which object has the fd."""
        self.holders[fd] = holder
        # A tunnel may have no fd for a while, such as the connection of a peer that was just accepted.
        self.released = False

    def add_identity(self, name: Identity) -> None:
        """Add the name of another kernel socket, which is about to be put on the tunnel's fds."""
        # The latest name is the first, because look-ups prefer the latest socket.
        self.identities = (name, *self.identities)

    def take_identities(self, names: tuple[Identity, ...]) -> None:
        """Replace the names of the tunnel's kernel sockets."""
        self.identities = names

    def _tell(self) -> None:
        for observer in reversed(self._observers):
            observer(self)

    # --- its sockets ---

    def is_on(self, fd: int) -> bool:
        """Ask the kernel whether the fd refers to the tunnel's own socket."""
        return identity(fd) in self.identities

    def is_somewhere(self) -> bool:
        """Whether any of the tunnel's fds still refers to its socket; the fds may have been closed unnoticed."""
        return any(self.is_on(fd) for fd in list(self.holders))

    def holder(self) -> Socket | None:
        """Return a living socket object that holds the tunnel, for reading and writing; None if there is none."""
        handshake = self.handshake
        waits = handshake is not None and handshake.waits
        other = None
        for fd, reference in self.holders.copy().items():
            sock: Socket | None = reference() if reference is not None else None
            # A connect() that waits keeps the fd in use, so the kernel need not be asked.
            if sock is None or waits:
                if sock is not None:
                    return sock
                continue
            name = identity(fd)
            if name in self.identities[:1]:
                return sock
            if name in self.identities:
                # This fd refers to an older kernel socket: it is a copy that a later move did not reach.
                other = sock
        return other

    def own_fd(self) -> int | None:
        """Return an fd that refers to the tunnel's socket, preferably the latest socket; None if all fds are gone."""
        found = {identity(fd): fd for fd in list(self.holders)}
        return next((found[name] for name in self.identities if name in found), None)

    def objects(self) -> list[Socket]:
        """Return the living socket objects that were registered; their fds may refer to other sockets by now."""
        held = [reference() for reference in list(self.holders.values()) if reference is not None]
        return [sock for sock in held if sock is not None]

    def verified(self) -> list[Socket]:
        """Return the living socket objects whose fds still refer to the tunnel's own socket."""
        return [sock for sock in self.objects() if self.is_on(_originals.fileno(sock))]

    def borrow(self) -> Any:
        """Return a new internal object on the tunnel's fd, for a tunnel whose holders are all detached.

        The caller must detach the object after use. Returns None if the fds of the tunnel are gone.
        """
        fd = self.own_fd()
        return None if fd is None else _originals.Socket(fileno=fd)


class BindListener:
    """The BIND requests for one listening socket, which are made again and again; `bind/listener` makes them.

    `connections` are the client's connections, at least one; the peer of one of them is expected. `route` leads to
    the proxy that is to listen. `limit` is the time limit of one request, in seconds. `early` tells whether
    getsockname() makes the request before listen() was called. `ask_again` is called with the tunnel of an idle
    listener when a client waits for it; it returns the poll(2) events to wait for.
    """

    __slots__ = ("_ask_again", "connections", "early", "is_parting", "limit", "listens", "peer", "route")

    def __init__(
        self, connections: list[Tunnel], route: Via, limit: float, early: bool, ask_again: Callable[[Tunnel], int]
    ) -> None:
        self.connections = connections
        self.route = route
        self.limit = limit
        self.early = early
        # Whether the client listens: it has called listen(), or an early getsockname().
        self.listens = False
        # Whether the last connection to the proxy may still be on the descriptors of the socket.
        self.is_parting = False
        # Reads the second answer. None unless that answer is awaited.
        self.peer: Conversation | None = None
        self._ask_again = ask_again

    @property
    def is_idle(self) -> bool:
        """Whether the proxy has to be asked."""
        return self.peer is None

    def awaited(self, mask: int) -> int:
        """Return the poll(2) events that stand in for a client's `mask`.

        An idle socket is reported at once, so that the wait for it makes the next request.
        """
        return POLLOUT if self.peer is None else mask & ~_WRITABLE

    def ask_again(self, tunnel: Tunnel) -> int:
        """Begin to ask the proxy, because a client waits for an idle socket. Returns the events to wait for."""
        return self._ask_again(tunnel)

    def set_listening(self, listens: bool) -> None:
        """Note that the client listens from now on, or that its listen() has failed."""
        self.listens = listens

    def await_peer(self, conversation: Conversation) -> None:
        """Await the second answer, which `conversation` will read. The first answer has come."""
        self.peer = conversation

    def part(self) -> None:
        """Note that the connection to the proxy is about to be taken off the descriptors of the socket."""
        self.is_parting = True
        self.peer = None

    def has_parted(self) -> None:
        """Note that an unconnected socket has replaced the connection to the proxy."""
        self.is_parting = False


def not_connected() -> OSError:
    """Return the error that the kernel gives for a socket whose connect is pending or has failed."""
    return OSError(ENOTCONN, os.strerror(ENOTCONN))
