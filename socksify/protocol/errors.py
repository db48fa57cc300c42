"""What can go wrong in a conversation, told apart by who is to blame: the wire code travels with the error.

These are not yet what a client program sees: `errnos` gives the errno, and the tunnel translates once.
"""

from __future__ import annotations

QUOTED = 64


class ProtocolError(Exception):
    """Base of all errors of this package. `reply` is the code that came, or would go, over the wire, if any."""

    reply: int | None = None
    # The ways to authenticate that the peer wants, as far as it has said so.
    wanted: tuple[str, ...] = ()

    def __init__(self, message: str, reply: int | None = None) -> None:
        super().__init__(message)
        if reply is not None:
            self.reply = reply


class Garbled(ProtocolError):
    """The peer speaks something else; the message quotes at most 64 bytes of it."""


class Closed(ProtocolError):
    """The peer closed in mid-message; the message says what was awaited and how much of it had come."""


class Refused(ProtocolError):
    """A well-formed refusal, in the words of its RFC. `kind` is "socks4", "socks5" or "http"."""

    kind: str = ""

    def __init__(self, message: str, reply: int | None = None, kind: str = "") -> None:
        super().__init__(message, reply)
        self.kind = kind


class AuthenticationRefused(ProtocolError):
    """No acceptable method, or credentials that the peer does not accept."""


class Unsupported(ProtocolError):
    """The protocol cannot say this; raised before anything is written. `reply` is what a SOCKS5 server would say."""


def garbled(expected: str, got: bytes | bytearray | None = None, reply: int | None = None) -> Garbled:
    """The error for `got` where `expected` should have come; None for what is not to be quoted.

    The message ends up in logs, so `got` must be nothing that may be a secret.
    """
    if got is None:
        return Garbled(f"expected {expected}", reply)
    more = "..." if len(got) > QUOTED else ""
    return Garbled(f"expected {expected}, got {bytes(got[:QUOTED])!r}{more}", reply)
