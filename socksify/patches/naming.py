"""The look-up family: getaddrinfo, gethostbyname, gethostbyname_ex, gethostbyaddr, getnameinfo, and bind() to a name.

What a name that only the proxy can resolve stands for here is its made-up address. The stdlib's own function is then
asked about that literal, which needs no name server: so families, types, services and flags are honoured, results
have the shape and the order, and errors the code and the text, that the stdlib gives a host with one address.
getfqdn(), create_connection(), the methods of event loops and everything else in Python calls these.
"""

from __future__ import annotations

import _socket
import socket as _module
from socket import AF_INET, SOCK_STREAM, gaierror, herror

from socksify import _real
from socksify.patches.journal import Replacement
from socksify.tunnel import names
from socksify.tunnel.sockaddr import no_such_name, numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify.tunnel.lookups import Answer, Lookups

# Plain numbers: `|` of two enumeration members makes another one each time.
_NUMERIC_HOST: int = _socket.AI_NUMERICHOST
_NI_NUMERIC_HOST: int = _socket.NI_NUMERICHOST
_NI_NAME_REQUIRED: int = _socket.NI_NAMEREQD

_HOSTS = (str, bytes)
_PORTS = (int, str, bytes, type(None))

# What gethostbyname() takes for a number and the functions beside it look up.
_WILDCARDS = ("", b"")
_BROADCASTS = ("<broadcast>", b"<broadcast>")

# Set by install(), before the first replacement is in place.
lookups: Lookups = None  # type: ignore[assignment]


def _getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    if not isinstance(host, _HOSTS) or not isinstance(port, _PORTS) or (flags and flags & _NUMERIC_HOST):
        # No host, none that can be looked up, or none that is to be.
        return _real.getaddrinfo(host, port, family, type, proto, flags)
    found = lookups.forward(host, port, family)
    if found is None:
        answers: list[Any] = _real.getaddrinfo(host, port, family, type, proto, flags)
        names.TABLE.native(answer[4][0] for answer in answers)
        return answers
    canonical, literals = found
    answers = _answers(literals, port, family, type, proto, flags | _NUMERIC_HOST)
    if answers[0][3]:
        answers[0] = (*answers[0][:3], canonical, answers[0][4])
    return answers


def _answers(literals: tuple[str, ...], port: Any, family: int, type: int, proto: int, flags: int) -> list[Any]:
    """What the stdlib says of each literal, one behind the other; raises gaierror if it says nothing of any."""
    answers: list[Any] = []
    for literal in literals:
        try:
            # Bytes save the stdlib a look at IDNA.
            answers += _real.getaddrinfo(literal.encode(), port, family, type, proto, flags)
        except gaierror:
            if literal is literals[-1] and not answers:
                raise
    return answers


def _gethostbyname(hostname: Any, /) -> Any:
    found = None if hostname in _WILDCARDS + _BROADCASTS else _found(hostname, AF_INET)
    if found is not None:
        return _real.gethostbyname(_first_ipv4(found[1]))
    address = _real.gethostbyname(hostname)
    names.TABLE.native((address,))
    return address


def _gethostbyname_ex(hostname: Any, /) -> Any:
    if hostname in _WILDCARDS + _BROADCASTS:
        raise _unknown_host()
    found = _found(hostname, AF_INET)
    if found is None:
        answer = _real.gethostbyname_ex(hostname)
        names.TABLE.native(answer[2])
        return answer
    canonical, literals = found
    address = _real.gethostbyname(_first_ipv4(literals))
    if literals == (canonical,) and not canonical.replace(".", "").isdecimal():
        # gethostbyname(3) reads 127.1, and asks a name server for 0x7f.1.
        raise _unknown_host()
    return canonical, [], [address, *(each for each in literals[1:] if ":" not in each and each != address)]


def _gethostbyaddr(ip_address: Any, /) -> Any:
    found = None if ip_address in _WILDCARDS else _found(ip_address, 0)
    if found is None:
        return _real.gethostbyaddr(ip_address)
    literal = found[1][0]
    shown: str = _answers((literal,), 0, 0, SOCK_STREAM, 0, _NUMERIC_HOST)[0][4][0].partition("%")[0]
    address = numeric(literal) or shown
    whose = lookups.reverse(address)
    if whose is not None:
        return (*whose, [shown])
    if not lookups.may_ask(address):
        raise _unknown_host()
    return _real.gethostbyaddr(literal)


def _getnameinfo(sockaddr: Any, flags: int, /) -> Any:
    host = sockaddr[0] if isinstance(sockaddr, tuple) and sockaddr else None
    address = numeric(host) if isinstance(host, str) and host else None
    if address is None or not isinstance(flags, int) or flags & _NI_NUMERIC_HOST:
        # The stdlib takes no name here, so it looks none up.
        return _real.getnameinfo(sockaddr, flags)
    as_numbers = _real.getnameinfo(_real.SockAddress(sockaddr), (flags | _NI_NUMERIC_HOST) & ~_NI_NAME_REQUIRED)
    whose = lookups.reverse(address)
    if whose is not None:
        return whose[0], as_numbers[1]
    if lookups.may_ask(address):
        return _real.getnameinfo(sockaddr, flags)
    if flags & _NI_NAME_REQUIRED:
        raise no_such_name()
    return as_numbers


def _bind(self: Socket, address: Any, /) -> None:
    _real.bind(self, lookups.bindable(_real.family(self), address))


def _found(host: Any, family: int) -> Answer | None:
    """What a host stands for; None where the stdlib is to be asked, if only to say what is wrong with it."""
    host = bytes(host) if isinstance(host, bytearray) else host
    if not isinstance(host, _HOSTS) or (0 in host if isinstance(host, bytes) else "\0" in host):
        return None
    if host in _BROADCASTS:
        return "255.255.255.255", ("255.255.255.255",)
    return lookups.forward(host, None, family)


def _first_ipv4(literals: tuple[str, ...]) -> str:
    """The first IPv4 literal; if there is none, one of which the stdlib says that it is none."""
    return next((literal for literal in literals if ":" not in literal), literals[0])


def _unknown_host() -> herror:
    # netdb.h: HOST_NOT_FOUND is 1.
    return herror(1, "Unknown host")


REPLACEMENTS = (
    Replacement(_socket, "getaddrinfo", _getaddrinfo),
    Replacement(_socket, "gethostbyname", _gethostbyname),
    Replacement(_socket, "gethostbyname_ex", _gethostbyname_ex),
    Replacement(_socket, "gethostbyaddr", _gethostbyaddr),
    Replacement(_socket, "getnameinfo", _getnameinfo),
    Replacement(_module.socket, "bind", _bind),
)
