"""The first stage of a session: what the client says until it is known what it wants, and whether it may come in."""

from __future__ import annotations

import os

from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED
from socksify.protocol.errors import AuthenticationRefused, Closed, ProtocolError
from socksify.protocol.server import Dialogue
from socksify.server.core.loop import READABLE
from socksify.server.policy.limits import one_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.timers import Timer
    from socksify.server.policy.policy import Admission
    from socksify.server.session.session import Session

# Read at once while the client says what it wants. What comes behind that is the target's.
PIECE = 4096


class Negotiation:
    """Calls `session.serve` with the request, and what the client has said behind it; or ends the session."""

    __slots__ = ("_dialogue", "_goes_on", "_session", "_timer")
    stage = "negotiating"
    up = down = 0

    def __init__(self, session: Session, admission: Admission) -> None:
        self._session = session
        self._dialogue = Dialogue(admission.methods)
        self._timer: Timer | None = None
        self._goes_on = True

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn, and not that of who verifies its password."""
        return self._dialogue.request is None and self._dialogue.credentials is None

    def start(self) -> None:
        fd = self._session.stream.fileno()
        # Most clients have spoken by now, right behind the handshake: that spares a turn of the loop.
        self._hear(fd, READABLE)
        if self._goes_on:
            loop = self._session.server.loop
            loop.watch(fd, READABLE, self._hear)
            seconds = self._session.server.policy.limits.handshake_seconds
            if seconds:
                self._timer = loop.after(seconds, self._too_late)

    def close(self) -> None:
        self._goes_on = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._session.end("timeout", "no request in time")

    def _hear(self, fd: int, _events: int) -> None:
        dialogue = self._dialogue
        if dialogue.request is not None or dialogue.credentials is not None:
            # What a client says while it waits for its answer is the target's, or of no hurry: it is left where it is.
            self._session.server.loop.watch(fd, 0, self._hear)
            return
        try:
            said = self._session.stream.recv(PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._session.end("left", os.strerror(error.errno or 0))
            return
        if said:
            self._answer(dialogue.hear(said))
        else:
            closed = dialogue.closed()
            self._session.dismiss(b"", _outcome(closed), str(closed))

    def _answer(self, answer: bytes) -> None:
        """Tells the client, and does what the dialogue has come to."""
        session, dialogue = self._session, self._dialogue
        if answer and not session.tell(answer):
            return
        if dialogue.request is not None:
            self.close()
            session.serve(dialogue.request, dialogue.rest)
        elif dialogue.failure is not None:
            session.dismiss(b"", _outcome(dialogue.failure), str(dialogue.failure))
        elif dialogue.credentials is not None:
            self._verify(dialogue.credentials.user, dialogue.credentials.password)

    def _verify(self, user: bytes, password: bytes) -> None:
        session = self._session
        policy = session.server.policy
        if policy.remembers(user, password):
            self._verified(True)
            return
        # Nobody is waited for who has gone while others were before him.
        session.server.verifiers.run(
            one_client(session.host), lambda: not session.over and policy.verify(user, password), self._verified
        )

    def _verified(self, accepted: bool) -> None:
        session = self._session
        if session.over:
            return
        counts, limits = session.server.counts, session.server.policy.limits
        if not accepted:
            session.server.loop.after(counts.failed(limits, session.host), self._reject)
            return
        assert self._dialogue.credentials is not None
        session.user = self._dialogue.credentials.user
        denied = counts.identify(limits, session.user)
        if denied is not None:
            session.end("denied", denied.why)
            return
        self._go_on(True)

    def _reject(self) -> None:
        if not self._session.over:
            self._go_on(False)

    def _go_on(self, accepted: bool) -> None:
        self._session.server.loop.watch(self._session.stream.fileno(), READABLE, self._hear)
        self._answer(self._dialogue.verified(accepted))


def _outcome(error: ProtocolError) -> str:
    if isinstance(error, AuthenticationRefused):
        return "rejected"
    if isinstance(error, Closed):
        return "left"
    return "unsupported" if error.reply == ADDRESS_TYPE_NOT_SUPPORTED else "garbled"
