"""Which way a connection takes: the three answers that a Router gives."""

from __future__ import annotations

from functools import cached_property

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

    @cached_property
    def legs(self) -> tuple[Leg, ...]:
        """What is to be said to each proxy; raises as `legs.legs` does."""
        return legs(self.chain, self.target, self.command, self.isolation)


class Denied(Record):
    """Do not connect at all."""

    why: str
    rule: Rule | None = None
