"""One client, from its first byte to the end of both directions.

A session is a row of stages, each of which owns the sockets while it lasts: the negotiation, the question to the
client's identd where a rule wants to know, the command, and the relay in which that ends; or, when something was
refused, the farewell.
"""

from __future__ import annotations

import os
import socket

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol import server as role
from socksify.protocol import socks5
from socksify.protocol.address import Address
from socksify.server.core import tracebacks
from socksify.server.net.addresses import format_address, host_of
from socksify.server.policy.policy import Admission, Demand, Denied, Permitted
from socksify.server.session.bind import Bind
from socksify.server.session.connect import Connect
from socksify.server.session.ident import Ident, vouched
from socksify.server.session.lingering_close import Farewell
from socksify.server.session.negotiation import Negotiation
from socksify.server.session.relay import Relay
from socksify.server.session.report import Report
from socksify.server.session.udp_associate import Associate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.policy.limits import Limits
    from socksify.server.session.bulk_thread import Bulk
    from socksify.server.session.server import Server

    Command = type[Connect] | type[Bind] | type[Associate]
    Stage = Negotiation | Ident | Connect | Bind | Associate | Relay | Farewell

_COMMANDS: dict[int, Command] = {
    socks5.CONNECT: Connect,
    socks5.BIND: Bind,
    socks5.UDP_ASSOCIATE: Associate,
}
_NOSIGNAL = int(socket.MSG_NOSIGNAL)


class Session:
    """Serves a client that was just accepted; tells `server` when it is over. There may be thousands of these."""

    __slots__ = (
        "_began",
        "_early",
        "_named",
        "_outcome",
        "_request",
        "_stage",
        "command",
        "host",
        "number",
        "over",
        "port",
        "rule",
        "server",
        "stream",
        "target",
        "user",
    )

    def __init__(self, server: Server, stream: _originals.Socket, number: int, host: str, port: int) -> None:
        self.server = server
        self.stream = stream
        self.number = number
        # Where the client's connection comes from: a literal, empty on a Unix socket.
        self.host = host
        self.port = port
        self.user: bytes | None = None
        self.command = self.target = self.rule = ""
        self.over = False
        # Said behind the request: the target's.
        self._early = b""
        # Whom the client's identd names.
        self._named: bytes | None = None
        self._request: role.Request | None = None
        self._stage: Stage | None = None
        self._outcome: tuple[str, str] | None = None
        self._began = server.loop.now

    @property
    def own(self) -> tuple[str, int]:
        """The address that the client has connected to; none on a Unix socket."""
        own = _originals.getsockname(self.stream)
        return ("", 0) if isinstance(own, str | bytes) else (unmapped(host_of(own)), own[1])

    def start(self, admission: Admission) -> None:
        """Hears what the client wants."""
        self._enter(Negotiation(self, admission))

    def report(self, outcome: str = "", detail: str = "") -> Report:
        stage = self._stage
        outcome, detail = self._outcome or (outcome, detail)
        return Report(
            self.number,
            format_address(self.host, self.port) if self.host else "local",
            None if self.user is None else ascii(self.user.decode("utf-8", "replace"))[1:-1],
            self.command,
            self.target,
            stage.stage if stage is not None else "negotiating",
            outcome,
            detail,
            stage.up if stage is not None else 0,
            stage.down if stage is not None else 0,
            self.server.loop.now - self._began,
            self.rule,
        )

    def verdict(self, command: int, name: str | None, address: str | None, port: int) -> Permitted | Denied | None:
        """What the rules of this moment say to a destination."""
        assert self._request is not None
        policy = self.server.policy
        demand = Demand(self.host, self.user, self._request.userid, command, name, address, port)
        verdict = policy.decide(demand)
        return vouched(verdict, demand, self.port, self._named) if policy.identifies else verdict

    def serve(self, request: role.Request, early: bytes) -> None:
        """Does what the client wants, who has already said what is `early`."""
        self._request = request
        self._early = early
        self.target = format_address(request.target.host, request.target.port)
        command = _COMMANDS.get(request.command)
        if command is None or (request.version == 4 and command is Associate):
            self.refuse(socks5.COMMAND_NOT_SUPPORTED, "unsupported", f"command {request.command} is not supported")
            return
        self.command = command.name
        policy = self.server.policy
        if policy.identifies and policy.asks_ident(self.host):
            client = self.host, self.port
            self._enter(Ident(self.server.loop, client, self.own, lambda named: self._identified(named, command)))
        else:
            self._enter(command(self, request))

    def refuse(self, code: int, outcome: str, detail: str) -> None:
        """Answers the request by one of SOCKS5's failures, and ends."""
        assert self._request is not None
        self.dismiss(role.reply(self._request, code), outcome, detail)

    def tell(self, answer: bytes) -> bool:
        """Sends a reply, for which there is always room behind a negotiation; whether the client was there for it."""
        try:
            self.stream.send(answer, _NOSIGNAL)
        except OSError as error:
            self.end("left", os.strerror(error.errno or 0))
            return False
        return True

    def relay(self, target: _originals.Socket, bound: Address) -> None:
        """The last stage: grants the request, telling `bound`, and passes bytes on until both sides have ended."""
        assert self._request is not None
        if not self.tell(role.reply(self._request, socks5.SUCCEEDED, bound)):
            self.server.loop.discard(target)
            return
        self._leave_stage()
        self._stage = relay = Relay(self.server.loop, self.stream, target, self._early, self)
        # What only a session that has not come to its relay needs: of the others there may be thousands.
        self._early = b""
        self._request = None
        relay.start()

    def bulk(self) -> Bulk | None:
        """Where the relay goes when it has proven to be bulk."""
        return self.server.bulk()

    def relayed(self, error: OSError | None) -> None:
        """The relay is over."""
        if error is None:
            self.end("done")
        else:
            self.end("reset", os.strerror(error.errno or 0))

    def dismiss(self, answer: bytes, outcome: str, detail: str) -> None:
        """Sends a last answer, and sees the client off."""
        if answer and not self.tell(answer):
            return
        self._outcome = outcome, detail
        self._leave_stage()
        self._enter(Farewell(self))

    def has_waited(self, seconds: float) -> bool:
        """Whether the server waits for nothing but the client, and has done so for this long."""
        stage = self._stage
        silent = isinstance(stage, Farewell) or (isinstance(stage, Negotiation) and stage.awaits_client)
        return silent and self.server.loop.now - self._began >= seconds

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
        self._leave_stage()
        server = self.server
        server.loop.discard(self.stream)
        server.over(self)
        # Which knows us, too.
        self._stage = None

    def _identified(self, named: bytes | None, command: Command) -> None:
        assert self._request is not None
        self._named = named
        self._enter(command(self, self._request))

    def _enter(self, stage: Negotiation | Ident | Connect | Bind | Associate | Farewell) -> None:
        self._stage = stage
        try:
            stage.start()
        except Exception:
            # As the loop does; but nobody else would ever end this session, which waits for nothing.
            tracebacks.tell()
            self.end("failed", "a mistake of this program")

    def _leave_stage(self) -> None:
        if self._stage is not None:
            self._stage.close()
