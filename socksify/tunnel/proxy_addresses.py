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

    # The family, the sockaddr, and whether it is on this machine.
    Candidate = tuple[int, Any, bool]

# The addresses of so many proxies are remembered: a program may give each of its requests another proxy.
_MEMORY = 4096
# Seconds after which a name is looked up again, as the proxy may have moved. More often than that would cost too much:
# a look-up in an event loop's connect() stalls the loop.
FRESH_SECONDS = 300.0


class ProxyAddresses:
    """What look-ups of the proxies' names brought, and which addresses did not answer."""

    __slots__ = ("_resolved", "_silent", "_since")

    def __init__(self) -> None:
        # By host and port: the addresses in getaddrinfo(3)'s order; when a name was looked up (a literal stays what
        # it is); and the addresses that did not answer in time while there were others.
        self._resolved: dict[tuple[str, int], list[Candidate]] = {}
        self._since: dict[tuple[str, int], float] = {}
        self._silent: dict[tuple[str, int], frozenset[Candidate]] = {}

    def candidates(self, proxy: Proxy, family: int) -> list[Candidate]:
        """Return the addresses of a proxy. Those that a socket of `family` reaches as it is are first.

        Addresses that were silent are last. Raises gaierror if the name cannot be resolved.
        """
        if proxy.path is not None:
            return [(AF_UNIX, proxy.path, True)]
        key = (proxy.host, proxy.port)
        found = self._resolved.get(key)
        if found is None or (key in self._since and monotonic() - self._since[key] >= FRESH_SECONDS):
            found = self._look_up(key)
        if len(found) == 1:
            return found
        silent = self._silent.get(key, ())
        return sorted(found, key=lambda candidate: (candidate in silent, candidate[0] != family))

    def moved(self, proxy: Proxy, family: int, since: float) -> list[Candidate]:
        """Return the addresses that the proxy has now and did not have when it was looked up last.

        None of the known addresses has answered, so they are forgotten. The name is looked up only if the last
        look-up was before `since`.
        """
        key = (proxy.host, proxy.port)
        known, then = self._resolved.get(key), self._since.get(key)
        self.forget(proxy)
        if known is None or then is None or then >= since:
            return []
        try:
            return [candidate for candidate in self.candidates(proxy, family) if candidate not in known]
        except OSError:
            return []

    def demote(self, proxy: Proxy, candidate: Candidate) -> None:
        """This address did not answer: the others are tried before it from now on."""
        key = (proxy.host, proxy.port)
        self._silent[key] = self._silent.get(key, frozenset()) | {candidate}

    def forget(self, proxy: Proxy) -> None:
        """None of the addresses of the proxy answered: it may have moved."""
        key = (proxy.host, proxy.port)
        for known in (self._resolved, self._since, self._silent):
            known.pop(key, None)

    def clear(self) -> None:
        """Forget the addresses of all proxies."""
        for known in (self._resolved, self._since, self._silent):
            known.clear()

    def own_address(self, proxy: Proxy) -> str:
        """Return a proxy's own address as a literal, "" if it is not known yet; nothing is looked up."""
        known = self._resolved.get((proxy.host, proxy.port)) if proxy.path is None else None
        return known[0][1][0] if known else ""

    def _look_up(self, key: tuple[str, int]) -> list[Candidate]:
        host, port = key
        try:
            answers = _originals.getaddrinfo(_originals.InternalHost(encode_name(host)), port, 0, SOCK_STREAM)
        except OSError:
            # The name server may be out of order for a moment, and the proxy where it was.
            if key not in self._resolved:
                raise
            self._since[key] = monotonic()
            return self._resolved[key]
        found = [
            (family, _originals.InternalAddress(sockaddr), _is_local(sockaddr))
            for family, _, _, _, sockaddr in answers
            if family in (AF_INET, AF_INET6)
        ]
        if len(self._resolved) >= _MEMORY:
            self.clear()
        self._resolved[key] = found
        self._silent.pop(key, None)
        # A literal stays what it is.
        if parse_ip(host) is None:
            self._since[key] = monotonic()
        return found


def mapped(address: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an IPv4 sockaddr in the form in which an AF_INET6 socket connects to it (RFC 4291 section 2.5.5.2)."""
    return _originals.InternalAddress((f"::ffff:{address[0]}", *address[1:]))


def _is_local(address: tuple[Any, ...]) -> bool:
    host: str = address[0]
    return host.startswith("127.") or host == "::1"
