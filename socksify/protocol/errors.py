"""The errors of a conversation. There is one class for each cause, and each error carries the code of the wire.

Client programs do not see these errors: `errnos` gives the errno, and `tunnel.errors` translates once.
"""

from __future__ import annotations

QUOTED = 64


class ProtocolError(Exception):
    """Base of all errors of this package.

    `reply` is the code that the peer has sent, or that a server would send, or None. `wanted` are the authentication
    methods that the peer has named, if any.
    """

    def __init__(self, message: str, reply: int | None = None, wanted: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reply = reply
        self.wanted = wanted


class Garbled(ProtocolError):
    """The peer speaks another protocol. The message quotes at most 64 bytes of what it sent."""


class Closed(ProtocolError):
    """The peer closed the connection within a message. The error says what was awaited and how much had come."""


class Refused(ProtocolError):
    """A well-formed refusal, in the words of its RFC. `kind` is the protocol: "socks4", "socks5" or "http"."""

    def __init__(self, message: str, reply: int | None = None, kind: str = "") -> None:
        super().__init__(message, reply)
        self.kind = kind


class AuthenticationRefused(ProtocolError):
    """The peer accepts none of the offered methods, or refuses the credentials."""


class Unsupported(ProtocolError):
    """The protocol cannot express the request. Raised before anything is written.

    `reply` is the code by which a SOCKS5 server would refuse the request.
    """


def garbled(
    expected: str, got: bytes | bytearray | None = None, reply: int | None = None, wanted: tuple[str, ...] = ()
) -> Garbled:
    """Return the error for the bytes `got`, which came instead of `expected`. `got` is None if it must not be quoted.

    The message ends up in logs, so `got` must not contain a secret.
    """
    if got is None:
        return Garbled(f"expected {expected}", reply, wanted)
    more = "..." if len(got) > QUOTED else ""
    return Garbled(f"expected {expected}, got {bytes(got[:QUOTED])!r}{more}", reply, wanted)
