"""Conversations with the proxies of a chain, one after another, on the client's own socket.

advance() goes as far as the socket allows, and never blocks, whatever the mode of the socket is. It returns the events
to wait for, so the blocking connect, the selectors and the event loops all drive the same code. One deadline bounds the
time of all hops and reads together.
"""

from __future__ import annotations

import socket
from _thread import get_ident
from select import POLLIN, POLLOUT
from socket import MSG_DONTWAIT, MSG_PEEK

from socksify import _originals
from socksify._originals import monotonic
from socksify._signal_safety import is_running, ours
from socksify.protocol.address import NAME
from socksify.protocol.conversation import Conversation
from socksify.protocol.socks5 import BIND, Reply

# As plain numbers, which cost less than an enumeration's members. macOS has no MSG_NOSIGNAL.
_DONTWAIT = int(MSG_DONTWAIT)
_PEEK = int(MSG_PEEK | MSG_DONTWAIT)
_WRITE = int(MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from types import FrameType

    from socksify.routing.route import Hop, Via
    from socksify.tunnel.proxy_addresses import Candidate

_ANY = ("0.0.0.0", "::")
# An HTTP head is peeked at in pieces of this size.
_PIECE = 4096


class Handshake:
    """The conversations that are left on one socket until the tunnel is open; `hop_number` counts from 1.

    `started` is the time of monotonic() when the connect() began, `limit` the seconds that it may take. `waits` is
    whether that connect() waits for the outcome, `connect_frame` its frame.
    """

    __slots__ = (
        "attempted",
        "begun",
        "candidates",
        "connect_frame",
        "conversation",
        "deadline",
        "driven",
        "events",
        "hop_number",
        "hops",
        "limit",
        "outcome",
        "polled",
        "reached",
        "route",
        "share",
        "started",
        "thread",
        "unblocked",
        "until",
        "waits",
    )

    def __init__(
        self, route: Via, started: float, limit: float, waits: bool = True, connect_frame: FrameType | None = None
    ) -> None:
        self.route = route
        self.started = started
        self.limit = limit
        # When all of it has to be over, and when what is going on now has: the attempt of one address, for which it may
        # take its share, as long as there are others.
        self.until = self.deadline = started + limit
        self.share = limit
        # The thread of its connect(), and the frame of that, until pollers are to drive it (see `_signal_safety`).
        self.thread = get_ident()
        self.connect_frame = connect_frame
        # How it has ended, once it has: "error" -> the error, None if the tunnel is open.
        self.outcome: dict[str, OSError | None] = {}
        # Whether its connect(2) has been called: until then nobody else may drive it.
        self.reached = False
        # Whether the first proxy has taken a byte: until then a failure is that of the connect itself.
        self.begun = False
        # The addresses of the first proxy that were not tried yet, and the one that is.
        self.candidates: list[Candidate] = []
        self.attempted: Candidate | None = None
        # Whether the client's connect() waits for the outcome; whether its fd was made non-blocking for that while.
        self.waits = waits
        self.unblocked = False
        # The poll(2) events to wait for, and whether a poller of the client's has been told to.
        self.events = POLLOUT
        self.polled = False
        # Whether an event loop drives it itself, so that no poller is to.
        self.driven = False
        self.hop_number = 1
        self.hops = route.hops
        self.conversation = Conversation(self.hops[0].script())

    @property
    def current_hop(self) -> Hop:
        """The hop that is asked at the moment."""
        return self.hops[self.hop_number - 1]

    # --- transitions: the connection to the first proxy ---

    def try_addresses(self, candidates: list[Candidate], *, shared: bool = True) -> None:
        """These addresses of the first proxy are tried, one after another; `shared`: each has its share of the time."""
        self.candidates = candidates
        if shared and len(candidates) > 1:
            self.share = self.limit / len(candidates)

    def attempt(self) -> Candidate:
        """Return the next address of the first proxy, whose attempt begins now."""
        self.attempted, *self.candidates = self.candidates
        if self.candidates:
            self.deadline = min(self.until, monotonic() + self.share)
        else:
            self.deadline = self.until
        return self.attempted

    def keep_to_address(self) -> None:
        """No other address is tried: the one at hand may take all the time that is left."""
        self.candidates = []
        self.deadline = self.until

    def postpone(self, seconds: float) -> None:
        """The attempt cannot be ended now; look again in some seconds."""
        self.deadline = min(self.until, monotonic() + seconds)

    def unblock(self) -> None:
        """The client's fd is made non-blocking until the handshake is over."""
        self.unblocked = True

    def has_written(self, count: int) -> None:
        """The proxy has taken so many bytes of the first message together with the connection."""
        self.begun = True
        self.events = POLLIN
        self.conversation.sent(count)
        # Last: whoever drives it from now on would write the same bytes again.
        self.reached = True

    def has_reached(self) -> None:
        """connect(2) has been called: from now on others may drive the handshake."""
        self.reached = True

    def may_begin_again(self) -> bool:
        """Whether another address of the proxy can be asked instead of this one, which has said nothing yet.

        SOCKS5's greeting asks for nothing. Other first messages name the target, and then it may be the target that
        is slow.
        """
        talk = self.conversation
        return (
            self.hop_number == 1
            and not talk.heard
            and (not self.begun or self.current_hop.proxy.scheme in ("socks5", "socks5h"))
        )

    def begin_again(self) -> None:
        """Say to another address what was said to a silent one."""
        self.begun = False
        self.conversation = Conversation(self.hops[0].script())

    # --- transitions: who drives it ---

    def expect(self, events: int) -> None:
        """From now on it waits for these poll(2) events."""
        self.events = events

    def stop_waiting(self) -> None:
        """The client's connect() does not wait for the outcome, as that of a non-blocking socket does not."""
        self.waits = False

    def leave_to_pollers(self, polled: bool) -> None:
        """Its connect() answers for it no longer; `polled` is whether an epoll object watches it already."""
        self.polled = polled
        self.connect_frame = None

    def mark_polled(self) -> None:
        """A poller of the client's waits for it."""
        self.polled = True

    def drive_by_loop(self, driven: bool) -> None:
        """An event loop drives it itself from now on, or no longer."""
        # Whoever asks for SO_ERROR is not to wait there for the outcome.
        self.polled = True
        self.driven = driven

    # --- transitions: how it ends ---

    def conclude(self, error: OSError | None) -> bool:
        """It has ended, with an error or, with None, well; False if it had ended otherwise before."""
        return self.outcome.setdefault("error", error) is error

    def conclude_in_child(self, error: OSError) -> bool:
        """In a child of a fork it has ended. Neither SO_ERROR nor the log tells so."""
        self.waits = True
        self.tell_once()
        return self.conclude(error)

    def tell_once(self) -> bool:
        """Whether this is the first call: the log tells the outcome once, also where it is settled twice."""
        token = OSError()
        return self.outcome.setdefault("told", token) is token

    def end(self) -> None:
        """It is settled. The frame of its connect() has the handshake among its variables."""
        self.connect_frame = None

    @property
    def is_deserted(self) -> bool:
        """Whether an exception has ended the connect() that answers for it."""
        frame = self.connect_frame
        # Asked twice: a connect() that has handed the tunnel over, and has ended since, is no longer there.
        return frame is not None and not is_running(frame) and self.connect_frame is frame

    def bound(self) -> tuple[str, int] | None:
        """Return BND.ADDR and BND.PORT of the last reply, None if they mean nothing, as those of a SOCKS4 CONNECT.

        The port of a BIND always means something. If its host is no address, the host is returned as "".
        """
        reply = self.conversation.result
        if self.route.command == BIND:
            address = reply.address.literal()
            return "" if address.type == NAME or address.host in _ANY else address.host, address.port
        if not isinstance(reply, Reply):
            return None
        address = reply.address.literal()
        # A name is no address that a socket could have.
        if address.type == NAME or not address.port or address.host in _ANY:
            return None
        return address.host, address.port

    def advance(self, sock: Socket) -> int:
        """Talk until the socket would block; returns the poll(2) events to wait for, 0 when the tunnel is open.

        Raises ProtocolError as the conversation does, OSError as the socket does.
        """
        while True:
            talk = self.conversation
            try:
                if talk.outgoing:
                    return self._write(sock)
                if talk.over:
                    if self.hop_number == len(self.hops):
                        self.conclude(None)
                        return 0
                    self.hop_number += 1
                    self.conversation = Conversation(self.current_hop.script())
                elif talk.peeking:
                    self._peek(sock)
                else:
                    # The same as read(), without the call in the usual case.
                    has_no_timeout = _originals.gettimeout(sock) is None
                    data = _originals.recv(sock, talk.needs, _DONTWAIT) if has_no_timeout else read(sock, talk.needs)
                    if not data:
                        talk.end()
                    talk.receive(data)
            except ours(BlockingIOError):
                if talk.outgoing:
                    return POLLOUT
                if not talk.nothing_more():
                    return POLLIN
            except ours(OSError):
                # A reset may come right behind a refusal.
                talk.nothing_more()
                raise

    def _write(self, sock: Socket) -> int:
        """Write the messages that are left. An answer cannot have come yet, so nothing is read."""
        talk = self.conversation
        while talk.outgoing:
            written = self._send(sock, talk)
            self.begun = True
            talk.sent(written)
        return POLLIN

    def _send(self, sock: Socket, talk: Conversation) -> int:
        """Write without waiting; return how many bytes were written.

        On a socket with a timeout, Python's send() waits until the socket is writable. That is allowed only if the
        connection is there already, as it is where the proxy has one address.
        """
        if self.share < self.limit and not self.begun and _originals.gettimeout(sock):
            # As `interrupts.at` does, which would have the bytes in a variable.
            return next(map(_originals.write, map(_originals.fileno, (sock,)), (talk.outgoing,)))
        return _originals.send(sock, talk.outgoing, _WRITE)

    def _peek(self, sock: Socket) -> None:
        """Read an HTTP head. The bytes behind it belong to the client, so they are looked at first, and left."""
        data = peek(sock, _PIECE)
        if not data:
            self.conversation.end()
        else:
            read(sock, self.conversation.peeked(data))


def peek(sock: Socket, count: int) -> bytes:
    """Return up to `count` bytes that are left to be read; never wait. read(2) cannot peek, so the kernel is polled."""
    if _originals.gettimeout(sock):
        poller = _originals.poll()
        poller.register(_originals.fileno(sock), POLLIN)
        if not poller.poll(0):
            raise BlockingIOError
    return _originals.recv(sock, count, _PEEK)


def read(sock: Socket, count: int) -> bytes:
    """Read up to `count` bytes; never wait.

    On a socket with a timeout, Python's recv() polls first, for the whole timeout. The fd of such a socket is
    non-blocking, so read(2) returns at once.
    """
    if _originals.gettimeout(sock) is None:
        return _originals.recv(sock, count, _DONTWAIT)
    return _originals.read(_originals.fileno(sock), count)
