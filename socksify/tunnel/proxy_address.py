"""The addresses of the first proxy, in the order in which a socket of some family should try them."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM

from socksify import _originals
from socksify._originals import monotonic
from socksify.config.ip import parse_ip
from socksify.protocol.address import encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.proxy_url import Proxy

    Candidate = tuple[int, Any, bool]

# As many proxies are remembered: a program may give each of its requests another one.
_MEMORY = 4096
# Seconds after which a name is looked up again, as the proxy may have moved. More often than that would cost too much:
# a look-up in an event loop's connect() stalls the loop.
FRESH_SECONDS = 300.0


# By host and port: the addresses in getaddrinfo(3)'s order, when they were looked up, and those that did not answer in
# time while there were others.
_resolved: dict[tuple[str, int], list[Candidate]] = {}
_since: dict[tuple[str, int], float] = {}
_silent: dict[tuple[str, int], frozenset[Candidate]] = {}


def candidates(proxy: Proxy, family: int) -> list[Candidate]:
    """(family, sockaddr, whether it is on this machine), those that a socket of `family` reaches as it is first.

    Those that were silent come last. Raises gaierror.
    """
    if proxy.path is not None:
        return [(AF_UNIX, proxy.path, True)]
    key = (proxy.host, proxy.port)
    found = _resolved.get(key)
    if found is None or (key in _since and monotonic() - _since[key] >= FRESH_SECONDS):
        found = _look_up(key)
    if len(found) == 1:
        return found
    silent = _silent.get(key, ())
    return sorted(found, key=lambda candidate: (candidate in silent, candidate[0] != family))


def moved(proxy: Proxy, family: int, since: float) -> list[Candidate]:
    """Addresses that the proxy has now and had not when it was looked up, if that was before `since`.

    None of the known ones answered: they are forgotten.
    """
    key = (proxy.host, proxy.port)
    known, then = _resolved.get(key), _since.get(key)
    forget(proxy)
    if known is None or then is None or then >= since:
        return []
    try:
        return [candidate for candidate in candidates(proxy, family) if candidate not in known]
    except OSError:
        return []


def demote(proxy: Proxy, candidate: Candidate) -> None:
    """This address did not answer: the others are tried before it from now on."""
    key = (proxy.host, proxy.port)
    _silent[key] = _silent.get(key, frozenset()) | {candidate}


def forget(proxy: Proxy) -> None:
    """None of its addresses answered: it may have moved."""
    key = (proxy.host, proxy.port)
    for known in (_resolved, _since, _silent):
        known.pop(key, None)


def _look_up(key: tuple[str, int]) -> list[Candidate]:
    host, port = key
    try:
        answers = _originals.getaddrinfo(_originals.InternalHost(encode_name(host)), port, 0, SOCK_STREAM)
    except OSError:
        # The name server may be out of order for a moment, and the proxy where it was.
        if key not in _resolved:
            raise
        _since[key] = monotonic()
        return _resolved[key]
    found = [
        (family, _originals.InternalAddress(sockaddr), _is_local(sockaddr))
        for family, _, _, _, sockaddr in answers
        if family in (AF_INET, AF_INET6)
    ]
    if len(_resolved) >= _MEMORY:
        for known in (_resolved, _since, _silent):
            known.clear()
    _resolved[key] = found
    _silent.pop(key, None)
    # A literal stays what it is.
    if parse_ip(host) is None:
        _since[key] = monotonic()
    return found


def own_address(proxy: Proxy) -> str:
    """A proxy's own address as a literal, as far as it is known here without asking anybody; else ''."""
    known = _resolved.get((proxy.host, proxy.port)) if proxy.path is None else None
    return known[0][1][0] if known else ""


def mapped(address: tuple[Any, ...]) -> tuple[Any, ...]:
    """An IPv4 sockaddr as an AF_INET6 socket connects to it (RFC 4291 section 2.5.5.2)."""
    return _originals.InternalAddress((f"::ffff:{address[0]}", *address[1:]))


def _is_local(address: tuple[Any, ...]) -> bool:
    host: str = address[0]
    return host.startswith("127.") or host == "::1"
