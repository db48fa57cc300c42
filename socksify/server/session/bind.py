"""BIND: the target makes one connection to an address of the server, and the server tells the client that address.

SOCKS4's memo: "The SOCKS server sends a second reply packet to the client when the anticipated connection from the
application server is established. The SOCKS server checks the IP address of the originating host against the value of
DSTIP specified in the client's BIND request. If a mismatch is found, the CD field in the second reply is set to 91".
"""

from __future__ import annotations

import contextlib
import os
import socket

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol.address import NAME
from socksify.protocol.errnos import socks5_reply_of
from socksify.protocol.server import Request, reply
from socksify.protocol.socks5 import COMMAND_NOT_SUPPORTED, NOT_ALLOWED, SUCCEEDED, TTL_EXPIRED
from socksify.server.core.loop import HUNG_UP, READABLE
from socksify.server.net.addresses import address_of, bind_to_listen, normalize, source_towards
from socksify.server.policy.policy import Permitted
from socksify.server.session.authorize import authorize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.calls import Timer
    from socksify.server.session.authorize import Authorization
    from socksify.server.session.stage import SessionContext

# A client that awaits one of these addresses takes the first peer that connects.
ANYBODY = ("0.0.0.0", "::")


class Bind:
    """Serves one BIND request. The stage ends in the session's relay, or in a refusal."""

    name = "waiting"
    up = down = 0

    def __init__(self, context: SessionContext, request: Request) -> None:
        self._context = context
        self._loop = context.loop
        self._request = request
        self._target = normalize(request.target)
        self._target_name = self._target.host if self._target.type == NAME else None
        # The addresses that the target may connect from.
        self._awaited: set[str] = set()
        self._listener: _originals.Socket | None = None
        self._timer: Timer | None = None
        self._closed = False

    def start(self) -> None:
        authorize(self._context, self._request.command, self._target, self._authorized)

    def close(self) -> None:
        self._closed = True
        self._stop_listening()

    def _authorized(self, answer: Authorization) -> None:
        if self._closed:
            return
        if answer.refusal is not None:
            self._context.refuse(*answer.refusal)
            return
        (_, (peer, *_rest)), verdict = next(iter(answer.permitted.items()))
        if verdict.chain:
            # The proxies of the chain would have to listen: a listener here would bypass them.
            self._context.refuse(COMMAND_NOT_SUPPORTED, "unsupported", "BIND through a proxy")
            return
        self._awaited = {unmapped(host) for _, (host, *_rest) in answer.permitted}
        self._listen(verdict, peer)

    def _listen(self, verdict: Permitted, peer: str) -> None:
        try:
            self._listener = self._bound(verdict, peer)
            self._listener.listen(1)
        except OSError as error:
            self._refuse(error)
            return
        self._context.note_rule(verdict.rule)
        bound = address_of(_originals.getsockname(self._listener))
        if not self._context.tell(reply(self._request, SUCCEEDED, bound)):
            return
        self._loop.watch(self._listener.fileno(), READABLE, self._accept)
        # A client that closes or half-closes its connection does not wait any more. Its data is left for the peer.
        self._loop.watch(self._context.stream.fileno(), HUNG_UP, self._client_left)
        if seconds := self._context.policy.limits.bind_seconds:
            self._timer = self._loop.after(seconds, self._timed_out)

    def _bound(self, verdict: Permitted, peer: str) -> _originals.Socket:
        """Return a socket that is bound to the address by which the peer knows this machine."""
        own = self._context.own[0] or "127.0.0.1"
        anybody = peer in ANYBODY
        source = verdict.source or (own if anybody else source_towards(peer)) or own
        listener = self._loop.stream(socket.AF_INET6 if ":" in source else socket.AF_INET)
        self._listener = listener
        client_port = self._context.port if verdict.reserved else 0
        # As in Dante: a client that awaits anybody chooses the port by DST.PORT.
        bind_to_listen(listener, source, client_port, self._target.port if anybody else 0)
        return listener

    def _accept(self, _fd: int, _events: int) -> None:
        assert self._listener is not None
        try:
            stream, peer = self._loop.accept(self._listener)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            self._refuse(error)
            return
        self._stop_listening()
        why = self._reason_to_refuse(peer)
        if why:
            self._loop.discard(stream)
            answer = reply(self._request, NOT_ALLOWED, address_of(peer))
            self._context.dismiss(answer, "denied", why)
        else:
            self._context.relay(stream, address_of(peer))

    def _reason_to_refuse(self, peer: tuple[str, int]) -> str:
        """Return the reason why this peer is refused, "" if it is accepted.

        RFC 1928 section 4: "a SOCKS server will use DST.ADDR and DST.PORT in evaluating the BIND request", so the rules
        are asked about the name and the port that the client gave, and the address that the peer has.
        """
        host = peer[0].partition("%")[0]
        if not {host, *ANYBODY} & self._awaited:
            return f"{host} connected instead"
        verdict = self._context.verdict(self._request.command, self._target_name, host, self._target.port)
        if isinstance(verdict, Permitted):
            return ""
        return verdict.why if verdict else "no rule decides"

    def _refuse(self, error: OSError) -> None:
        number = error.errno or 0
        self._context.refuse(socks5_reply_of(number), "failed", os.strerror(number))

    def _client_left(self, _fd: int, _events: int) -> None:
        self._context.end("left", "the client did not wait for the peer")

    def _timed_out(self) -> None:
        self._stop_listening()
        self._context.refuse(TTL_EXPIRED, "timeout", "nobody connected")

    def _stop_listening(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                # The loop closes the socket later. A peer that learns of the end must not find a listener until then.
                self._listener.shutdown(socket.SHUT_RDWR)
            self._loop.discard(self._listener)
            self._listener = None
