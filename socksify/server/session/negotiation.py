"""The first stage of a session: the messages up to the client's request, and the authentication of the client."""

from __future__ import annotations

import os

from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED
from socksify.protocol.errors import AuthenticationRefused, Closed, ProtocolError
from socksify.protocol.server import Dialogue
from socksify.server.core.loop import READABLE
from socksify.server.policy.limits import client_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.calls import Timer
    from socksify.server.policy.policy import Admission
    from socksify.server.session.stage import SessionContext

# How many bytes are read at once. Data after the client's request is for the target, and most of it is left in the
# socket.
PIECE = 4096


class Negotiation:
    """Calls `context.serve` with the request and the data after it, or ends the session."""

    __slots__ = ("_context", "_dialogue", "_is_open", "_timer")
    name = "negotiating"
    up = down = 0

    def __init__(self, context: SessionContext, admission: Admission) -> None:
        self._context = context
        self._dialogue = Dialogue(admission.methods)
        self._timer: Timer | None = None
        self._is_open = True

    @property
    def awaits_client(self) -> bool:
        """True if it is the client's turn to speak, and no password is being verified."""
        return self._dialogue.request is None and self._dialogue.credentials is None

    def start(self) -> None:
        fd = self._context.stream.fileno()
        # Most clients send the first message right after the TCP handshake. Reading it now saves a turn of the loop.
        self._receive(fd, READABLE)
        if self._is_open:
            loop = self._context.loop
            loop.watch(fd, READABLE, self._receive)
            seconds = self._context.policy.limits.handshake_seconds
            if seconds:
                self._timer = loop.after(seconds, self._timed_out)

    def close(self) -> None:
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._context.end("timeout", "no request in time")

    def _receive(self, fd: int, _events: int) -> None:
        dialogue = self._dialogue
        if dialogue.request is not None or dialogue.credentials is not None:
            # The client waits for an answer. Data that it sends now is for the target, or can wait in the socket.
            self._context.loop.watch(fd, 0, self._receive)
            return
        try:
            data = self._context.stream.recv(PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._context.end("left", os.strerror(error.errno or 0))
            return
        if data:
            self._answer(dialogue.hear(data))
        else:
            closed = dialogue.closed()
            self._context.dismiss(b"", _outcome(closed), str(closed))

    def _answer(self, answer: bytes) -> None:
        """Send the answer of the dialogue, and then serve the request, verify the credentials, or end the session."""
        context, dialogue = self._context, self._dialogue
        if answer and not context.tell(answer):
            return
        if dialogue.request is not None:
            self.close()
            context.serve(dialogue.request, dialogue.rest)
        elif dialogue.failure is not None:
            context.dismiss(b"", _outcome(dialogue.failure), str(dialogue.failure))
        elif dialogue.credentials is not None:
            self._verify(dialogue.credentials.user, dialogue.credentials.password)

    def _verify(self, user: bytes, password: bytes) -> None:
        context = self._context
        policy = context.policy
        if policy.remembers(user, password):
            self._verified(True)
            return
        # If the client has left while its task waited for a thread, the password is not verified any more.
        context.verifiers.run(
            client_key(context.host), lambda: not context.over and policy.verify(user, password), self._verified
        )

    def _verified(self, accepted: bool) -> None:
        context = self._context
        if context.over:
            return
        if not accepted:
            seconds = context.counts.failed(context.policy.limits, context.host)
            context.loop.after(seconds, self._reject)
            return
        assert self._dialogue.credentials is not None
        denied = context.identify(self._dialogue.credentials.user)
        if denied is not None:
            context.end("denied", denied.why)
            return
        self._continue(True)

    def _reject(self) -> None:
        if not self._context.over:
            self._continue(False)

    def _continue(self, accepted: bool) -> None:
        self._context.loop.watch(self._context.stream.fileno(), READABLE, self._receive)
        self._answer(self._dialogue.verified(accepted))


def _outcome(error: ProtocolError) -> str:
    if isinstance(error, AuthenticationRefused):
        return "rejected"
    if isinstance(error, Closed):
        return "left"
    return "unsupported" if error.reply == ADDRESS_TYPE_NOT_SUPPORTED else "garbled"
