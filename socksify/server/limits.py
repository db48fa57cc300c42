"""How much and how long: the limits as they are configured, and the counts that are held against them."""

from __future__ import annotations

from socksify._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.policy import Denied


class Limits(Record):
    """Seconds, counts and bytes; 0 is no limit."""

    # Connections of clients: in all, from one address, of one user.
    connections: int = 0
    per_client: int = 0
    per_user: int = 0
    # The time a client has to say what it wants, danted's; that the target has to answer; that neither may be silent,
    # the original's; that BIND waits for its peer, SOCKS4's memo: "2 minutes".
    handshake_seconds: float = 30.0
    connect_seconds: float = 30.0
    idle_seconds: float = 7200.0
    bind_seconds: float = 120.0
    # What a failed authentication has to wait for its answer.
    failed_seconds: float = 1.0
    # Of an association: a datagram's data, how many a second each way, and the silence after which it ends.
    datagram_bytes: int = 65_507
    datagrams_per_second: int = 0
    associate_seconds: float = 7200.0


class Counts:
    """Who is connected, by address and user. It outlives a reload; the limits of the day are given at each call."""

    def enter(self, limits: Limits, host: str) -> Denied | None:
        """Counts a client that has just connected; unless denied, `leave` must follow."""
        return None

    def identify(self, limits: Limits, user: bytes) -> Denied | None:
        """Counts a user that was verified; unless denied, `leave` must be told the user."""
        return None

    def leave(self, host: str, user: bytes | None) -> None:
        """Forgets a client that has gone."""

    def failed(self, limits: Limits, host: str) -> float:
        """Counts a failed authentication; how many seconds its answer is to wait."""
        return limits.failed_seconds
