"""A SOCKS proxy that records which targets it was asked for, and plays every target itself: none of them exists."""

from __future__ import annotations

from tests.support.bad_proxy import BadProxy, Session
from tests.support.steps import READ_GREETING, READ_REQUEST, Send, socks5_reply

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncovered"


def _answer(session: Session) -> None:
    """Answer as an HTTP server, whatever is said first."""
    if session.stream.recv(65536):
        session.stream.sendall(ANSWER)


class RecordingProxy(BadProxy):
    """The running proxy. `sessions` has what it was asked for."""

    def __init__(self) -> None:
        super().__init__([READ_GREETING, Send(b"\x05\x00"), READ_REQUEST, Send(socks5_reply(0)), _answer])

    def asked_for(self, name: str) -> int:
        """Return how often a connection to this name was asked for."""
        return sum(session.target is not None and session.target[0] == name for session in self.sessions)
