"""The client's scripts: what is said to a proxy, and how its answers are judged.

A dialogue is a list of exchanges, each a message and the script that reads its answer. All messages are made
before the first is sent: what cannot be said is found before a byte is written, and nothing but the order in
which exchanges are run ties a message to its answer. Here each answer is awaited before the next message goes
out; to send all messages in one segment and then read the answers in turn takes the same exchanges.
"""

from __future__ import annotations

from functools import partial

from socksify.protocol import socks4 as v4
from socksify.protocol import socks5 as v5
from socksify.protocol.credentials import Login, Secret
from socksify.protocol.errors import AuthenticationRefused, Closed, Refused, garbled
from socksify.protocol.http_connect import PROXY_AUTHENTICATION_REQUIRED, UNAUTHORIZED, ConnectRequest, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.protocol.address import Address
    from socksify.protocol.conversation import Script
    from socksify.protocol.credentials import Credentials


class Exchange:
    """A message, and how its answer is parsed and judged; can be run again and again.

    `awaited` names the answer, for the error that says it never came; `judge` raises when the answer is no.
    """

    __slots__ = ("awaited", "judge", "message", "parse")

    def __init__(
        self, message: bytes | Secret, awaited: str, parse: Callable[[], Script[Any]], judge: Callable[[Any], Any]
    ) -> None:
        self.message = message
        self.awaited = awaited
        self.parse = parse
        self.judge = judge

    def run(self) -> Script[Any]:
        """Say it and hear the answer."""
        yield self.message
        return (yield from self.answer())

    def answer(self) -> Script[Any]:
        """Read the answer and judge it."""
        try:
            return self.judge((yield from self.parse()))
        except Closed as closed:
            raise self.missed(closed) from None

    def missed(self, closed: Closed) -> Closed:
        """The error that says which answer never came."""
        return Closed(f"awaiting {self.awaited}: {closed}")


def socks5(command: int, target: Address, credentials: Credentials = None) -> Script[v5.Reply]:
    """Negotiate, authenticate if the proxy wants it, request; returns the reply (of a BIND the first).

    Raises what `Address.encode` and `Credentials.encode` raise before anything is written, then ProtocolErrors.
    """
    return negotiate(socks5_exchanges(command, target, credentials))


def negotiate(exchanges: list[Exchange]) -> Script[v5.Reply]:
    """Run the exchanges of SOCKS5, without a generator apiece: this is run at every connect."""
    now, *authentication, request = exchanges
    try:
        yield now.message
        method = now.judge((yield from now.parse()))
        if method == v5.USERNAME_PASSWORD:
            now = authentication[0]
            yield now.message
            now.judge((yield from now.parse()))
        now = request
        yield now.message
        reply: v5.Reply = now.judge((yield from now.parse()))
    except Closed as closed:
        raise now.missed(closed) from None
    return reply


def socks5_exchanges(command: int, target: Address, credentials: Credentials = None) -> list[Exchange]:
    """Greeting, authentication if there are credentials, request."""
    request = Exchange(v5.Request(command, target).encode(), "the reply to the request", v5.Reply.parse, _succeeded)
    if credentials is None:
        return [_greeting(bytes((v5.NO_AUTHENTICATION,))), request]
    message: bytes | Secret
    message = credentials.rfc1929() if isinstance(credentials, Login) else v5.Credentials(*credentials).encode()
    authentication = Exchange(message, "the verdict on the credentials", v5.CredentialsStatus.parse, _accepted)
    return [_greeting(bytes((v5.NO_AUTHENTICATION, v5.USERNAME_PASSWORD))), authentication, request]


def socks5_peer() -> Script[v5.Reply]:
    """Read and judge the second reply of a BIND, which names the peer that has connected."""
    return Exchange(b"", "the peer of BIND", v5.Reply.parse, partial(_met, _succeeded)).answer()


def socks4(command: int, target: Address, userid: bytes | Login) -> Script[v4.Reply]:
    """Request; a name goes out in the form of SOCKS4A. Returns the reply (of a BIND the first).

    Raises what `socks4.Request.encode` raises before anything is written, Unsupported for IPv6 among it.
    """
    return socks4_exchange(command, target, userid).run()


def socks4_exchange(command: int, target: Address, userid: bytes | Login) -> Exchange:
    """The request and its reply."""
    message: bytes | Secret
    if isinstance(userid, Login):
        message = userid.userid(v4.Request(command, target, b"").encode())
    else:
        message = v4.Request(command, target, userid).encode()
    return Exchange(message, "the reply to the request", v4.Reply.parse, _granted)


def socks4_peer() -> Script[v4.Reply]:
    """Read and judge the second reply of a BIND, which names the peer that has connected."""
    return Exchange(b"", "the peer of BIND", v4.Reply.parse, partial(_met, _granted)).answer()


def http(target: Address, credentials: Credentials = None) -> Script[Response]:
    """CONNECT; raises what `ConnectRequest.encode` raises before anything is written."""
    return http_exchange(target, credentials).run()


def http_exchange(target: Address, credentials: Credentials = None) -> Exchange:
    """The request and its response."""
    message: bytes | Secret
    if isinstance(credentials, Login):
        message = credentials.basic(ConnectRequest(target).encode())
    else:
        message = ConnectRequest(target, credentials).encode()
    return Exchange(message, "the response to CONNECT", Response.parse, partial(_opened, credentials is not None))


def _greeting(methods: bytes) -> Exchange:
    return Exchange(
        v5.Greeting(methods).encode(), "the method choice", v5.MethodChoice.parse, partial(_chosen, methods)
    )


def _chosen(offered: bytes, choice: v5.MethodChoice) -> int:
    if choice.method in offered:
        return choice.method
    if choice.method == v5.NO_ACCEPTABLE_METHODS:
        refused = AuthenticationRefused(f"no acceptable methods{_without(len(offered) > 1)}", choice.method)
        if len(offered) > 1:
            refused.wanted = ("another method",)
        raise refused
    error = garbled("one of the methods offered", choice.encode())
    error.wanted = (v5.METHODS.get(choice.method, f"method {choice.method:#04x}"),)
    raise error


def _accepted(verdict: v5.CredentialsStatus) -> None:
    if verdict.status != 0:
        raise AuthenticationRefused("user name and password not accepted", verdict.status)


def _succeeded(reply: v5.Reply) -> v5.Reply:
    if reply.code != v5.SUCCEEDED:
        words = v5.REPLIES.get(reply.code, f"unassigned reply {reply.code:#04x}")
        raise Refused(words, reply.code, "socks5")
    return reply


def _granted(reply: v4.Reply) -> v4.Reply:
    if reply.code != v4.GRANTED:
        raise Refused(v4.REPLIES.get(reply.code, f"unassigned reply {reply.code}"), reply.code, "socks4")
    return reply


def _met(judge: Callable[[Any], Any], reply: Any) -> Any:
    """Judge the second reply of a BIND; a refusal may tell who came instead of the peer."""
    try:
        return judge(reply)
    except Refused as refused:
        came = reply.address
        if not came.port:
            raise
        raise Refused(f"{came.host} port {came.port} came: {refused}", refused.reply, refused.kind) from None


def _opened(authenticated: bool, response: Response) -> Response:
    # RFC 9110 section 9.3.6: "Any 2xx (Successful) response indicates that the sender ... will switch to tunnel mode".
    if 200 <= response.status <= 299:
        return response
    if response.status in (UNAUTHORIZED, PROXY_AUTHENTICATION_REQUIRED):
        error = AuthenticationRefused(f"{response}{_without(authenticated)}", response.status)
        error.wanted = response.challenges
        raise error
    raise Refused(str(response), response.status, "http")


def _without(credentials: bool) -> str:
    return "" if credentials else " (no user name and password are set)"
