"""One client, from its first byte to the end of both directions.

A session is a sequence of stages, each of which watches the sockets while it lasts. The stages are the negotiation, the
ident query if a rule wants its answer, the command, and the relay in which the command ends. After a refusal, the last
stage is the lingering close.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol import socks5
from socksify.protocol.address import Address
from socksify.protocol.server import Request, reply
from socksify.server.core.calls import report_error
from socksify.server.net.addresses import format_address, host_of
from socksify.server.policy.policy import Admission, Demand, Denied, Permitted
from socksify.server.session.bind import Bind
from socksify.server.session.connect import Connect
from socksify.server.session.ident import Ident, apply_ident
from socksify.server.session.lingering_close import LingeringClose
from socksify.server.session.negotiation import Negotiation
from socksify.server.session.relay import Relay
from socksify.server.session.report import Report
from socksify.server.session.udp_associate import UdpAssociate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.loop import Loop
    from socksify.server.core.thread_pool import Threads
    from socksify.server.net.resolver import Resolver
    from socksify.server.policy.limits import Counts, Limits
    from socksify.server.policy.policy import Policy
    from socksify.server.session.bulk_thread import BulkLoop
    from socksify.server.session.services import Services
    from socksify.server.session.stage import Stage

    Command = type[Connect] | type[Bind] | type[UdpAssociate]

# The commands of the protocol: how reports name them, and the stage that serves them.
_COMMANDS: dict[int, tuple[str, Command]] = {
    socks5.CONNECT: ("connect", Connect),
    socks5.BIND: ("bind", Bind),
    socks5.UDP_ASSOCIATE: ("associate", UdpAssociate),
}
_NOSIGNAL = int(socket.MSG_NOSIGNAL)


class Session:
    """Serves a client that was just accepted, and calls `on_end` when the session is over.

    `stream` is the client's connection, `number` the session's number in this process. `host` and `port` are the
    client's address, empty and 0 on a Unix socket. There may be thousands of sessions, so each is small. The methods
    that stages call are described in `SessionContext`.
    """

    __slots__ = (
        "_began",
        "_early",
        "_named",
        "_on_end",
        "_outcome",
        "_request",
        "_services",
        "_stage",
        "command",
        "host",
        "number",
        "over",
        "port",
        "rule",
        "stream",
        "target",
        "user",
    )

    def __init__(
        self,
        services: Services,
        stream: _originals.Socket,
        number: int,
        host: str,
        port: int,
        on_end: Callable[[Session], object],
    ) -> None:
        self.stream = stream
        self.number = number
        self.host = host
        self.port = port
        self.user: bytes | None = None
        self.command = self.target = self.rule = ""
        self.over = False
        self._services = services
        self._on_end = on_end
        # The data that the client has sent after its request; it is for the target.
        self._early = b""
        # The user that the client's identd names.
        self._named: bytes | None = None
        self._request: Request | None = None
        self._stage: Stage | None = None
        self._outcome: tuple[str, str] | None = None
        self._began = services.loop.now

    @property
    def loop(self) -> Loop:
        return self._services.loop

    @property
    def policy(self) -> Policy:
        return self._services.policy

    @property
    def counts(self) -> Counts:
        return self._services.counts

    @property
    def resolver(self) -> Resolver:
        return self._services.resolver

    @property
    def verifiers(self) -> Threads:
        return self._services.verifiers

    @property
    def own(self) -> tuple[str, int]:
        own = _originals.getsockname(self.stream)
        return ("", 0) if isinstance(own, str | bytes) else (unmapped(host_of(own)), own[1])

    def start(self, admission: Admission) -> None:
        """Begin the negotiation with a client that was admitted."""
        self._enter(Negotiation(self, admission))

    def report(self, outcome: str = "", detail: str = "") -> Report:
        """Return the report of the session. `outcome` and `detail` are used if the session has no outcome yet."""
        stage = self._stage
        outcome, detail = self._outcome or (outcome, detail)
        return Report(
            self.number,
            format_address(self.host, self.port) if self.host else "local",
            None if self.user is None else ascii(self.user.decode("utf-8", "replace"))[1:-1],
            self.command,
            self.target,
            stage.name if stage is not None else "negotiating",
            outcome,
            detail,
            stage.up if stage is not None else 0,
            stage.down if stage is not None else 0,
            self.loop.now - self._began,
            self.rule,
        )

    def identify(self, user: bytes) -> Denied | None:
        self.user = user
        return self.counts.identify(self.policy.limits, user)

    def serve(self, request: Request, early: bytes) -> None:
        self._request = request
        self._early = early
        self.target = format_address(request.target.host, request.target.port)
        name, command = _COMMANDS.get(request.command, ("", None))
        if command is None or (request.version == 4 and command is UdpAssociate):
            self.refuse(socks5.COMMAND_NOT_SUPPORTED, "unsupported", f"command {request.command} is not supported")
            return
        self.command = name
        policy = self.policy
        if policy.identifies and policy.asks_ident(self.host):
            client = self.host, self.port
            self._enter(Ident(self.loop, client, self.own, lambda named: self._identified(named, command)))
        else:
            self._enter(command(self, request))

    def verdict(self, command: int, name: str | None, address: str | None, port: int) -> Permitted | Denied | None:
        assert self._request is not None
        policy = self.policy
        demand = Demand(self.host, self.user, self._request.userid, command, name, address, port)
        verdict = policy.decide(demand)
        return apply_ident(verdict, demand, self.port, self._named) if policy.identifies else verdict

    def note_rule(self, rule: str) -> None:
        self.rule = rule

    def tell(self, answer: bytes) -> bool:
        # A reply is short, so the socket's buffer has room for it.
        try:
            self.stream.send(answer, _NOSIGNAL)
        except OSError as error:
            self.end("left", os.strerror(error.errno or 0))
            return False
        return True

    def relay(self, target: _originals.Socket, bound: Address) -> None:
        assert self._request is not None
        if not self.tell(reply(self._request, socks5.SUCCEEDED, bound)):
            self.loop.discard(target)
            return
        self._leave_stage()
        self._stage = relay = Relay(self.loop, self.stream, target, self._early, self)
        # There may be thousands of relays, and they do not need these any more.
        self._early = b""
        self._request = None
        relay.start()

    def bulk_loop(self) -> BulkLoop | None:
        """Return the loop that the relay moves to when it carries bulk; see `Services.bulk_loop`."""
        return self._services.bulk_loop()

    def relayed(self, error: OSError | None) -> None:
        """End the session. `error` is the error that ended the relay, None if both directions have ended."""
        if error is None:
            self.end("done")
        else:
            self.end("reset", os.strerror(error.errno or 0))

    def refuse(self, code: int, outcome: str, detail: str) -> None:
        assert self._request is not None
        self.dismiss(reply(self._request, code), outcome, detail)

    def dismiss(self, answer: bytes, outcome: str, detail: str) -> None:
        if answer and not self.tell(answer):
            return
        self._outcome = outcome, detail
        self._leave_stage()
        self._enter(LingeringClose(self))

    def has_waited(self, seconds: float) -> bool:
        """Return True if the server waits only for the client, and the session is at least `seconds` old."""
        stage = self._stage
        is_silent = isinstance(stage, LingeringClose) or (isinstance(stage, Negotiation) and stage.awaits_client)
        return is_silent and self.loop.now - self._began >= seconds

    def end_if_idle(self, limits: Limits) -> None:
        """End the session if it has relayed nothing for longer than `limits` allow."""
        stage = self._stage
        if isinstance(stage, Relay):
            allowed = limits.idle_seconds
        elif isinstance(stage, UdpAssociate):
            allowed = limits.associate_seconds
        else:
            return
        if allowed and self.loop.now - stage.last_active > allowed:
            self.end("timeout", "nothing came through for too long")

    def end(self, outcome: str, detail: str = "") -> None:
        if self.over:
            return
        self.over = True
        self._outcome = self._outcome or (outcome, detail)
        self._leave_stage()
        self.loop.discard(self.stream)
        self._on_end(self)
        # The stage knows the session, too: a reference cycle would be left to the garbage collector.
        self._stage = None

    def _identified(self, named: bytes | None, command: Command) -> None:
        assert self._request is not None
        self._named = named
        self._enter(command(self, self._request))

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        try:
            stage.start()
        except Exception:
            # The loop does the same for its handlers. This session has to end as well: no event would end it.
            report_error()
            self.end("failed", "a mistake of this program")

    def _leave_stage(self) -> None:
        if self._stage is not None:
            self._stage.close()
