"""The server's script: what a client of either SOCKS version asks for, negotiation included.

A failure that the RFC has an answer for is answered first and raised when the answer was written, so that a
driver has one thing to do with an error: log it and close.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.protocol import socks4, socks5
from socksify.protocol.address import IPV4, NAME, UNSPECIFIED, Address, encode_name
from socksify.protocol.errors import AuthenticationRefused, Closed, Garbled, garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from socksify.protocol.conversation import Script

    Verify: TypeAlias = Callable[[bytes, bytes], bool]


class Request(Record, hidden=("user", "userid")):
    """What a client asks for.

    `version` is 4 or 5; `command` is CONNECT, BIND, UDP_ASSOCIATE or unknown, for the caller to answer
    COMMAND_NOT_SUPPORTED; `user` was verified, None without authentication; `userid` is SOCKS4's mere claim.
    """

    version: int
    command: int
    target: Address
    user: bytes | None = None
    userid: bytes = b""


class Opening(Record):
    """How a client begins: `version`, the `second` byte, and `credentials` when it was asked for them.

    Whether it may go on is for the caller to find out, who may have to ask others.
    """

    version: int
    second: int
    credentials: socks5.Credentials | None = None


def request(verify: Verify | None = None) -> Script[Request]:
    """Read a request of the version that its first byte tells.

    With `verify(user, password)` nobody gets in without it: SOCKS4, which has no passwords, is refused.
    Raises Garbled and AuthenticationRefused, after the client was told.
    """
    begun = yield from opening((socks5.USERNAME_PASSWORD if verify else socks5.NO_AUTHENTICATION,))
    if verify is None:
        return (yield from requested(begun, True))
    given = begun.credentials
    return (yield from requested(begun, given is not None and verify(given.user, given.password)))


def opening(methods: tuple[int, ...]) -> Script[Opening]:
    """Read the version and, of SOCKS5, negotiate one of `methods`, the first that the client offers.

    Raises Garbled, and AuthenticationRefused after the client was told.
    """
    version, second = yield 2
    if version == socks4.VERSION:
        return Opening(version, second)
    if version != socks5.VERSION:
        raise garbled("SOCKS version 4 or 5", bytes((version, second)))
    try:
        method = _choice(methods, (yield second))
        yield socks5.MethodChoice(method).encode()
        if method == socks5.NO_ACCEPTABLE_METHODS:
            raise AuthenticationRefused("no acceptable methods offered", method)
        given = (yield from socks5.Credentials.parse()) if method == socks5.USERNAME_PASSWORD else None
    except Closed as closed:
        raise _closed(version, closed) from None
    return Opening(version, second, given)


def requested(begun: Opening, accepted: bool) -> Script[Request]:
    """Read the request of a client that has begun so; unless `accepted`, refuse it.

    Raises Garbled and AuthenticationRefused, after the client was told.
    """
    try:
        if begun.version == socks5.VERSION:
            return (yield from _socks5(begun.credentials, accepted))
        return (yield from _socks4(begun.second, accepted))
    except Closed as closed:
        raise _closed(begun.version, closed) from None


def reply(request: Request, code: int, bound: Address = UNSPECIFIED) -> bytes:
    """The reply to `request` in its own version; `code` is one of SOCKS5's, of which SOCKS4 knows yes and no."""
    if request.version == socks5.VERSION:
        return socks5.Reply(code, bound).encode()
    return _socks4_reply(socks4.GRANTED if code == socks5.SUCCEEDED else socks4.REJECTED, bound)


def _choice(methods: tuple[int, ...], offered: bytes) -> int:
    for method in methods:
        if method in offered:
            return method
    return socks5.NO_ACCEPTABLE_METHODS


def _closed(version: int, closed: Closed) -> Closed:
    return Closed(f"awaiting a SOCKS{version} request: {closed}")


def _socks5(given: socks5.Credentials | None, accepted: bool) -> Script[Request]:
    if given is not None:
        # RFC 1929: "If the server returns a `failure' ... status, it MUST close the connection."
        yield socks5.CredentialsStatus(0 if accepted else 1).encode()
        if not accepted:
            raise AuthenticationRefused("user name and password not accepted", 1)
    try:
        asked = yield from socks5.Request.parse()
        _check_name(asked.address)
    except Garbled as error:
        if error.reply is not None:
            yield socks5.Reply(error.reply, UNSPECIFIED).encode()
        raise
    return Request(socks5.VERSION, asked.command, asked.address, given.user if given else None)


def _socks4(command: int, accepted: bool) -> Script[Request]:
    asked = yield from socks4.Request.parse_rest(command)
    if not accepted:
        yield _socks4_reply(socks4.REJECTED)
        raise AuthenticationRefused("SOCKS4 has no passwords", socks4.REJECTED)
    try:
        _check_name(asked.address)
    except Garbled:
        yield _socks4_reply(socks4.REJECTED)
        raise
    return Request(socks4.VERSION, asked.command, asked.address, None, asked.userid)


def _socks4_reply(code: int, bound: Address = UNSPECIFIED) -> bytes:
    # A SOCKS4 reply has room for an IPv4 address only; the port is worth telling all the same.
    address = bound if bound.type == IPV4 else UNSPECIFIED.replace(port=bound.port)
    return socks4.Reply(code, address).encode()


def _check_name(address: Address) -> None:
    """Refuse what no resolver should see: an empty name would be this very machine, a null would end the name."""
    try:
        if address.type == NAME:
            encode_name(address.host)
    except ValueError:
        name = address.host.encode("ascii", "surrogateescape")
        raise garbled("a host name", name, socks5.HOST_UNREACHABLE) from None
