"""BIND: one connection that the target makes, to an address of ours that the client is told.

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
from socksify.protocol import server as role
from socksify.protocol.address import NAME
from socksify.protocol.errnos import socks5_reply_of
from socksify.protocol.socks5 import COMMAND_NOT_SUPPORTED, HOST_UNREACHABLE, NOT_ALLOWED, SUCCEEDED, TTL_EXPIRED
from socksify.server.core.loop import HUNG_UP, READABLE
from socksify.server.net.addresses import address_of, bind_to_listen, normalize, source_towards
from socksify.server.net.resolver import candidate_of
from socksify.server.policy.policy import Denied, Permitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.server import Request
    from socksify.server.core.timers import Timer
    from socksify.server.net.resolver import Candidate
    from socksify.server.session.session import Session

# What the memo calls "any": whoever comes first.
ANYBODY = ("0.0.0.0", "::")


class Bind:
    """Serves one request: ends in the session's relay, or in its refusal."""

    name = "bind"
    stage = "waiting"
    up = down = 0

    def __init__(self, session: Session, request: Request) -> None:
        self._session = session
        self._loop = session.server.loop
        self._request = request
        self._target = normalize(request.target)
        self._name = self._target.host if self._target.type == NAME else None
        self._awaited: set[str] = set()
        self._listener: _originals.Socket | None = None
        self._timer: Timer | None = None
        self._closed = False

    def start(self) -> None:
        target = self._target
        if target.type != NAME:
            self._choose([candidate_of(target)])
            return
        verdict = self._session.verdict(self._request.command, target.host, None, target.port)
        if isinstance(verdict, Denied):
            self._session.refuse(NOT_ALLOWED, "denied", verdict.why)
        else:
            policy, client_key = self._session.server.policy, self._session.host
            seconds, complete = policy.limits.connect_seconds, policy.judges_names
            self._session.server.resolver.resolve(target, self._choose, seconds, client_key, complete)

    def close(self) -> None:
        self._closed = True
        self._stop_listening()

    def _choose(self, candidates: list[Candidate]) -> None:
        if self._closed:
            return
        if not candidates:
            self._session.refuse(HOST_UNREACHABLE, "failed", "unknown host")
            return
        chosen: Permitted | None = None
        why = "no rule decides"
        for _, (host, port, *_rest) in candidates:
            verdict = self._session.verdict(self._request.command, self._name, unmapped(host), port)
            if isinstance(verdict, Permitted):
                chosen = chosen or verdict
                self._awaited.add(unmapped(host))
            elif verdict is not None:
                why = verdict.why
        if chosen is None:
            self._session.refuse(NOT_ALLOWED, "denied", why)
        elif chosen.chain:
            # Other proxies would have to do the listening; done from here, it would go round them.
            self._session.refuse(COMMAND_NOT_SUPPORTED, "unsupported", "BIND through a proxy")
        else:
            self._listen(chosen, next(host for _, (host, *_) in candidates if unmapped(host) in self._awaited))

    def _listen(self, verdict: Permitted, peer: str) -> None:
        try:
            self._listener = self._bound(verdict, peer)
            self._listener.listen(1)
        except OSError as error:
            self._session.refuse(socks5_reply_of(error.errno or 0), "failed", os.strerror(error.errno or 0))
            return
        self._session.rule = verdict.rule
        bound = address_of(_originals.getsockname(self._listener))
        if not self._session.tell(role.reply(self._request, SUCCEEDED, bound)):
            return
        self._loop.watch(self._listener.fileno(), READABLE, self._accept)
        # A client that closes is seen by its FIN, as is one that half-closes; what it sends is the peer's.
        self._loop.watch(self._session.stream.fileno(), HUNG_UP, self._left)
        if seconds := self._session.server.policy.limits.bind_seconds:
            self._timer = self._loop.after(seconds, self._too_late)

    def _bound(self, verdict: Permitted, peer: str) -> _originals.Socket:
        """A socket on the address that the peer sees us by."""
        own = self._session.own[0] or "127.0.0.1"
        anybody = peer in ANYBODY
        source = verdict.source or (own if anybody else source_towards(peer)) or own
        listener = self._loop.stream(socket.AF_INET6 if ":" in source else socket.AF_INET)
        self._listener = listener
        like = self._session.port if verdict.reserved else 0
        # The port that is wanted, if the client awaits nobody in particular; as Dante has it.
        bind_to_listen(listener, source, like, self._target.port if anybody else 0)
        return listener

    def _accept(self, _fd: int, _events: int) -> None:
        assert self._listener is not None
        try:
            stream, peer = self._loop.accept(self._listener)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            self._session.refuse(socks5_reply_of(error.errno or 0), "failed", os.strerror(error.errno or 0))
            return
        self._stop_listening()
        why = self._objection(peer)
        if why:
            self._loop.discard(stream)
            answer = role.reply(self._request, NOT_ALLOWED, address_of(peer))
            self._session.dismiss(answer, "denied", why)
        else:
            self._session.relay(stream, address_of(peer))

    def _objection(self, peer: tuple[str, int]) -> str:
        """Why the peer that came is not the one, or not to be let in; empty if it is.

        RFC 1928 section 4: "a SOCKS server will use DST.ADDR and DST.PORT in evaluating the BIND request", so the rules
        are asked about the name and the port that the client gave, and the address that came.
        """
        host = peer[0].partition("%")[0]
        if not {host, *ANYBODY} & self._awaited:
            return f"{host} connected instead"
        verdict = self._session.verdict(self._request.command, self._name, host, self._target.port)
        if isinstance(verdict, Permitted):
            return ""
        return verdict.why if verdict else "no rule decides"

    def _left(self, _fd: int, _events: int) -> None:
        self._session.end("left", "the client did not wait for the peer")

    def _too_late(self) -> None:
        self._stop_listening()
        self._session.refuse(TTL_EXPIRED, "timeout", "nobody connected")

    def _stop_listening(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                # At once, and not when the events at hand are dealt with: who is told then finds nobody listening.
                self._listener.shutdown(socket.SHUT_RDWR)
            self._loop.discard(self._listener)
            self._listener = None
