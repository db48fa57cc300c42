"""The limits as they are configured, and the counts that are compared with them."""

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

# Each failed authentication of a client doubles the delay of the answer to its next failure, up to this delay.
_MAX_DELAY_SECONDS = 20.0
# After this time without another failure, the failures of a client are forgotten.
_FORGET_SECONDS = 600.0
# How many clients are remembered for their failures. The client that failed longest ago is forgotten first.
_MAX_CLIENTS = 10_000


class Denied(Record):
    """The answer that something is denied.

    `why` is a line for the log that names the rule or the limit. The client does not get this line.
    """

    why: str


class Limits(Record):
    """Limits in seconds, counts and bytes; 0 is no limit."""

    # Connections of clients: of all, of one address (of one /64 of IPv6, which is one customer), and of one user.
    connections: int = 0
    per_client: int = 0
    per_user: int = 0
    # The time that a client has for its request; the default is that of danted.
    handshake_seconds: float = 30.0
    # The time that a look-up may take, and a connect(2) to one address.
    connect_seconds: float = 30.0
    # The time that a relay may be idle; the default is that of the original server.
    idle_seconds: float = 7200.0
    # The time that a BIND waits for its peer. SOCKS4's memo: "2 minutes".
    bind_seconds: float = 120.0
    # How long the answer to the first failed authentication of a client is delayed.
    failed_seconds: float = 1.0
    # Of an association: the data of a datagram, the datagrams a second in each direction, and the time it may be idle.
    datagram_bytes: int = 65_507
    datagrams_per_second: int = 0
    associate_seconds: float = 7200.0

    def share(self, workers: int) -> Limits:
        """Return the limits of one of several processes, each of which counts for itself.

        Counts are divided and rounded up, so all processes together may allow a few more. A client whose connections
        are spread unevenly meets a limit a little earlier.
        """
        counts = ("connections", "per_client", "per_user")
        shared: Limits = self.replace(**{name: -(-getattr(self, name) // workers) for name in counts})
        return shared


class Counts:
    """Counts the connections of each client and each user, and the failed authentications of each client.

    The counts outlive a reload, so the limits in force are given at each call. `host` is the literal of the client's
    address, empty on a Unix socket.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._connections = 0
        self._clients: dict[str | int, int] = {}
        self._users: dict[bytes, int] = {}
        # When a client last failed, and how often; the most recent failure last.
        self._failures: OrderedDict[str | int, tuple[float, int]] = OrderedDict()

    def enter(self, limits: Limits, host: str) -> Denied | None:
        """Count a connection. Return Denied if it is one too many; otherwise `leave` must follow."""
        key = client_key(host)
        if 0 < limits.connections <= self._connections:
            return Denied(f"limit: connections = {limits.connections}")
        # The clients of a Unix socket have no address, so they cannot be told apart.
        connected = self._clients.get(key, 0)
        if host and 0 < limits.per_client <= connected:
            return Denied(f"limit: per_client = {limits.per_client}")
        self._connections += 1
        self._clients[key] = connected + 1
        return None

    def identify(self, limits: Limits, user: bytes) -> Denied | None:
        """Count a verified user's connection. Return Denied if it is one too many; `leave` must follow in any case."""
        connected = self._users.get(user, 0)
        self._users[user] = connected + 1
        return Denied(f"limit: per_user = {limits.per_user}") if 0 < limits.per_user <= connected else None

    def leave(self, host: str, user: bytes | None) -> None:
        """Stop counting a connection. `user` is the user given to `identify`, None if there was no such call."""
        self._connections -= 1
        _decrease(self._clients, client_key(host))
        if user is not None:
            _decrease(self._users, user)

    def failed(self, limits: Limits, host: str) -> float:
        """Count a failed authentication. Return the delay of its answer, in seconds."""
        key, now = client_key(host), self._clock()
        last, count = self._failures.pop(key, (now, 0))
        count = count + 1 if now - last < _FORGET_SECONDS else 1
        self._failures[key] = now, count
        if len(self._failures) > _MAX_CLIENTS:
            self._failures.popitem(last=False)
        longest = max(_MAX_DELAY_SECONDS, limits.failed_seconds)
        # The exponent is bounded, or the number would grow without bound.
        return float(min(longest, limits.failed_seconds * 2 ** min(count - 1, 64)))


@lru_cache(1024)
def client_key(host: str) -> str | int:
    """Return the key under which a client is counted: an IPv4 address, or the first 64 bits of an IPv6 address."""
    if ":" not in host:
        return host
    number = parse_ip(host)
    return host if number is None or number[0] == 32 else number[1] >> 64


def _decrease(counts: dict[Any, int], key: str | int | bytes) -> None:
    """Decrease a count, and remove it at 0: there are more addresses than there is memory."""
    count = counts[key] - 1
    if count:
        counts[key] = count
    else:
        del counts[key]
