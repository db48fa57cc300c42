"""CONNECT: where the target is, whether it may be reached, and the way to it."""

from __future__ import annotations

import os

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol.address import NAME, Address
from socksify.protocol.errnos import errno_of, socks5_reply_of
from socksify.protocol.errors import ProtocolError, Unsupported
from socksify.protocol.socks5 import HOST_UNREACHABLE, NOT_ALLOWED
from socksify.server.net.addresses import address_of, bind_source, normalize
from socksify.server.net.dialer import Dial, Upstream, takes_names
from socksify.server.net.resolver import candidate_of
from socksify.server.policy.policy import Denied, Permitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.server import Request
    from socksify.server.net.resolver import Candidate
    from socksify.server.session.session import Session


class Connect:
    """Serves one request: ends in the session's relay, or in its refusal."""

    name = "connect"
    up = down = 0

    def __init__(self, session: Session, request: Request) -> None:
        self._session = session
        self._command = request.command
        self._target = target = normalize(request.target)
        self._name = target.host if target.type == NAME else None
        self._attempt: Dial | Upstream | None = None
        self._verdicts: dict[Candidate, Permitted] = {}
        self._closed = False
        self.stage = "resolving"

    def start(self) -> None:
        target = self._target
        if target.type != NAME:
            self._choose([candidate_of(target)])
            return
        verdict = self._session.verdict(self._command, target.host, None, target.port)
        if isinstance(verdict, Denied):
            self._deny(verdict)
        elif isinstance(verdict, Permitted) and takes_names(verdict.chain):
            self._go_through(verdict, target)
        else:
            policy, client_key = self._session.server.policy, self._session.host
            seconds, complete = policy.limits.connect_seconds, policy.judges_names
            self._session.server.resolver.resolve(target, self._choose, seconds, client_key, complete)

    def close(self) -> None:
        self._closed = True
        if self._attempt is not None:
            self._attempt.close()

    def _choose(self, candidates: list[Candidate]) -> None:
        """Asks about every address that the name turned out to have: no rule is got round by a name of one's own."""
        if self._closed:
            return
        session, name = self._session, self._name
        if not candidates:
            session.refuse(HOST_UNREACHABLE, "failed", "unknown host")
            return
        permitted: dict[Candidate, Permitted] = {}
        denied: Denied | None = None
        for candidate in candidates:
            host, port = candidate[1][:2]
            verdict = session.verdict(self._command, name, unmapped(host), port)
            if not isinstance(verdict, Permitted):
                denied = verdict
            elif not verdict.chain:
                permitted[candidate] = verdict
            elif not permitted:
                self._go_through(verdict, address_of(candidate[1]))
                return
        if permitted:
            self._dial(permitted)
        else:
            self._deny(denied)

    def _deny(self, denied: Denied | None) -> None:
        self._session.refuse(NOT_ALLOWED, "denied", denied.why if denied else "no rule decides")

    def _dial(self, verdicts: dict[Candidate, Permitted]) -> None:
        self.stage = "connecting"
        self._verdicts = verdicts
        server = self._session.server
        seconds = server.policy.limits.connect_seconds
        self._attempt = attempt = Dial(server.loop, verdicts, self._dialled, self._prepare, seconds)
        attempt.start()

    def _prepare(self, stream: _originals.Socket, candidate: Candidate) -> None:
        verdict = self._verdicts[candidate]
        self._session.rule = verdict.rule
        if verdict.source is not None or verdict.reserved:
            bind_source(stream, verdict.source, self._session.port if verdict.reserved else 0)

    def _dialled(self, target: _originals.Socket | None, failure: int) -> None:
        self._attempt = None
        if target is None:
            self._session.refuse(socks5_reply_of(failure), "failed", os.strerror(failure))
        else:
            self._session.relay(target, address_of(_originals.getsockname(target)))

    def _go_through(self, verdict: Permitted, target: Address) -> None:
        self.stage = "connecting"
        self._session.rule = verdict.rule
        server, client_key = self._session.server, self._session.host
        seconds = server.policy.limits.connect_seconds
        self._attempt = upstream = Upstream(server, verdict.chain, target, seconds, client_key, self._through)
        upstream.start()

    def _through(self, target: _originals.Socket | None, bound: Address, error: Exception | None) -> None:
        self._attempt = None
        if target is not None:
            self._session.relay(target, bound)
            return
        self._session.refuse(_reply_of(error), "failed", f"proxy: {error}")


def _reply_of(error: Exception | None) -> int:
    """What is told the client of a failure among the proxies."""
    if isinstance(error, Unsupported) and error.reply is not None:
        return error.reply
    number = errno_of(error) if isinstance(error, ProtocolError) else getattr(error, "errno", None)
    return socks5_reply_of(number or 0)
