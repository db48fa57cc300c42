"""The errors that a client gets when a tunnel fails: the builtin OSError that it expects, and the proxy's reply.

The errors of the protocol layer have reply codes, but no errno. This module translates them.
"""

from __future__ import annotations

from errno import (
    EACCES,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    ENETUNREACH,
    ENOENT,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
    ESHUTDOWN,
    ETIMEDOUT,
)
from socket import gaierror

from socksify.protocol.errnos import errno_of
from socksify.protocol.errors import AuthenticationRefused, Closed, ProtocolError
from socksify.protocol.http_connect import UNAUTHORIZED
from socksify.protocol.socks5 import BIND, METHODS, TTL_EXPIRED, USERNAME_PASSWORD
from socksify.routing.log import host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.proxy_url import Proxy
    from socksify.routing.route import Via


class ProxyError(OSError):
    """A connection through a proxy failed. The error is also an instance of the builtin class for its errno.

    Attributes, each of which is None if it is not known:
        proxy: The URL of the proxy that failed. Its password is masked.
        target: The destination of the request to the proxy: "host:port".
        hop: The position of the proxy in the chain. The first proxy is 1.
        reply: The code in the proxy's reply (RFC 1928 section 6; 91 to 93 for SOCKS4; an HTTP status).
    """

    proxy: str | None = None
    target: str | None = None
    hop: int | None = None
    reply: int | None = None

    def _describe(
        self, target: str, proxy: str | None = None, hop: int | None = None, reply: int | None = None
    ) -> None:
        self.target = target
        self.proxy = proxy
        self.hop = hop
        self.reply = reply


class ProxyConnectionRefusedError(ProxyError, ConnectionRefusedError):
    """ECONNREFUSED."""


class ProxyConnectionResetError(ProxyError, ConnectionResetError):
    """ECONNRESET: the proxy closed the connection in the middle of the handshake."""


class ProxyConnectionAbortedError(ProxyError, ConnectionAbortedError):
    """ECONNABORTED: the proxy speaks another protocol."""


class ProxyPermissionError(ProxyError, PermissionError):
    """EACCES: refused by the proxy's rules, by missing or wrong credentials, or by a rule of the configuration."""


class ProxyTimeoutError(ProxyError, TimeoutError):
    """ETIMEDOUT: the target or the proxy did not answer in time."""


class ProxyNotFoundError(ProxyError, FileNotFoundError):
    """ENOENT: there is no such Unix socket."""


_CLASSES: dict[int, type[ProxyError]] = {
    ECONNREFUSED: ProxyConnectionRefusedError,
    ECONNRESET: ProxyConnectionResetError,
    ECONNABORTED: ProxyConnectionAbortedError,
    EACCES: ProxyPermissionError,
    EPERM: ProxyPermissionError,
    ETIMEDOUT: ProxyTimeoutError,
    ENOENT: ProxyNotFoundError,
}

# Advice for the reader of the message.
_ADVICE = {
    EACCES: "allow the destination in the proxy's rules or give it credentials",
    EAFNOSUPPORT: "use a proxy that speaks this kind of address, such as SOCKS5",
    EOPNOTSUPP: "use a proxy that supports the command",
    ECONNABORTED: "check the proxy's scheme and port",
    ECONNRESET: "the proxy may refuse by hanging up; see its log",
    ENETUNREACH: "the proxy has no route to the destination",
    EHOSTUNREACH: "the proxy cannot reach or resolve the destination",
}
ALLOW_UDP = 'udp="direct" (--udp direct)'
_BIND_ADVICE = "to be called back takes a proxy with BIND, such as Dante; else use the protocol's passive mode"


def refused(cause: ProtocolError, route: Via, hop: int) -> ProxyError:
    """Return the error for a conversation with a proxy that went wrong; `hop` is the proxy's place in the chain."""
    number = errno_of(cause)
    if number == EAFNOSUPPORT and not route.target.port and route.command != BIND:
        # A kernel refuses a connection to port 0. Dante's server says that such an address is not supported.
        number = ECONNREFUSED
    if route.command == BIND and hop == len(route.chain) and isinstance(cause, Closed):
        # The proxy took a CONNECT before. `ssh -D` and SOCKS 4.2's sockd refuse by closing the connection.
        number = EOPNOTSUPP
    reply = f" (reply {cause.reply})" if cause.reply is not None else ""
    wants = isinstance(cause, AuthenticationRefused) or cause.wanted
    advice = _credentials_advice(cause, route.chain[hop - 1]) if wants else _advice(number, route)
    return _at_hop(number, f"{cause}{reply}" + (f"; {advice}" if advice else ""), route, hop, cause)


def unsayable(cause: ProtocolError, route: Via) -> ProxyError:
    """Return the error for a request that the protocol of a proxy cannot express."""
    number = errno_of(cause)
    # The cause has the reply that a server would have given, but no server was asked.
    return _at_hop(number, f"{cause}; {_advice(number, route)}", route, len(route.chain), cause, is_answer=False)


def wrong_peer(cause: ProtocolError, route: Via) -> ProxyError:
    """Return the error for a second reply to BIND which says that no peer, or a wrong peer, has connected.

    accept(2), ECONNABORTED: "A connection has been aborted."
    """
    number = ECONNRESET if isinstance(cause, Closed) else ETIMEDOUT if cause.reply == TTL_EXPIRED else ECONNABORTED
    reply = f" (reply {cause.reply})" if cause.reply is not None else ""
    return _at_hop(number, f"{cause}{reply}", route, len(route.chain), cause)


def broken(cause: OSError, route: Via, hop: int) -> ProxyError:
    """Return the error for a connection that broke in the middle of the handshake with a proxy."""
    what = f"the connection broke during the handshake: {cause.strerror or cause}"
    # send(2) has other numbers for the same end.
    number = ECONNRESET if cause.errno in (None, EPIPE, ESHUTDOWN) else cause.errno
    return _at_hop(number, what, route, hop, cause)


def silent(route: Via, hop: int, seconds: float, stage: str) -> ProxyError:
    """Return the error for a proxy that did not answer within `seconds`. `stage` names the answer that is missing."""
    return _at_hop(ETIMEDOUT, f"timed out after {seconds:g} s waiting for {stage}", route, hop)


def unreachable(cause: OSError, route: Via) -> ProxyError:
    """Return the error for a first proxy that cannot be connected to: the errno of that connect, and the proxy."""
    if isinstance(cause, ProxyError):
        return cause
    if isinstance(cause, TimeoutError) or cause.errno is None:
        number = ETIMEDOUT
    else:
        # The errno of a gaierror is a code of getaddrinfo(3).
        number = EHOSTUNREACH if isinstance(cause, gaierror) else cause.errno
    what = f"the proxy itself cannot be reached: {cause.strerror or cause}; is it running, and is its URL right?"
    return _at_hop(number, what, route, 1, cause)


def taken(port: int, route: Via) -> ProxyError:
    """Return the error for a source port that another connection of the client to the same target has."""
    target = host_port(route.target.host, route.target.port)
    return _error(EADDRNOTAVAIL, f"another connection to {target} has source port {port}", target)


def denied(why: str, address: tuple[object, ...]) -> ProxyError:
    """Return the error for a connection that a rule of the configuration forbids."""
    target = f"{address[0]}:{address[1]}"
    return _error(EACCES, f"connection to {target} not made: {why}", target)


def not_sent(what: str, target: str, why: str) -> ProxyError:
    """Return the error for a datagram that does not leave this machine; `what` is its protocol ("UDP", "SCTP")."""
    return _error(EACCES, f"{what} to {target} refused: {why}", target)


def why_tcp_alone(route: Via) -> str:
    """Return the reason why a route takes no datagrams: UDP ASSOCIATE (RFC 1928 section 7) is not used."""
    rule, proxy = f"rule {route.rule.text!r} ({route.rule.source})", route.chain[-1].url
    return f"{rule} leaves it to proxy {proxy}, which is asked for TCP alone; {ALLOW_UDP} or a direct rule allows it"


def not_applied(what: str, why: str) -> ProxyError:
    """Return the error for an option, ancillary data or a header that chooses a destination of its own."""
    return _error(EACCES, f"{what} refused: {why}")


def forbidden(what: str, instead: str) -> ProxyError:
    """Return the error for network access that bypasses the patches, which the setting `strict` forbids."""
    return _error(EACCES, f"{what} goes past socksify, which strict forbids; {instead}")


def _at_hop(
    number: int, what: str, route: Via, hop: int, cause: Exception | None = None, *, is_answer: bool = True
) -> ProxyError:
    proxy, hops = route.chain[hop - 1], len(route.chain)
    target = host_port(route.target.host, route.target.port)
    asked = f"a connection from {route.target.host}" if route.command == BIND else target
    place = f" (hop {hop} of {hops})" if hops > 1 else ""
    error = _error(number, f"proxy {proxy.url}{place} for {asked}: {what}")
    error._describe(target, proxy.url, hop, getattr(cause, "reply", None) if is_answer else None)
    if cause is not None:
        # The error is kept for as long as the socket; the frames that a traceback holds would keep the socket.
        error.__cause__ = cause.with_traceback(None)
        cause.__context__ = None
    return error


def _advice(number: int, route: Via) -> str:
    if number == EOPNOTSUPP and route.command == BIND:
        return _BIND_ADVICE
    return _ADVICE.get(number, "")


def _credentials_advice(cause: ProtocolError, proxy: Proxy) -> str:
    """Return the advice for a proxy that wants other credentials than it was given."""
    ours = "Basic" if proxy.scheme == "http" else METHODS[USERNAME_PASSWORD]
    wanted = [method for method in cause.wanted if method.lower() != ours.lower()]
    if cause.wanted and len(wanted) == len(cause.wanted):
        return f"the proxy wants {' or '.join(wanted)}, which is not spoken here; have it accept {ours}"
    if proxy.user is None:
        advice = "put the user and password into the proxy's URL"
    else:
        advice = "check the user and password in the proxy's URL"
    if cause.reply == UNAUTHORIZED and proxy.scheme == "http":
        advice += "; it answers as a web server does, so check its port as well"
    return advice


def to_raise(error: OSError) -> OSError:
    """Return a copy of an error that is kept. A raised exception has a traceback, and its frames hold the socket."""
    copy = type(error)(*error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    return copy


def _error(number: int, message: str, target: str | None = None) -> ProxyError:
    """Return a ProxyError of the class that fits an errno."""
    error = _CLASSES.get(number, ProxyError)(number, message)
    if target is not None:
        error._describe(target)
    return error
