"""The role of the server: the negotiation with a client of either SOCKS version, up to its request.

A server may read ahead, because it can pass the bytes after a request on to the target. Therefore the server's side of
the dialogue is no script that gets its bytes piece by piece. Instead, it reads all bytes again when new bytes come.
This saves a tenth of the processor time of a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from socksify._record import Record
from socksify.protocol import socks4, socks5
from socksify.protocol.address import IPV4, NAME, UNSPECIFIED, Address, encode_name
from socksify.protocol.errors import AuthenticationRefused, Closed, Garbled, ProtocolError, garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Message = TypeVar("Message")

# The number of messages of each kind that are remembered.
_MOST = 1024
_CHOICES = {
    method: socks5.MethodChoice(method).encode()
    for method in (socks5.NO_AUTHENTICATION, socks5.USERNAME_PASSWORD, socks5.NO_ACCEPTABLE_METHODS)
}


class Request(Record, hidden=("user", "userid")):
    """The request of a client.

    `version` is 4 or 5. `command` is CONNECT, BIND, UDP_ASSOCIATE, or an unknown one, which the caller answers with
    COMMAND_NOT_SUPPORTED. `user` has been verified; it is None without authentication. `userid` is the unverified user
    of SOCKS4.
    """

    version: int
    command: int
    target: Address
    user: bytes | None = None
    userid: bytes = b""


def _read(version: int, said: bytes) -> tuple[Request, int] | None:
    found = (socks5.Request if version == socks5.VERSION else socks4.Request).read(said)
    if found is None:
        return None
    asked, end = found
    userid = asked.userid if isinstance(asked, socks4.Request) else b""
    return Request(version, asked.command, _reachable(asked.address), None, userid), end


def _remembering(read: Callable[[bytes], tuple[Message, int] | None]) -> Callable[[bytes], tuple[Message, int] | None]:
    """Return `read` with a cache, because most clients send the same few messages.

    A message with bytes after it is not cached, because these bytes are for the target, and may be secret.
    """
    known: dict[bytes, tuple[Message, int]] = {}

    def recall(said: bytes) -> tuple[Message, int] | None:
        found = known.get(said)
        if found is None:
            found = read(said)
            if found is not None and found[1] == len(said):
                if len(known) >= _MOST:
                    known.clear()
                known[said] = found
        return found

    return recall


_greeting = _remembering(socks5.Greeting.read)
_requests = {version: _remembering(partial(_read, version)) for version in (socks4.VERSION, socks5.VERSION)}


class Dialogue:
    """The dialogue with a client, up to its request.

    `methods` are the methods of SOCKS5 that are accepted, the preferred one first. SOCKS4, which has no passwords, is
    accepted if NO_AUTHENTICATION is one of them. Pass the bytes of the client to `hear`, write the bytes that it
    returns, and look at

    failure      the error that ends the dialogue, or None; close the connection when the answer has been written
    credentials  the credentials to verify, or None; call `verified` before `hear` is called again
    request      the request of the client, or None; `rest` are the bytes behind it
    """

    __slots__ = ("_identifies", "_methods", "_user", "_version", "credentials", "failure", "request", "rest")

    def __init__(self, methods: tuple[int, ...]) -> None:
        self._methods = methods
        self._version = 0
        self._identifies = False
        self._user: bytes | None = None
        self.rest = b""
        self.failure: ProtocolError | None = None
        self.credentials: socks5.Credentials | None = None
        self.request: Request | None = None

    def hear(self, said: bytes) -> bytes:
        """Take bytes of the client. Return the answer, which may be empty."""
        self.rest += said
        return self._go_on()

    def verified(self, accepted: bool) -> bytes:
        """Take the verdict on `credentials`. Return the answer."""
        assert self.credentials is not None
        user, self.credentials = self.credentials.user, None
        self._identifies = False
        # RFC 1929: "If the server returns a `failure' ... status, it MUST close the connection."
        status = socks5.CredentialsStatus(0 if accepted else 1).encode()
        if not accepted:
            self.failure = AuthenticationRefused("user name and password not accepted", 1)
            return status
        self._user = user
        return status + self._go_on()

    def closed(self) -> Closed:
        """Return the error for a client that has closed. It names the awaited message and the bytes so far."""
        awaited = "a SOCKS request"
        if self._version:
            awaited = "credentials" if self._identifies else f"a SOCKS{self._version} request"
        return Closed(f"closed after {len(self.rest)} bytes of {awaited}")

    def _go_on(self) -> bytes:
        try:
            if not self._version:
                return self._open()
            return self._identify() if self._identifies else self._ask()
        except Garbled as error:
            self.failure = error
            return b"" if error.reply is None else _reply(self._version, error.reply)

    def _open(self) -> bytes:
        if len(self.rest) < 2:
            return b""
        version = self.rest[0]
        if version == socks4.VERSION:
            self._version = version
            return self._ask()
        if version != socks5.VERSION:
            raise garbled("SOCKS version 4 or 5", self.rest[:2])
        found = _greeting(self.rest)
        if found is None:
            return b""
        self._version = version
        greeting, end = found
        self.rest = self.rest[end:]
        method = self._choose(greeting.methods)
        choice = _CHOICES[method]
        if method == socks5.NO_ACCEPTABLE_METHODS:
            self.failure = AuthenticationRefused("no acceptable methods offered", method)
            return choice
        self._identifies = method == socks5.USERNAME_PASSWORD
        return choice + self._go_on() if self.rest else choice

    def _choose(self, offered: bytes) -> int:
        for method in self._methods:
            if method in offered:
                return method
        return socks5.NO_ACCEPTABLE_METHODS

    def _identify(self) -> bytes:
        found = socks5.Credentials.read(self.rest)
        if found is not None:
            self.credentials, end = found
            self.rest = self.rest[end:]
        return b""

    def _ask(self) -> bytes:
        version = self._version
        found = _requests[version](self.rest)
        if found is None:
            return b""
        request, end = found
        self.rest = self.rest[end:]
        if version == socks4.VERSION and socks5.NO_AUTHENTICATION not in self._methods:
            self.failure = AuthenticationRefused("SOCKS4 has no passwords", socks4.REJECTED)
            return _reply(version, socks5.NOT_ALLOWED)
        self.request = request if self._user is None else request.replace(user=self._user)
        return b""


def reply(request: Request, code: int, bound: Address = UNSPECIFIED) -> bytes:
    """Return the bytes of the reply to `request`, in its version.

    `code` is a reply of SOCKS5. For SOCKS4, success becomes GRANTED, and everything else REJECTED.
    """
    return _reply(request.version, code, bound)


def _reply(version: int, code: int, bound: Address = UNSPECIFIED) -> bytes:
    if version == socks5.VERSION:
        return socks5.encode_reply(code, bound)
    # A SOCKS4 reply has room for an IPv4 address only. The port is sent in any case.
    address = bound if bound.type == IPV4 else UNSPECIFIED.replace(port=bound.port)
    return socks4.Reply(socks4.GRANTED if code == socks5.SUCCEEDED else socks4.REJECTED, address).encode()


def _reachable(target: Address) -> Address:
    """Return the target. Raises Garbled for a name that no resolver should see.

    An empty name would mean this machine, and a null character would end the name.
    """
    if target.type == NAME:
        try:
            encode_name(target.host)
        except ValueError:
            raise garbled("a host name without null characters", reply=socks5.HOST_UNREACHABLE) from None
    return target
