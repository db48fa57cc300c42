"""The addresses of the first proxy, in the order in which a socket of some family should try them."""

from __future__ import annotations

from errno import ENOSYS
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM

from socksify import _originals, _supervision
from socksify._originals import monotonic
from socksify._signal_safety import ours
from socksify.config.ip import parse_ip
from socksify.protocol.address import encode_name
from socksify.routing import fake_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.proxy_url import Proxy

    # The family, the sockaddr, and whether the address is on this machine.
    Candidate = tuple[int, Any, bool]

# The number of proxies whose addresses are remembered. A program may use another proxy for each request.
_MEMORY = 4096
# Seconds after which a name is looked up again, because the proxy may have moved. More frequent look-ups would cost too
# much: a look-up in an event loop's connect() stalls the loop.
FRESH_SECONDS = 300.0


class ProxyAddresses:
    """The results of look-ups of the proxies' names, and the addresses that did not answer."""

    __slots__ = ("_resolved", "_silent", "_since")

    def __init__(self) -> None:
        # The keys of all three are (host, port). `_resolved` has the addresses in getaddrinfo(3)'s order. `_since` has
        # the time of the look-up; literals have no entry, because they never change. `_silent` has the addresses that
        # did not answer in time while there were others.
        self._resolved: dict[tuple[str, int], list[Candidate]] = {}
        self._since: dict[tuple[str, int], float] = {}
        self._silent: dict[tuple[str, int], frozenset[Candidate]] = {}

    def must_look_up(self, proxy: Proxy) -> bool:
        """Return True if `candidates` would look up the name of a proxy now, which may take long."""
        key = (proxy.host, proxy.port)
        return proxy.path is None and (key not in self._resolved or self._is_stale(key))

    def candidates(self, proxy: Proxy, family: int) -> list[Candidate]:
        """Return the addresses of a proxy, the addresses of the socket's own `family` first.

        Addresses that did not answer are last. Raises gaierror if the name cannot be resolved.
        """
        if proxy.path is not None:
            return [(AF_UNIX, proxy.path, True)]
        key = (proxy.host, proxy.port)
        found = self._resolved.get(key)
        if found is None or self._is_stale(key):
            found = self._look_up(key)
        if len(found) == 1:
            return found
        silent = self._silent.get(key, ())
        return sorted(found, key=lambda candidate: (candidate in silent, candidate[0] != family))

    def moved(self, proxy: Proxy, family: int, since: float) -> list[Candidate]:
        """Look up a proxy again, and return the addresses that the last look-up did not return.

        None of the known addresses has answered, so they are forgotten. The name is looked up only if the last
        look-up was before `since`, a time of the monotonic clock. Addresses of the socket's own `family` are first.
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
        """Move an address to the end of the order, because it did not answer."""
        key = (proxy.host, proxy.port)
        self._silent[key] = self._silent.get(key, frozenset()) | {candidate}

    def forget(self, proxy: Proxy) -> None:
        """Forget the addresses of a proxy. None of them answered, so the proxy may have moved."""
        key = (proxy.host, proxy.port)
        for known in (self._resolved, self._since, self._silent):
            known.pop(key, None)

    def clear(self) -> None:
        """Forget the addresses of all proxies."""
        for known in (self._resolved, self._since, self._silent):
            known.clear()

    def own_address(self, proxy: Proxy) -> str:
        """Return a proxy's own address as a literal, "" if the address is not known yet. No name is looked up."""
        known = self._resolved.get((proxy.host, proxy.port)) if proxy.path is None else None
        return known[0][1][0] if known else ""

    def _is_stale(self, key: tuple[str, int]) -> bool:
        return key in self._since and monotonic() - self._since[key] >= FRESH_SECONDS

    def _look_up(self, key: tuple[str, int]) -> list[Candidate]:
        host, port = key
        try:
            answers = _originals.getaddrinfo(_originals.InternalHost(encode_name(host)), port, 0, SOCK_STREAM)
        except OSError:
            # The name server may fail for a moment, while the proxy still has its old addresses.
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
        # A literal never changes, so it is never looked up again.
        if parse_ip(host) is None:
            self._since[key] = monotonic()
            _tell_supervisor(found)
        return found


def mapped(address: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an IPv4 sockaddr in the form in which an AF_INET6 socket connects to it (RFC 4291 section 2.5.5.2)."""
    return _originals.InternalAddress((f"::ffff:{address[0]}", *address[1:]))


def _tell_supervisor(found: list[Candidate]) -> None:
    """In a sealed process, let the supervisor connect directly to the addresses of a proxy's name.

    If the supervisor has ended, the connection fails a little later.
    """
    if not fake_addresses.TABLE.is_supervised:
        return
    for _, address, _ in found:
        try:
            _supervision.add_first_hop(*address[:2])
        except ours(OSError) as error:
            if error.errno != ENOSYS:
                raise


def _is_local(address: tuple[Any, ...]) -> bool:
    host: str = address[0]
    return host.startswith("127.") or host == "::1"
