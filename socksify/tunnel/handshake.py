"""Conversations with the proxies of a chain, one after another, on the client's own socket.

advance() goes as far as the socket allows without ever blocking, whatever the socket's mode, and says what to
wait for: the blocking connect, the selectors and the event loops all drive the same code. Time is bounded by
one deadline for all hops and reads together.
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
    from socksify.tunnel.proxy_address import Candidate

_ANY = ("0.0.0.0", "::")
# An HTTP head is peeked at in pieces of this size.
_PIECE = 4096


class Handshake:
    """What is left to be said on one socket until the tunnel is open; `hop_number` counts from 1."""

    __slots__ = (
        "attempted",
        "begun",
        "caller",
        "candidates",
        "conversation",
        "deadline",
        "driven",
        "events",
        "hop_number",
        "hops",
        "limit",
        "outcome",
        "reached",
        "route",
        "share",
        "started",
        "thread",
        "unblocked",
        "until",
        "waits",
        "watched",
    )

    def __init__(self, route: Via, started: float, limit: float) -> None:
        self.route = route
        self.started = started
        self.limit = limit
        # When all of it has to be over, and when what is going on now has: the attempt of one address, for which it may
        # take its share, as long as there are others.
        self.until = self.deadline = started + limit
        self.share = limit
        # The thread of its connect(), and the frame of that, until pollers are to go on with it (see `interrupts`).
        self.thread = get_ident()
        self.caller: FrameType | None = None
        # How it has ended, once it has: "error" -> the error, None if the tunnel is open.
        self.outcome: dict[str, OSError | None] = {}
        # Whether its connect(2) has been called: until then nobody else may go on with it.
        self.reached = False
        # Whether the first proxy has taken a byte: until then a failure is that of the connect itself.
        self.begun = False
        # The addresses of the first proxy that were not tried yet, and the one that is.
        self.candidates: list[Candidate] = []
        self.attempted: Candidate | None = None
        # Whether the client's connect() waits for the outcome; whether its fd was made non-blocking for that while.
        self.waits = True
        self.unblocked = False
        # The poll(2) events to wait for, and whether a poller of the client's has been told to.
        self.events = POLLOUT
        self.watched = False
        # Whether an event loop goes on with it itself, so that no poller is to.
        self.driven = False
        self.hop_number = 1
        self.hops = route.hops
        self.conversation = Conversation(self.hops[0].script())

    @property
    def current_hop(self) -> Hop:
        """What is being talked about, and with whom."""
        return self.hops[self.hop_number - 1]

    def conclude(self, error: OSError | None) -> bool:
        """It has ended, with an error or, with None, well; False if it had ended otherwise before."""
        return self.outcome.setdefault("error", error) is error

    def attempt(self) -> Candidate:
        """The next address of the first proxy, and how long it may take."""
        self.attempted, *self.candidates = self.candidates
        if self.candidates:
            self.deadline = min(self.until, monotonic() + self.share)
        else:
            self.deadline = self.until
        return self.attempted

    def may_begin_again(self) -> bool:
        """Whether another address can be asked: of this one no more is known than that it is silent.

        A greeting of SOCKS5's asks for nothing. Other first messages do, and a slow target is no silent proxy.
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

    @property
    def is_deserted(self) -> bool:
        """Whether an exception has ended the connect() that answers for it."""
        caller = self.caller
        # One that has handed the tunnel over before it ended is no longer there.
        return caller is not None and not is_running(caller) and self.caller is caller

    def bound(self) -> tuple[str, int] | None:
        """BND.ADDR and BND.PORT of the last reply, if they mean something; a SOCKS4 CONNECT's are to be ignored.

        Of a BIND's the port always does; a host that is not an address the proxy leaves to be guessed: "".
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
                        return 0
                    self.hop_number += 1
                    self.conversation = Conversation(self.current_hop.script())
                elif talk.peeking:
                    self._peek(sock)
                else:
                    # As read() does, without the call: the usual case.
                    plain = _originals.gettimeout(sock) is None
                    data = _originals.recv(sock, talk.needs, _DONTWAIT) if plain else read(sock, talk.needs)
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
        """Write what there is to say; an answer cannot have come yet, so it is not looked for."""
        talk = self.conversation
        while talk.outgoing:
            written = self._send(sock, talk)
            self.begun = True
            talk.sent(written)
        return POLLIN

    def _send(self, sock: Socket, talk: Conversation) -> int:
        """send() that never waits.

        On a socket with a timeout that of Python waits for the connection. It is there where the proxy has one address.
        """
        if self.share < self.limit and not self.begun and _originals.gettimeout(sock):
            # As `interrupts.at` does, which would have the bytes in a variable.
            return next(map(_originals.write, map(_originals.fileno, (sock,)), (talk.outgoing,)))
        return _originals.send(sock, talk.outgoing, _WRITE)

    def _peek(self, sock: Socket) -> None:
        """What comes behind an HTTP head belongs to the client: look first, then take exactly the head."""
        data = peek(sock, _PIECE)
        if not data:
            self.conversation.end()
        else:
            read(sock, self.conversation.peeked(data))


def peek(sock: Socket, count: int) -> bytes:
    """recv() with MSG_PEEK that never waits, as `read` does not; read(2) cannot peek, so the kernel is asked first."""
    if _originals.gettimeout(sock):
        poller = _originals.poll()
        poller.register(_originals.fileno(sock), POLLIN)
        if not poller.poll(0):
            raise BlockingIOError
    return _originals.recv(sock, count, _PEEK)


def read(sock: Socket, count: int) -> bytes:
    """recv() that never waits.

    On a socket with a timeout the recv() of Python polls first, for as long as that timeout and not for what is
    left of the handshake's time; its fd is non-blocking, so a plain read(2) does.
    """
    if _originals.gettimeout(sock) is None:
        return _originals.recv(sock, count, _DONTWAIT)
    return _originals.read(_originals.fileno(sock), count)
