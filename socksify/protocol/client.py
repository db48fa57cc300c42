"""The role of the client: the messages for a proxy, and the checks of its answers.

A dialogue is a list of exchanges. Each exchange is a message and the script that reads its answer. All messages are
made before the first one is sent, so an address that cannot be sent is found before a byte is written. Only the order
of the exchanges connects a message with its answer. This module awaits each answer before it sends the next message. A
caller may also send the messages of all exchanges in one segment, and then read the answers in turn.
"""

from __future__ import annotations

from functools import partial

from socksify.protocol import socks4, socks5
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
    """A message, with the functions that parse and judge its answer. An exchange can be run any number of times.

    `message` are the bytes to send. `awaited` names the answer in the error of an answer that did not come. `parse`
    returns the script that reads the answer. `judge` gets the parsed answer and returns the result of the exchange; it
    raises an error if the answer is a refusal.
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
        """Send the message, read the answer and judge it."""
        yield self.message
        return (yield from self.answer())

    def answer(self) -> Script[Any]:
        """Read the answer and judge it."""
        try:
            return self.judge((yield from self.parse()))
        except Closed as closed:
            raise self.missed(closed) from None

    def missed(self, closed: Closed) -> Closed:
        """Return the error of an answer that did not come. The error names the answer."""
        return Closed(f"awaiting {self.awaited}: {closed}")


def negotiate(exchanges: list[Exchange]) -> Script[socks5.Reply]:
    """Run the exchanges of SOCKS5. Return the reply, or the first reply of a BIND. Raises ProtocolError.

    Every connect runs this code. To be fast, it does not make a generator for each exchange.
    """
    now, *authentication, request = exchanges
    try:
        yield now.message
        method = now.judge((yield from now.parse()))
        if method == socks5.USERNAME_PASSWORD:
            now = authentication[0]
            yield now.message
            now.judge((yield from now.parse()))
        now = request
        yield now.message
        reply: socks5.Reply = now.judge((yield from now.parse()))
    except Closed as closed:
        raise now.missed(closed) from None
    return reply


def socks5_exchanges(command: int, target: Address, credentials: Credentials = None) -> list[Exchange]:
    """Return the exchanges of SOCKS5: greeting, authentication if there are credentials, request.

    Raises the errors of `Address.encode` and `Login.rfc1929`.
    """
    request = Exchange(
        socks5.Request(command, target).encode(), "the reply to the request", socks5.Reply.parse, _succeeded
    )
    if credentials is None:
        return [_greeting(bytes((socks5.NO_AUTHENTICATION,))), request]
    message: bytes | Secret
    message = credentials.rfc1929() if isinstance(credentials, Login) else socks5.Credentials(*credentials).encode()
    authentication = Exchange(message, "the verdict on the credentials", socks5.CredentialsStatus.parse, _accepted)
    return [_greeting(bytes((socks5.NO_AUTHENTICATION, socks5.USERNAME_PASSWORD))), authentication, request]


def socks5_peer() -> Script[socks5.Reply]:
    """Read and judge the second reply of a BIND, which names the peer that has connected."""
    return Exchange(b"", "the peer of BIND", socks5.Reply.parse, partial(_second_reply, _succeeded)).answer()


def socks4_exchange(command: int, target: Address, userid: bytes | Login) -> Exchange:
    """Return the exchange of SOCKS4. A name is sent in the form of SOCKS4A.

    Raises the errors of `socks4.Request.encode`, such as Unsupported for an IPv6 address.
    """
    message: bytes | Secret
    if isinstance(userid, Login):
        message = userid.userid(socks4.Request(command, target, b"").encode())
    else:
        message = socks4.Request(command, target, userid).encode()
    return Exchange(message, "the reply to the request", socks4.Reply.parse, _granted)


def socks4_peer() -> Script[socks4.Reply]:
    """Read and judge the second reply of a BIND, which names the peer that has connected."""
    return Exchange(b"", "the peer of BIND", socks4.Reply.parse, partial(_second_reply, _granted)).answer()


def http_exchange(target: Address, credentials: Credentials = None) -> Exchange:
    """Return the exchange of HTTP CONNECT. Raises the errors of `ConnectRequest.encode`."""
    message: bytes | Secret
    if isinstance(credentials, Login):
        message = credentials.basic(ConnectRequest(target).encode())
    else:
        message = ConnectRequest(target, credentials).encode()
    return Exchange(message, "the response to CONNECT", Response.parse, partial(_connected, credentials is not None))


def _greeting(methods: bytes) -> Exchange:
    return Exchange(
        socks5.Greeting(methods).encode(), "the method choice", socks5.MethodChoice.parse, partial(_chosen, methods)
    )


def _chosen(offered: bytes, choice: socks5.MethodChoice) -> int:
    if choice.method in offered:
        return choice.method
    if choice.method == socks5.NO_ACCEPTABLE_METHODS:
        authenticated = len(offered) > 1
        wanted = ("another method",) if authenticated else ()
        raise AuthenticationRefused(f"no acceptable methods{_hint(authenticated)}", choice.method, wanted)
    method = socks5.METHODS.get(choice.method, f"method {choice.method:#04x}")
    raise garbled("one of the methods offered", choice.encode(), wanted=(method,))


def _accepted(verdict: socks5.CredentialsStatus) -> None:
    if verdict.status != 0:
        raise AuthenticationRefused("user name and password not accepted", verdict.status)


def _succeeded(reply: socks5.Reply) -> socks5.Reply:
    if reply.code != socks5.SUCCEEDED:
        words = socks5.REPLIES.get(reply.code, f"unassigned reply {reply.code:#04x}")
        raise Refused(words, reply.code, "socks5")
    return reply


def _granted(reply: socks4.Reply) -> socks4.Reply:
    if reply.code != socks4.GRANTED:
        raise Refused(socks4.REPLIES.get(reply.code, f"unassigned reply {reply.code}"), reply.code, "socks4")
    return reply


def _second_reply(judge: Callable[[Any], Any], reply: Any) -> Any:
    """Judge the second reply of a BIND. A refusal may name the host that has connected instead of the peer."""
    try:
        return judge(reply)
    except Refused as refused:
        came = reply.address
        if not came.port:
            raise
        raise Refused(f"{came.host} port {came.port} came: {refused}", refused.reply, refused.kind) from None


def _connected(authenticated: bool, response: Response) -> Response:
    # RFC 9110 section 9.3.6: "Any 2xx (Successful) response indicates that the sender ... will switch to tunnel mode".
    if 200 <= response.status <= 299:
        return response
    if response.status in (UNAUTHORIZED, PROXY_AUTHENTICATION_REQUIRED):
        raise AuthenticationRefused(f"{response}{_hint(authenticated)}", response.status, response.challenges)
    raise Refused(str(response), response.status, "http")


def _hint(authenticated: bool) -> str:
    return "" if authenticated else " (no user name and password are set)"
