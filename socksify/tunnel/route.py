"""Which way a connection takes: the three answers that a Router gives."""

from __future__ import annotations

from socksify._record import Record
from socksify.protocol.socks5 import CONNECT
from socksify.tunnel.legs import legs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Proxy, Rule
    from socksify.protocol.address import Address
    from socksify.tunnel.legs import Leg
    from socksify.tunnel.sockaddr import SockAddress


class Direct(Record):
    """Connect natively, to `address` if there is one, else to what the client gave.

    `rule` is None for what no rule speaks of (AF_UNIX, what is not an address at all).
    """

    rule: Rule | None = None
    address: SockAddress | None = None


class Via(Record, hidden=("isolation",)):
    """Connect through a chain of proxies, first hop first, to a target; tell the client it reached `peer`.

    Where `command` is BIND, the last proxy is to listen for the target instead. `isolation` is what isolation.py makes
    up.
    """

    chain: tuple[Proxy, ...]
    target: Address
    peer: SockAddress
    rule: Rule
    command: int = CONNECT
    isolation: bytes | None = None

    @property
    def legs(self) -> tuple[Leg, ...]:
        """What is to be said to each proxy; raises as `legs.legs` does. Two threads may both make them."""
        # Python 3.11's cached_property holds a lock meanwhile, which a fork by another thread would copy.
        known: tuple[Leg, ...] | None = self.__dict__.get("_legs")
        if known is None:
            known = self.__dict__["_legs"] = legs(self.chain, self.target, self.command, self.isolation)
        return known


class Denied(Record):
    """Do not connect at all."""

    why: str
    rule: Rule | None = None
