"""How much and how long: the limits as they are configured, and the counts that are held against them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from socksify._originals import monotonic
from socksify._record import Record
from socksify.config.ip import parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Each failed authentication of a host doubles the time that its next one waits, up to this; as long without another
# as the second says, and they are forgotten. Hosts remembered, the one that failed longest ago is dropped.
_LONGEST_SECONDS = 20.0
_FORGET_SECONDS = 600.0
_HOSTS = 10_000


class Denied(Record):
    """Do not; `why` is one line for the log, which names the rule or the limit. The client is not told."""

    why: str


class Limits(Record):
    """Seconds, counts and bytes; 0 is no limit."""

    # Connections of clients: in all, from one address (of IPv6 from one /64, which is one customer's), of one user.
    connections: int = 0
    per_client: int = 0
    per_user: int = 0
    # The time a client has to say what it wants, danted's; that the target has to answer; that neither may be silent,
    # the original's; that BIND waits for its peer, SOCKS4's memo: "2 minutes".
    handshake_seconds: float = 30.0
    connect_seconds: float = 30.0
    idle_seconds: float = 7200.0
    bind_seconds: float = 120.0
    # What a failed authentication has to wait for its answer, the first time.
    failed_seconds: float = 1.0
    # Of an association: a datagram's data, how many a second each way, and the silence after which it ends.
    datagram_bytes: int = 65_507
    datagrams_per_second: int = 0
    associate_seconds: float = 7200.0

    def share(self, workers: int) -> Limits:
        """The limits of one of several processes, each of which counts for itself; together they may be exceeded by
        what rounding up adds, and a client whose connections are spread unevenly meets them a little earlier.
        """
        counts = ("connections", "per_client", "per_user")
        shared: Limits = self.replace(**{name: -(-getattr(self, name) // workers) for name in counts})
        return shared


class Counts:
    """Who is connected, by address and user. It outlives a reload; the limits of the day are given at each call."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._connections = 0
        self._clients: dict[str | int, int] = {}
        self._users: dict[bytes, int] = {}
        # When a host last failed, and how often.
        self._failures: OrderedDict[str | int, tuple[float, int]] = OrderedDict()

    def enter(self, limits: Limits, host: str) -> Denied | None:
        """Counts a client that has just connected; unless denied, `leave` must follow."""
        key = one_client(host)
        if 0 < limits.connections <= self._connections:
            return Denied(f"limit: connections = {limits.connections}")
        # Behind a Unix socket everybody has the same address, none.
        connected = self._clients.get(key, 0)
        if host and 0 < limits.per_client <= connected:
            return Denied(f"limit: per_client = {limits.per_client}")
        self._connections += 1
        self._clients[key] = connected + 1
        return None

    def identify(self, limits: Limits, user: bytes) -> Denied | None:
        """Counts a user that was verified; denied or not, `leave` must be told the user."""
        connected = self._users.get(user, 0)
        self._users[user] = connected + 1
        return Denied(f"limit: per_user = {limits.per_user}") if 0 < limits.per_user <= connected else None

    def leave(self, host: str, user: bytes | None) -> None:
        """Forgets a client that has gone."""
        self._connections -= 1
        _decrease(self._clients, one_client(host))
        if user is not None:
            _decrease(self._users, user)

    def failed(self, limits: Limits, host: str) -> float:
        """Counts a failed authentication; how many seconds its answer is to wait."""
        key, now = one_client(host), self._clock()
        last, count = self._failures.pop(key, (now, 0))
        count = count + 1 if now - last < _FORGET_SECONDS else 1
        self._failures[key] = now, count
        if len(self._failures) > _HOSTS:
            self._failures.popitem(last=False)
        longest = max(_LONGEST_SECONDS, limits.failed_seconds)
        # Doubled no more often than it takes to get there, lest the number itself grew without bound.
        return float(min(longest, limits.failed_seconds * 2 ** min(count - 1, 64)))


@lru_cache(1024)
def one_client(host: str) -> str | int:
    """What is one client: an IPv4 address, an IPv6 network of 64 bits."""
    if ":" not in host:
        return host
    number = parse_ip(host)
    return host if number is None or number[0] == 32 else number[1] >> 64


def _decrease(counts: dict[Any, int], key: str | int | bytes) -> None:
    """Keeps no count of nothing: there are more addresses than there is memory."""
    count = counts[key] - 1
    if count:
        counts[key] = count
    else:
        del counts[key]
