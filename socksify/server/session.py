"""One client, from its first byte to the end of both directions.

A session is a row of stages, each of which owns the sockets while it lasts: the conversation, with the question
whether the credentials are right; the command, which ends in a relay; or, when something was refused, the farewell.
"""

from __future__ import annotations

import os
import socket
import traceback
from time import monotonic

from socksify import _real
from socksify.protocol import server as role
from socksify.protocol import socks5
from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED, Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.errors import AuthenticationRefused, Closed, ProtocolError
from socksify.server.associate import Associate
from socksify.server.bind import Bind
from socksify.server.connect import Connect
from socksify.server.ident import Ident, vouched
from socksify.server.loop import READABLE, WRITABLE, Timer
from socksify.server.policy import Admission, Client, Demand, Denied, Permitted
from socksify.server.relay import Relay
from socksify.server.report import Report, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.protocol.conversation import Script
    from socksify.server.limits import Limits
    from socksify.server.server import Server

    Command = type[Connect] | type[Bind] | type[Associate]
    Stage = Ident | Connect | Bind | Associate | Relay

# RFC 1928 section 6: after a failure the server "must terminate the TCP connection shortly after ... no more than 10
# seconds". Until then what the client still sends is taken: it would turn the close into a reset that eats the reply.
FAREWELL_SECONDS = 5.0
# Read at once while the client says what it wants. What comes behind that is the target's.
PIECE = 4096

_COMMANDS: dict[int, Command] = {
    socks5.CONNECT: Connect,
    socks5.BIND: Bind,
    socks5.UDP_ASSOCIATE: Associate,
}


class Session:
    """Serves a client that was just accepted; tells `server` when it is over. There may be thousands of these."""

    __slots__ = (
        "_began",
        "_conversation",
        "_heard",
        "_named",
        "_outcome",
        "_request",
        "_stage",
        "_timer",
        "client",
        "command",
        "early",
        "host",
        "number",
        "over",
        "port",
        "rule",
        "server",
        "stream",
        "target",
        "user",
        "userid",
    )

    def __init__(self, server: Server, stream: _real.Socket, number: int, client: Client) -> None:
        self.server = server
        self.stream = stream
        self.number = number
        self.client = client
        self.host = client.host
        self.port = client.port
        self.user: bytes | None = None
        self.userid = b""
        # Whom the client's identd names.
        self._named: bytes | None = None
        self.command = self.target = self.rule = ""
        self.over = False
        # Read of the client and not yet taken by anybody.
        self.early = b""
        self._conversation: Conversation | None = None
        self._heard: Callable[[Any], None] | None = None
        self._request: role.Request | None = None
        self._stage: Stage | None = None
        self._timer: Timer | None = None
        self._outcome: tuple[str, str] | None = None
        self._began = monotonic()

    def start(self, admission: Admission) -> None:
        """Hears what the client wants."""
        self._wait(self.server.policy.limits.handshake_seconds, "timeout", "no request in time")
        self._hear(role.opening(admission.methods), lambda begun: self._opened(begun, admission))

    def report(self, outcome: str = "", detail: str = "") -> Report:
        stage = self._stage
        outcome, detail = self._outcome or (outcome, detail)
        return Report(
            self.number,
            place(self.host, self.port) if self.host else "local",
            None if self.user is None else ascii(self.user.decode("utf-8", "replace"))[1:-1],
            self.command,
            self.target,
            stage.stage if stage is not None else "leaving" if self._outcome else "negotiating",
            outcome,
            detail,
            stage.up if stage is not None else 0,
            stage.down if stage is not None else 0,
            monotonic() - self._began,
            self.rule,
        )

    def verdict(self, command: int, name: str | None, address: str | None, port: int) -> Permitted | Denied | None:
        """What the rules of this moment say to a destination."""
        demand = Demand(self.client, self.user, self.userid, command, name, address, port)
        return vouched(self.server.policy.decide(demand), demand, self._named)

    def refuse(self, code: int, outcome: str, detail: str) -> None:
        """Answers the request by one of SOCKS5's failures, and ends."""
        assert self._request is not None
        self.dismiss(role.reply(self._request, code), outcome, detail)

    def tell(self, answer: bytes) -> bool:
        """Sends a reply, for which there is always room behind a negotiation; whether the client was there for it."""
        try:
            self.stream.send(answer, socket.MSG_NOSIGNAL)
        except OSError as error:
            self.end("left", os.strerror(error.errno or 0))
            return False
        return True

    def relay(self, target: _real.Socket, bound: Address) -> None:
        """The last stage: grants the request, telling `bound`, and passes bytes on until both sides have ended."""
        assert self._request is not None
        greeting = role.reply(self._request, socks5.SUCCEEDED, bound)
        early = self.early
        self._forget_beginning()
        self._stage = relay = Relay(self.server.loop, self.stream, target, early, greeting, self)
        relay.start()

    def _forget_beginning(self) -> None:
        """What only a session that has not come to its relay needs: of the others there may be thousands."""
        self.early = self.userid = b""
        del self.client, self._request

    def end_if_idle(self, limits: Limits) -> None:
        """Ends the session if nothing has come through for as long as it may be."""
        stage = self._stage
        if isinstance(stage, Relay):
            allowed = limits.idle_seconds
        elif isinstance(stage, Associate):
            allowed = limits.associate_seconds
        else:
            return
        if allowed and self.server.loop.now - stage.stamp > allowed:
            self.end("timeout", "nothing came through for too long")

    def end(self, outcome: str, detail: str = "") -> None:
        """Closes everything; once."""
        if self.over:
            return
        self.over = True
        self._outcome = self._outcome or (outcome, detail)
        self._stop_waiting()
        if self._stage is not None:
            self._stage.close()
        self.server.loop.discard(self.stream)
        self.server.over(self)
        # Which knows us, too.
        self._stage = None

    def dismiss(self, answer: bytes, outcome: str, detail: str) -> None:
        """Sends a last answer, ends the connection by FIN, and closes it when the client has done so or is late."""
        if answer and not self.tell(answer):
            return
        self._outcome = outcome, detail
        try:
            self.stream.shutdown(socket.SHUT_WR)
        except OSError:
            self.end(outcome, detail)
            return
        self._wait(FAREWELL_SECONDS, outcome, detail)
        self.server.loop.watch(self.stream.fileno(), READABLE, self._drain)

    def _drain(self, _fd: int, _events: int) -> None:
        try:
            gone = not self.stream.recv_into(self.server.loop.pipes.scratch)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self.end(*self._outcome or ("left", ""))

    def _hear(self, script: Script[Any], heard: Callable[[Any], None]) -> None:
        """Runs one side of a conversation; `heard` gets its result."""
        self._conversation = Conversation(script)
        self._heard = heard
        if self.early or self._conversation.outgoing:
            self._converse(self.stream.fileno(), 0)
        else:
            self.server.loop.watch(self.stream.fileno(), READABLE, self._converse)

    def _converse(self, fd: int, _events: int) -> None:
        talk = self._conversation
        if talk is None:
            # What a client says while it waits for its answer is the target's, and left where it is.
            self.server.loop.watch(fd, 0, self._converse)
            return
        try:
            wanted = self._advance(talk)
        except ProtocolError as error:
            self.dismiss(b"", _outcome(error), str(error))
        except OSError as error:
            self.end("left", os.strerror(error.errno or 0))
        else:
            if talk.over:
                heard, self._heard, self._conversation = self._heard, None, None
                assert heard is not None
                heard(talk.result)
            else:
                self.server.loop.watch(fd, wanted, self._converse)

    def _advance(self, talk: Conversation) -> int:
        """Carries the conversation on as far as the socket allows; what it waits for then, 0 when it is over."""
        try:
            while not talk.over:
                if talk.outgoing:
                    talk.sent(self.stream.send(talk.outgoing, socket.MSG_NOSIGNAL))
                elif self.early:
                    count = talk.needs
                    said, self.early = self.early[:count], self.early[count:]
                    talk.receive(said)
                else:
                    self.early = self.stream.recv(PIECE)
                    if not self.early:
                        talk.end()
        except BlockingIOError:
            return WRITABLE if talk.outgoing else READABLE
        return 0

    def _opened(self, begun: role.Opening, admission: Admission) -> None:
        given = begun.credentials
        if given is not None:
            verify = self.server.policy.verify
            self.server.threads.run(
                lambda: verify(given.user, given.password), lambda accepted: self._verified(begun, accepted)
            )
        else:
            self._ask(begun, socks5.NO_AUTHENTICATION in admission.methods)

    def _verified(self, begun: role.Opening, accepted: bool) -> None:
        if self.over:
            return
        if not accepted:
            delay = self.server.counts.failed(self.server.policy.limits, self.host)
            self.server.loop.after(delay, lambda: self._ask(begun, False))
            return
        assert begun.credentials is not None
        denied = self.server.counts.identify(self.server.policy.limits, begun.credentials.user)
        if denied is not None:
            self.end("denied", denied.why)
            return
        self.user = begun.credentials.user
        self._ask(begun, True)

    def _ask(self, begun: role.Opening, accepted: bool) -> None:
        if not self.over:
            self._hear(role.requested(begun, accepted), self._serve)

    def _serve(self, request: role.Request) -> None:
        self._stop_waiting()
        self._request = request
        self.userid = request.userid
        self.target = place(request.target.host, request.target.port)
        command = _COMMANDS.get(request.command)
        if command is None or (request.version == 4 and command is Associate):
            self.refuse(socks5.COMMAND_NOT_SUPPORTED, "unsupported", f"command {request.command} is not supported")
            return
        self.command = command.name
        if self.server.policy.asks_ident(self.client):
            self._enter(Ident(self.server.loop, self.client, lambda named: self._identified(named, command, request)))
        else:
            self._enter(command(self, request))

    def _identified(self, named: bytes | None, command: Command, request: role.Request) -> None:
        self._named = named
        self._enter(command(self, request))

    def _enter(self, stage: Ident | Connect | Bind | Associate) -> None:
        self._stage = stage
        try:
            stage.start()
        except Exception:
            # As the loop does; but nobody else would ever end this session, which waits for nothing.
            traceback.print_exc()
            self.end("failed", "a mistake of this program")

    def relayed(self, error: OSError | None) -> None:
        """The relay is over."""
        if error is None:
            self.end("done")
        else:
            self.end("reset", os.strerror(error.errno or 0))

    def _wait(self, seconds: float, outcome: str, detail: str) -> None:
        self._stop_waiting()
        if seconds:
            self._timer = self.server.loop.after(seconds, lambda: self.end(outcome, detail))

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _outcome(error: ProtocolError) -> str:
    if isinstance(error, AuthenticationRefused):
        return "rejected"
    if isinstance(error, Closed):
        return "left"
    return "unsupported" if error.reply == ADDRESS_TYPE_NOT_SUPPORTED else "garbled"
