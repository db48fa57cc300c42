"""The addresses of the first proxy, in the order in which a socket of some family should try them."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM

from socksify import _real
from socksify.protocol.address import encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.settings import Proxy

    Candidate = tuple[int, Any, bool]

# As many proxies are remembered: a program may give each of its requests another one.
_MEMORY = 4096
# (host, port) -> addresses, resolved once: a lookup in an event loop's connect() stalls the loop.
_resolved: dict[tuple[str, int], list[Candidate]] = {}


def candidates(proxy: Proxy, family: int) -> list[Candidate]:
    """(family, sockaddr, whether it is on this machine), those that a socket of `family` reaches as it is first.

    Raises gaierror.
    """
    if proxy.path is not None:
        return [(AF_UNIX, proxy.path, True)]
    key = (proxy.host, proxy.port)
    found = _resolved.get(key)
    if found is None:
        answers = _real.getaddrinfo(_real.Host(encode_name(proxy.host)), proxy.port, 0, SOCK_STREAM)
        found = [
            (family, _real.SockAddress(address), _is_local(address))
            for family, _, _, _, address in answers
            if family in (AF_INET, AF_INET6)
        ]
        if len(_resolved) >= _MEMORY:
            _resolved.clear()
        _resolved[key] = found
    if len(found) == 1:
        return found
    return sorted(found, key=lambda candidate: candidate[0] != family)


def forget(proxy: Proxy) -> None:
    """None of its addresses answered: it may have moved."""
    _resolved.pop((proxy.host, proxy.port), None)


def own_address(proxy: Proxy) -> str:
    """A proxy's own address as a literal, as far as it is known here without asking anybody; else ''."""
    known = _resolved.get((proxy.host, proxy.port)) if proxy.path is None else None
    return known[0][1][0] if known else ""


def mapped(address: tuple[Any, ...]) -> tuple[Any, ...]:
    """An IPv4 sockaddr as an AF_INET6 socket connects to it (RFC 4291 section 2.5.5.2)."""
    return _real.SockAddress((f"::ffff:{address[0]}", *address[1:]))


def _is_local(address: tuple[Any, ...]) -> bool:
    host: str = address[0]
    return host.startswith("127.") or host == "::1"
