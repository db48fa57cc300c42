"""The client's scripts: what is said to a proxy, and how its answers are judged.

A dialogue is a list of exchanges, each a message and the script that reads its answer. All messages are made
before the first is sent: what cannot be said is found before a byte is written, and nothing but the order in
which exchanges are run ties a message to its answer. Here each answer is awaited before the next message goes
out; to send all messages in one segment and then read the answers in turn takes the same exchanges.
"""

from __future__ import annotations

from socksify.protocol import socks4 as v4
from socksify.protocol import socks5 as v5
from socksify.protocol.conversation import awaiting
from socksify.protocol.errors import AuthenticationRefused, Refused, garbled
from socksify.protocol.http import PROXY_AUTHENTICATION_REQUIRED, ConnectRequest, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.protocol.address import Address
    from socksify.protocol.conversation import Script


class Exchange:
    """A message and the script of its answer, which raises when the answer is no."""

    __slots__ = ("answer", "message")

    def __init__(self, message: bytes, answer: Callable[[], Script[Any]]) -> None:
        self.message = message
        self.answer = answer

    def run(self) -> Script[Any]:
        """Say it and hear the answer."""
        yield self.message
        return (yield from self.answer())


def socks5(command: int, target: Address, credentials: tuple[bytes, bytes] | None = None) -> Script[v5.Reply]:
    """Negotiate, authenticate if the proxy wants it, request; returns the reply (of a BIND the first).

    Raises what `Address.encode` and `Credentials.encode` raise before anything is written, then ProtocolErrors.
    """
    return negotiate(socks5_exchanges(command, target, credentials))


def negotiate(exchanges: list[Exchange]) -> Script[v5.Reply]:
    """Run the exchanges of SOCKS5, which can be used again and again."""
    greeting, *authentication, request = exchanges
    method = yield from greeting.run()
    if method == v5.USERNAME_PASSWORD:
        yield from authentication[0].run()
    reply: v5.Reply = yield from request.run()
    return reply


def socks5_exchanges(command: int, target: Address, credentials: tuple[bytes, bytes] | None = None) -> list[Exchange]:
    """Greeting, authentication if there are credentials, request."""
    request = Exchange(v5.Request(command, target).encode(), socks5_reply)
    if credentials is None:
        return [_greeting(bytes((v5.NO_AUTHENTICATION,))), request]
    authentication = Exchange(v5.Credentials(*credentials).encode(), _credentials_status)
    return [_greeting(bytes((v5.NO_AUTHENTICATION, v5.USERNAME_PASSWORD))), authentication, request]


def socks5_reply() -> Script[v5.Reply]:
    """Read and judge the reply to a request."""
    return _socks5_reply("the reply to the request")


def socks5_peer() -> Script[v5.Reply]:
    """Read and judge the second reply of a BIND, which names the peer that has connected."""
    return _socks5_reply("the peer of BIND")


def socks4(command: int, target: Address, userid: bytes) -> Script[v4.Reply]:
    """Request; a name goes out in the form of SOCKS4A. Returns the reply (of a BIND the first).

    Raises what `socks4.Request.encode` raises before anything is written, Unsupported for IPv6 among it.
    """
    return socks4_exchange(command, target, userid).run()


def socks4_exchange(command: int, target: Address, userid: bytes) -> Exchange:
    """The request and its reply."""
    return Exchange(v4.Request(command, target, userid).encode(), _socks4_reply)


def socks4_peer() -> Script[v4.Reply]:
    """Read and judge the second reply of a BIND, which names the peer that has connected."""
    return _socks4_reply("the peer of BIND")


def http(target: Address, credentials: tuple[bytes, bytes] | None = None) -> Script[Response]:
    """CONNECT; raises what `ConnectRequest.encode` raises before anything is written."""
    return http_exchange(target, credentials).run()


def http_exchange(target: Address, credentials: tuple[bytes, bytes] | None = None) -> Exchange:
    """The request and its response."""
    message = ConnectRequest(target, credentials).encode()
    return Exchange(message, lambda: _http_response(credentials is not None))


def _greeting(methods: bytes) -> Exchange:
    return Exchange(v5.Greeting(methods).encode(), lambda: _method_choice(methods))


def _method_choice(offered: bytes) -> Script[int]:
    choice = yield from awaiting("the method choice", v5.MethodChoice.parse())
    if choice.method == v5.NO_ACCEPTABLE_METHODS:
        raise AuthenticationRefused(f"no acceptable methods{_without(len(offered) > 1)}", choice.method)
    if choice.method not in offered:
        raise garbled("one of the methods offered", choice.encode())
    return choice.method


def _credentials_status() -> Script[None]:
    answer = yield from awaiting("the verdict on the credentials", v5.CredentialsStatus.parse())
    if answer.status != 0:
        raise AuthenticationRefused("user name and password not accepted", answer.status)


def _socks5_reply(what: str) -> Script[v5.Reply]:
    reply = yield from awaiting(what, v5.Reply.parse())
    if reply.code != v5.SUCCEEDED:
        words = v5.REPLIES.get(reply.code, f"unassigned reply {reply.code:#04x}")
        raise Refused(words, reply.code, "socks5")
    return reply


def _socks4_reply(what: str = "the reply to the request") -> Script[v4.Reply]:
    reply = yield from awaiting(what, v4.Reply.parse())
    if reply.code != v4.GRANTED:
        raise Refused(v4.REPLIES.get(reply.code, f"unassigned reply {reply.code}"), reply.code, "socks4")
    return reply


def _http_response(authenticated: bool) -> Script[Response]:
    response = yield from awaiting("the response to CONNECT", Response.parse())
    # RFC 9110 section 9.3.6: "Any 2xx (Successful) response indicates that the sender ... will switch to tunnel mode".
    if 200 <= response.status <= 299:
        return response
    if response.status == PROXY_AUTHENTICATION_REQUIRED:
        raise AuthenticationRefused(f"{response}{_without(authenticated)}", response.status)
    raise Refused(str(response), response.status, "http")


def _without(credentials: bool) -> str:
    return "" if credentials else " (no user name and password are set)"
