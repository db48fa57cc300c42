"""What a client is told when a tunnel fails: the builtin OSError it expects, with the proxy's story in it.

The protocol's errors, which know reply codes but no errno, are translated here, once, on their way out.
"""

from __future__ import annotations

from errno import (
    EACCES,
    EAFNOSUPPORT,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    ENETUNREACH,
    EOPNOTSUPP,
    EPERM,
    ETIMEDOUT,
)

from socksify.protocol.errnos import errno_of
from socksify.protocol.errors import AuthenticationRefused, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Proxy


class ProxyError(OSError):
    """A connection through a proxy failed; also an instance of the builtin that its errno stands for.

    proxy is the URL of the proxy that failed (password masked), target what it was asked for ("host:port"),
    hop its place in the chain (1 is the first), reply the code it answered (RFC 1928 section 6, SOCKS4's 91
    to 93, an HTTP status), None where it answered none.
    """

    proxy: str | None = None
    target: str | None = None
    hop: int | None = None
    reply: int | None = None


class ProxyConnectionRefusedError(ProxyError, ConnectionRefusedError):
    """ECONNREFUSED."""


class ProxyConnectionResetError(ProxyError, ConnectionResetError):
    """ECONNRESET: the proxy hung up in the middle of the handshake."""


class ProxyConnectionAbortedError(ProxyError, ConnectionAbortedError):
    """ECONNABORTED: the proxy speaks something else."""


class ProxyPermissionError(ProxyError, PermissionError):
    """EACCES: by ruleset, for want of authentication, or by one of our own rules."""


class ProxyTimeoutError(ProxyError, TimeoutError):
    """ETIMEDOUT: the target's or the proxy's silence."""


_CLASSES: dict[int, type[ProxyError]] = {
    ECONNREFUSED: ProxyConnectionRefusedError,
    ECONNRESET: ProxyConnectionResetError,
    ECONNABORTED: ProxyConnectionAbortedError,
    EACCES: ProxyPermissionError,
    EPERM: ProxyPermissionError,
    ETIMEDOUT: ProxyTimeoutError,
}

# What the person who reads the message can do about it.
_ADVICE = {
    EACCES: "allow the destination in the proxy's rules or give it credentials",
    EAFNOSUPPORT: "use a proxy that speaks this kind of address, such as SOCKS5",
    EOPNOTSUPP: "use a proxy that supports the command",
    ECONNABORTED: "check the proxy's scheme and port",
    ECONNRESET: "the proxy may refuse by hanging up; see its log",
    ENETUNREACH: "the proxy has no route to the destination",
    EHOSTUNREACH: "the proxy cannot reach or resolve the destination",
}


def proxy_error(
    number: int, message: str, *, proxy: Proxy | None, target: str, hop: int | None = None, reply: int | None = None
) -> ProxyError:
    """The ProxyError whose class fits errno `number`."""
    error = _CLASSES.get(number, ProxyError)(number, message)
    error.proxy = proxy.url if proxy is not None else None
    error.target, error.hop, error.reply = target, hop, reply
    return error


def refused(cause: ProtocolError, proxy: Proxy, target: str, hop: int, hops: int) -> ProxyError:
    """Translate what went wrong in the conversation with one proxy."""
    number = errno_of(cause)
    place = f" (hop {hop} of {hops})" if hops > 1 else ""
    reply = f" (reply {cause.reply})" if cause.reply is not None else ""
    advice = _ADVICE.get(number, "")
    if isinstance(cause, AuthenticationRefused):
        advice = "check the user and password in the proxy's URL"
    message = f"proxy {proxy.url}{place} for {target}: {cause}{reply}" + (f"; {advice}" if advice else "")
    error = proxy_error(number, message, proxy=proxy, target=target, hop=hop, reply=cause.reply)
    error.__cause__ = cause
    return error


def unreachable(cause: OSError, proxy: Proxy, target: str) -> ProxyError:
    """The first proxy itself could not be connected to: the errno of that connect, naming the proxy."""
    number = cause.errno if cause.errno is not None and not isinstance(cause, TimeoutError) else ETIMEDOUT
    message = f"proxy {proxy.url} cannot be reached for {target}: {cause.strerror or cause}; is it running?"
    error = proxy_error(number, message, proxy=proxy, target=target, hop=1)
    error.__cause__ = cause
    return error


def broken(cause: OSError, proxy: Proxy, target: str, hop: int) -> ProxyError:
    """The connection to a proxy broke in the middle of its handshake."""
    number = cause.errno or ECONNRESET
    message = f"proxy {proxy.url} for {target}: the connection broke during the handshake: {cause.strerror or cause}"
    error = proxy_error(number, message, proxy=proxy, target=target, hop=hop)
    error.__cause__ = cause
    return error


def denied(why: str, address: tuple[object, ...]) -> ProxyError:
    """One of our own rules forbids the connection."""
    target = f"{address[0]}:{address[1]}"
    return proxy_error(EACCES, f"connection to {target} not made: {why}", proxy=None, target=target)


def silent(proxy: Proxy, target: str, hop: int, seconds: float, stage: str) -> ProxyError:
    """Time ran out while `stage` was awaited from a proxy."""
    message = f"proxy {proxy.url} for {target}: timed out after {seconds:g} s waiting for {stage}"
    return proxy_error(ETIMEDOUT, message, proxy=proxy, target=target, hop=hop)
