"""The look-up functions: getaddrinfo, gethostbyname, gethostbyname_ex, gethostbyaddr, getnameinfo.

A name that only the proxy can resolve gets a fake address. The stdlib's own function is called with that literal, which
needs no name server. Therefore families, types, services and flags work. The shape and the order of results, and the
code and the text of errors, are those of the stdlib for a host with one address. getfqdn(), create_connection(), the
methods of event loops and all other Python code call these functions.
"""

from __future__ import annotations

import _socket
from _socket import AF_INET, AF_INET6, EAI_NONAME, SOCK_STREAM, gaierror, herror
from operator import index

from socksify import _originals
from socksify.patches import scope
from socksify.patches.journal import Replacement
from socksify.routing import fake_addresses, log
from socksify.routing.sockaddr import no_such_name, numeric, port_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.routing.lookups import Answer

# Plain integers, because `|` of two enumeration members makes a new member each time.
_NUMERIC_HOST: int = _socket.AI_NUMERICHOST
_ADDRESS_CONFIGURED: int = _socket.AI_ADDRCONFIG
_CANONICAL_NAME: int = _socket.AI_CANONNAME
_NI_NUMERIC_HOST: int = _socket.NI_NUMERICHOST
_NI_NAME_REQUIRED: int = _socket.NI_NAMEREQD

_HOSTS = (str, bytes)
_BROADCAST = "<broadcast>"
_PORTS = (int, str, bytes, type(None))


def answers(host: Any, port: Any = None) -> bool:
    """Return True if getaddrinfo() and gethostbyname() answer for a host without asking a resolver."""
    if not isinstance(host, _HOSTS):
        return True
    try:
        return scope.current().lookups.forward(host, port if isinstance(port, _PORTS) else None) is not None
    except (gaierror, UnicodeError):
        return True


def answers_reverse(host: Any) -> bool:
    """Return True if gethostbyaddr() and getnameinfo() answer for an address without asking a resolver."""
    text = _text(host)
    number = numeric(text) if text is not None else None
    if number is None:
        return answers(host)
    lookups = scope.current().lookups
    return lookups.reverse(number) is not None or not lookups.may_ask(number)


def _getaddrinfo(
    _: object, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> Any:
    flags = index(flags)
    if not isinstance(host, _HOSTS) or not isinstance(port, _PORTS) or flags & _NUMERIC_HOST:
        # There is no host, or the host cannot or must not be looked up.
        return _originals.getaddrinfo(_unasked(host), port, family, type, proto, flags)
    try:
        found = scope.current().lookups.forward(host, port, family, flags)
    except gaierror:
        # The stdlib raises first if the other arguments are wrong.
        _answers((_unspecified(family),), port, family, type, proto, flags)
        raise
    if found is None:
        answers: list[Any] = _natively(_originals.getaddrinfo, host, port, family, type, proto, flags)
        fake_addresses.TABLE.mark_real(answer[4][0] for answer in answers)
        return answers
    if flags & _ADDRESS_CONFIGURED and family != AF_INET6 and fake_addresses.TABLE.is_fake(found[2][0]):
        # A fake address leads to the proxy from a machine with IPv6 alone, too.
        flags &= ~_ADDRESS_CONFIGURED
    answers = _answers(found[2], port, family, type, proto, flags)
    if answers[0][3]:
        answers[0] = (*answers[0][:3], found[0], answers[0][4])
    return answers


def _natively(original: Callable[..., Any], host: Any, *hints: Any) -> Any:
    """Ask the resolver for a name. A failure is logged here, because no connection follows that would be logged."""
    try:
        return original(host, *hints)
    except (gaierror, herror) as error:
        text = _text(host)
        if log.is_open() and text is not None:
            rule = scope.current().router.why_here(text.removesuffix("."), port_number(hints[0] if hints else None))
            log.unresolved(text, rule, error)
        raise


def _answers(literals: tuple[str, ...], port: Any, family: int, type: int, proto: int, flags: int) -> list[Any]:
    """Return the stdlib's answers for all literals in one list. Only the first answer has the canonical name."""
    first, *others = literals
    # With bytes the stdlib does no IDNA.
    answers: list[Any] = _originals.getaddrinfo(first.encode(), port, family, type, proto, flags | _NUMERIC_HOST)
    for literal in others:
        more = flags & ~_CANONICAL_NAME | _NUMERIC_HOST
        answers += _originals.getaddrinfo(literal.encode(), port, family, type, proto, more)
    return answers


def _unasked(host: Any) -> Any:
    """Mark a host that is not sent to a name server, for the audit hook of strict, which does not see the flags."""
    if isinstance(host, _HOSTS):
        return _originals.InternalHost(host if isinstance(host, bytes) else host.encode("idna"))
    return host


def _unspecified(family: int) -> str:
    return "::" if family == AF_INET6 else "0.0.0.0"


def _gethostbyname(_: object, hostname: Any, /) -> Any:
    found = _found(hostname, AF_INET) if hostname else None
    if found is not None:
        return _originals.gethostbyname(found[2][0])
    address = _natively(_originals.gethostbyname, hostname) if hostname else _originals.gethostbyname(hostname)
    fake_addresses.TABLE.mark_real((address,))
    return address


def _gethostbyname_ex(_: object, hostname: Any, /) -> Any:
    if _text(hostname) in ("", _BROADCAST):
        # The other functions treat these texts as addresses, this function treats them as names.
        raise _unknown_host()
    found = _found(hostname, AF_INET)
    if found is None:
        answer = _natively(_originals.gethostbyname_ex, hostname)
        fake_addresses.TABLE.mark_real(answer[2])
        return answer
    canonical, aliases, literals = found
    address = _originals.gethostbyname(literals[0])
    if canonical is literals[0] and not canonical.replace(".", "").isdecimal():
        # gethostbyname(3) reads 127.1, and asks a name server for 0x7f.1.
        raise _unknown_host()
    return canonical, list(aliases), [address, *literals[1:]]


def _gethostbyaddr(_: object, ip_address: Any, /) -> Any:
    if _text(ip_address) == "":
        # The stdlib refuses the wildcard itself.
        ip_address = _originals.InternalHost()
        return _originals.gethostbyaddr(ip_address)
    found = _found(ip_address, 0)
    if found is None:
        answer = _natively(_originals.gethostbyaddr, ip_address)
        fake_addresses.TABLE.mark_real(answer[2])
        return answer
    name, _, (literal, *_) = found
    shown: str = _answers((literal,), 0, 0, SOCK_STREAM, 0, 0)[0][4][0].partition("%")[0]
    address = numeric(literal) or shown
    lookups = scope.current().lookups
    known = lookups.reverse(address, name if name is not literal else None)
    if known is not None:
        return (*known, [shown])
    if not lookups.may_ask(address):
        raise _unknown_host(lookups.unknown_fake(address))
    return _originals.gethostbyaddr(literal)


def _getnameinfo(_: object, sockaddr: Any, flags: int, /) -> Any:
    if not isinstance(sockaddr, tuple):
        # The stdlib reports the error. A function in C has no frame that would keep the object in a traceback.
        # Therefore this frame does not keep the object either.
        held = [sockaddr]
        del sockaddr
        return _originals.getnameinfo(held.pop(), flags)
    flags = index(flags)
    own = _originals.InternalAddress(sockaddr)
    if flags & _NI_NUMERIC_HOST:
        return _originals.getnameinfo(own, flags)
    as_numbers: tuple[str, str] = _originals.getnameinfo(own, (flags | _NI_NUMERIC_HOST) & ~_NI_NAME_REQUIRED)
    address = numeric(as_numbers[0]) or as_numbers[0]
    lookups = scope.current().lookups
    known = lookups.reverse(address)
    if known is not None:
        return known[0], as_numbers[1]
    if lookups.may_ask(address):
        return _originals.getnameinfo(sockaddr, flags)
    if not flags & _NI_NAME_REQUIRED:
        return as_numbers
    why = lookups.unknown_fake(address)
    raise no_such_name() if why is None else gaierror(EAI_NONAME, why)


def _found(host: Any, family: int) -> Answer | None:
    """Return the answer for a host; None if the stdlib has to look it up, or to report the error of the host."""
    text = _text(host)
    if text is None or "\0" in text:
        return None
    if text == _BROADCAST:
        # These functions treat the text as an address. getaddrinfo() treats it as a name.
        host = "255.255.255.255"
    return scope.current().lookups.forward(bytes(host) if isinstance(host, bytearray) else host, None, family)


def _text(host: Any) -> str | None:
    """Return a host as str, because `python -bb` forbids to compare bytes with str; None for another type."""
    if isinstance(host, str):
        return host
    return host.decode("latin-1") if isinstance(host, (bytes, bytearray)) else None


def _unknown_host(why: str | None = None) -> herror:
    # netdb.h: HOST_NOT_FOUND is 1.
    return herror(1, why or "Unknown host")


REPLACEMENTS = (
    Replacement(_socket, "getaddrinfo", _getaddrinfo),
    Replacement(_socket, "gethostbyname", _gethostbyname),
    Replacement(_socket, "gethostbyname_ex", _gethostbyname_ex),
    Replacement(_socket, "gethostbyaddr", _gethostbyaddr),
    Replacement(_socket, "getnameinfo", _getnameinfo),
)
