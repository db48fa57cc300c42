"""The first stage of a session: what the client says until it is known what it wants, and whether it may come in."""

from __future__ import annotations

import os
import socket

from socksify.protocol import server as role
from socksify.protocol import socks5
from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED
from socksify.protocol.conversation import Conversation
from socksify.protocol.errors import AuthenticationRefused, Closed, ProtocolError
from socksify.server.loop import READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.protocol.conversation import Script
    from socksify.server.loop import Timer
    from socksify.server.policy import Admission
    from socksify.server.session import Session

# Read at once while the client says what it wants. What comes behind that is the target's.
PIECE = 4096

_NOSIGNAL = int(socket.MSG_NOSIGNAL)


class Negotiation:
    """Calls `session.serve` with the request, and what the client has said behind it; or ends the session."""

    __slots__ = ("_admission", "_begun", "_early", "_session", "_stream", "_talk", "_timer")
    stage = "negotiating"
    up = down = 0

    def __init__(self, session: Session, admission: Admission) -> None:
        self._session = session
        self._stream = session.stream
        self._admission = admission
        self._begun: role.Opening | None = None
        self._talk: Conversation | None = None
        # Read of the client and not yet taken by anybody.
        self._early = b""
        self._timer: Timer | None = None

    def start(self) -> None:
        seconds = self._session.server.policy.limits.handshake_seconds
        if seconds:
            self._timer = self._session.server.loop.after(seconds, self._too_late)
        self._talk = Conversation(role.opening(self._admission.methods))
        # Most clients have spoken by now, right behind the handshake: that spares a turn of the loop.
        self._converse(self._stream.fileno(), 0)

    def close(self) -> None:
        self._talk = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._session.end("timeout", "no request in time")

    def _hear(self, script: Script[Any]) -> None:
        """Runs one part of the conversation."""
        self._talk = talk = Conversation(script)
        if self._early or talk.outgoing:
            self._converse(self._stream.fileno(), 0)
        else:
            self._session.server.loop.watch(self._stream.fileno(), READABLE, self._converse)

    def _converse(self, fd: int, _events: int) -> None:
        talk = self._talk
        if talk is None:
            # What a client says while it waits for its answer is the target's, and left where it is.
            self._session.server.loop.watch(fd, 0, self._converse)
            return
        try:
            wanted = self._advance(talk)
        except ProtocolError as error:
            self._session.dismiss(b"", _outcome(error), str(error))
        except OSError as error:
            self._session.end("left", os.strerror(error.errno or 0))
        else:
            if wanted:
                self._session.server.loop.watch(fd, wanted, self._converse)
            else:
                self._heard(talk.result)

    def _advance(self, talk: Conversation) -> int:
        """Carries the conversation on as far as the socket allows; what it waits for then, 0 when it is over."""
        try:
            while not talk.over:
                if talk.outgoing:
                    talk.sent(self._stream.send(talk.outgoing, _NOSIGNAL))
                    continue
                early = self._early or self._stream.recv(PIECE)
                if not early:
                    talk.end()
                self._early = talk.feed(early)
                if talk.needs:
                    # All that there was, most likely: to ask again would be in vain.
                    return READABLE
        except BlockingIOError:
            return WRITABLE if talk.outgoing else READABLE
        return 0

    def _heard(self, said: Any) -> None:
        """What a part of the conversation has come to."""
        self._talk = None
        if self._begun is None:
            self._begun = said
            self._opened(said)
        else:
            self.close()
            self._session.serve(said, self._early)

    def _opened(self, begun: role.Opening) -> None:
        given = begun.credentials
        if given is None:
            self._ask(begun, socks5.NO_AUTHENTICATION in self._admission.methods)
            return
        verify = self._session.server.policy.verify
        self._session.server.verifiers.run(lambda: verify(given.user, given.password), self._verified)

    def _verified(self, accepted: bool) -> None:
        session, begun = self._session, self._begun
        if session.over:
            return
        assert begun is not None and begun.credentials is not None
        counts, limits = session.server.counts, session.server.policy.limits
        if not accepted:
            session.server.loop.after(counts.failed(limits, session.client.host), lambda: self._ask(begun, False))
            return
        denied = counts.identify(limits, begun.credentials.user)
        if denied is not None:
            session.end("denied", denied.why)
            return
        session.user = begun.credentials.user
        self._ask(begun, True)

    def _ask(self, begun: role.Opening, accepted: bool) -> None:
        if not self._session.over:
            self._hear(role.requested(begun, accepted))


def _outcome(error: ProtocolError) -> str:
    if isinstance(error, AuthenticationRefused):
        return "rejected"
    if isinstance(error, Closed):
        return "left"
    return "unsupported" if error.reply == ADDRESS_TYPE_NOT_SUPPORTED else "garbled"
