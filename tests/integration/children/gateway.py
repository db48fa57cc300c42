"""A SOCKS proxy that writes down whom it was asked for, and plays every target itself: nobody else could reach them."""

from __future__ import annotations

from tests.support.bad_proxy import BadProxy, Session
from tests.support.steps import READ_GREETING, READ_REQUEST, Send, socks5_reply

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncovered"


def _answer(session: Session) -> None:
    """To whatever is said first, as an HTTP server."""
    if session.stream.recv(65536):
        session.stream.sendall(ANSWER)


class Gateway(BadProxy):
    """The running proxy."""

    def __init__(self) -> None:
        super().__init__([READ_GREETING, Send(b"\x05\x00"), READ_REQUEST, Send(socks5_reply(0)), _answer])

    def asked_for(self, name: str) -> int:
        """How often a connection to this name was asked for."""
        return sum(session.target is not None and session.target[0] == name for session in self.sessions)
