"""CONNECT: asks the rules about the target, and connects to it, directly or through other proxies."""

from __future__ import annotations

import os

from socksify import _originals
from socksify.protocol.address import Address
from socksify.protocol.errnos import errno_of, socks5_reply_of
from socksify.protocol.errors import ProtocolError, Unsupported
from socksify.server.net.addresses import address_of, bind_source, normalize
from socksify.server.net.dialer import Dial, Upstream
from socksify.server.policy.policy import Permitted
from socksify.server.session.authorize import authorize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.server import Request
    from socksify.server.net.resolver import Candidate
    from socksify.server.session.authorize import Authorization
    from socksify.server.session.stage import SessionContext


class Connect:
    """Serves one CONNECT request. The stage ends in the session's relay, or in a refusal."""

    up = down = 0

    def __init__(self, context: SessionContext, request: Request) -> None:
        self.name = "resolving"
        self._context = context
        self._command = request.command
        self._target = normalize(request.target)
        self._attempt: Dial | Upstream | None = None
        self._permitted: dict[Candidate, Permitted] = {}
        self._closed = False

    def start(self) -> None:
        authorize(self._context, self._command, self._target, self._authorized, may_stay_name=True)

    def close(self) -> None:
        self._closed = True
        if self._attempt is not None:
            self._attempt.close()

    def _authorized(self, answer: Authorization) -> None:
        if self._closed:
            return
        if answer.refusal is not None:
            self._context.refuse(*answer.refusal)
        elif answer.by_name is not None:
            self._connect_through(answer.by_name, self._target)
        else:
            self._connect_to_any(answer.permitted)

    def _connect_to_any(self, permitted: dict[Candidate, Permitted]) -> None:
        """Go through proxies if the preferred address needs that; otherwise try all direct addresses."""
        preferred, verdict = next(iter(permitted.items()))
        if verdict.chain:
            self._connect_through(verdict, address_of(preferred[1]))
        else:
            self._dial({candidate: verdict for candidate, verdict in permitted.items() if not verdict.chain})

    def _dial(self, permitted: dict[Candidate, Permitted]) -> None:
        self.name = "connecting"
        self._permitted = permitted
        context = self._context
        seconds = context.policy.limits.connect_seconds
        self._attempt = attempt = Dial(context.loop, permitted, self._dialled, self._prepare, seconds)
        attempt.start()

    def _prepare(self, stream: _originals.Socket, candidate: Candidate) -> None:
        verdict = self._permitted[candidate]
        self._context.note_rule(verdict.rule)
        if verdict.source is not None or verdict.reserved:
            bind_source(stream, verdict.source, self._context.port if verdict.reserved else 0)

    def _dialled(self, target: _originals.Socket | None, failure: int) -> None:
        self._attempt = None
        if target is None:
            self._context.refuse(socks5_reply_of(failure), "failed", os.strerror(failure))
        else:
            self._context.relay(target, address_of(_originals.getsockname(target)))

    def _connect_through(self, verdict: Permitted, target: Address) -> None:
        self.name = "connecting"
        context = self._context
        context.note_rule(verdict.rule)
        seconds = context.policy.limits.connect_seconds
        self._attempt = upstream = Upstream(
            context.loop, context.resolver, verdict.chain, target, seconds, context.host, self._reached
        )
        upstream.start()

    def _reached(self, target: _originals.Socket | None, bound: Address, error: Exception | None) -> None:
        self._attempt = None
        if target is not None:
            self._context.relay(target, bound)
        else:
            self._context.refuse(_reply_of(error), "failed", f"proxy: {error}")


def _reply_of(error: Exception | None) -> int:
    """Return the reply code that tells the client of a failure among the proxies."""
    if isinstance(error, Unsupported) and error.reply is not None:
        return error.reply
    number = errno_of(error) if isinstance(error, ProtocolError) else getattr(error, "errno", None)
    return socks5_reply_of(number or 0)
