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

    `started` is the time of monotonic() when the connect() began, and `limit` the seconds that it may take. `waits` is
    True if that connect() waits for the outcome. `connect_frame` is its frame.
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
        # `until` is the end of the time for the whole handshake. `deadline` is the end of the time for the current
        # attempt: an address of the proxy gets `share` seconds while there are more addresses.
        self.until = self.deadline = started + limit
        self.share = limit
        # The thread and the frame of the connect(), until pollers drive the handshake (see `_signal_safety`).
        self.thread = get_ident()
        self.connect_frame = connect_frame
        # Empty until the handshake has ended. Then "error" -> the error, or None if the tunnel is open.
        self.outcome: dict[str, OSError | None] = {}
        # True when connect(2) has been called. Until then no other code may drive the handshake.
        self.reached = False
        # True when the first proxy has taken a byte. Until then a failure is a failure of connect(2).
        self.begun = False
        # The addresses of the first proxy that were not tried yet, and the address that is being tried.
        self.candidates: list[Candidate] = []
        self.attempted: Candidate | None = None
        # True if the client's connect() waits for the outcome, and if its fd was made non-blocking for this time.
        self.waits = waits
        self.unblocked = False
        # The poll(2) events to wait for. `polled` is True if a poller of the client waits for the handshake.
        self.events = POLLOUT
        self.polled = False
        # True if an event loop drives the handshake itself, so that no poller has to.
        self.driven = False
        self.hop_number = 1
        self.hops = route.hops
        self.conversation = Conversation(self.hops[0].script())

    @property
    def current_hop(self) -> Hop:
        """The hop with which the current conversation is held."""
        return self.hops[self.hop_number - 1]

    # --- transitions: the connection to the first proxy ---

    def try_addresses(self, candidates: list[Candidate], *, shared: bool = True) -> None:
        """Set the addresses of the first proxy, to be tried one after another. With `shared` each gets equal time."""
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
        """Try no other address. The current address gets all the time that is left."""
        self.candidates = []
        self.deadline = self.until

    def postpone(self, seconds: float) -> None:
        """Move the deadline of the attempt to `seconds` from now, because the attempt cannot be ended now."""
        self.deadline = min(self.until, monotonic() + seconds)

    def unblock(self) -> None:
        """Note that the client's fd is non-blocking until the handshake is over."""
        self.unblocked = True

    def has_written(self, count: int) -> None:
        """Note that the proxy has taken `count` bytes of the first message together with the connection."""
        self.begun = True
        self.events = POLLIN
        self.conversation.sent(count)
        # This is last, because other code may drive the handshake now, and must not write the same bytes again.
        self.reached = True

    def has_reached(self) -> None:
        """Note that connect(2) has been called. From now on other code may drive the handshake."""
        self.reached = True

    def may_begin_again(self) -> bool:
        """Return True if another address of the proxy can be tried, because the current address has not answered.

        The greeting of SOCKS5 does not name the target. Other first messages do, and then the target may be slow.
        """
        talk = self.conversation
        return (
            self.hop_number == 1
            and not talk.heard
            and (not self.begun or self.current_hop.proxy.scheme in ("socks5", "socks5h"))
        )

    def begin_again(self) -> None:
        """Begin the first conversation again, with another address of the proxy."""
        self.begun = False
        self.conversation = Conversation(self.hops[0].script())

    # --- transitions: who drives it ---

    def expect(self, events: int) -> None:
        """Set the poll(2) events to wait for."""
        self.events = events

    def stop_waiting(self) -> None:
        """Note that the client's connect() no longer waits for the outcome, like that of a non-blocking socket."""
        self.waits = False

    def leave_to_pollers(self, polled: bool) -> None:
        """Let pollers drive the handshake, not connect(). `polled` is True if an epoll object watches it already."""
        self.polled = polled
        self.connect_frame = None

    def mark_polled(self) -> None:
        """Note that a poller of the client waits for the handshake."""
        self.polled = True

    def drive_by_loop(self, driven: bool) -> None:
        """Note if an event loop drives the handshake itself from now on."""
        # A read of SO_ERROR must not wait for the outcome.
        self.polled = True
        self.driven = driven

    # --- transitions: how it ends ---

    def conclude(self, error: OSError | None) -> bool:
        """End the handshake: None means that the tunnel is open. Return False if it had another outcome before."""
        return self.outcome.setdefault("error", error) is error

    def conclude_in_child(self, error: OSError) -> bool:
        """End the handshake in a forked child. Neither SO_ERROR nor the log reports this."""
        self.waits = True
        self.tell_once()
        return self.conclude(error)

    def tell_once(self) -> bool:
        """Return True at the first call. The log reports the outcome once, even if the tunnel is settled twice."""
        token = OSError()
        return self.outcome.setdefault("told", token) is token

    def end(self) -> None:
        """Drop the frame of connect(), which has the handshake among its variables. The tunnel is settled."""
        self.connect_frame = None

    @property
    def is_deserted(self) -> bool:
        """True if an exception has ended the connect() that is responsible for the handshake."""
        frame = self.connect_frame
        # The frame is read twice, because connect() may hand the tunnel over and end between the two checks.
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
        # A name cannot be the address of a socket.
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
    """Return up to `count` unread bytes without reading them; never wait. read(2) cannot peek, so poll(2) is used."""
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
