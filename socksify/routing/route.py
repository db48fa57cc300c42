"""Which way a connection takes: the three answers that a Router gives."""

from __future__ import annotations

import os
from functools import cache, partial

from socksify._record import Record
from socksify._signal_safety import ours
from socksify.protocol import client
from socksify.protocol.address import Address
from socksify.protocol.credentials import Login
from socksify.protocol.errors import Unsupported
from socksify.protocol.socks5 import COMMAND_NOT_SUPPORTED, CONNECT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.config.proxy_url import Proxy
    from socksify.protocol.conversation import Script

if TYPE_CHECKING:
    from socksify.config.proxy_url import Proxy
    from socksify.config.rules import Rule
    from socksify.protocol.address import Address
    from socksify.routing.sockaddr import SockAddress


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
    def hops(self) -> tuple[Hop, ...]:
        """What is to be said to each proxy; raises as `hops` does. Two threads may both make them."""
        # Python 3.11's cached_property holds a lock meanwhile, which a fork by another thread would copy.
        known: tuple[Hop, ...] | None = self.__dict__.get("_hops")
        if known is None:
            known = self.__dict__["_hops"] = hops(self.chain, self.target, self.command, self.isolation)
        return known


class Blocked(Record):
    """Do not connect at all."""

    why: str
    rule: Rule | None = None


# What is to be said to each proxy of a chain: one hop a proxy, worked out once and said at each connect.


class Hop:
    """One hop: `proxy` is asked for `target`, by the script that `script()` begins anew."""

    __slots__ = ("proxy", "script", "target")

    def __init__(self, proxy: Proxy, target: Address, command: int = CONNECT, isolation: bytes | None = None) -> None:
        self.proxy = proxy
        self.target = target
        self.script = _script(proxy, target, command, isolation)


def hops(
    chain: tuple[Proxy, ...], target: Address, command: int = CONNECT, isolation: bytes | None = None
) -> tuple[Hop, ...]:
    """A chain's hops: each proxy is asked to connect to the next one, the last to do `command` for the target.

    The last one is told `isolation` for a user and a password, unless it has some of its own.

    Raises what the stdlib raises for a name that cannot be written, and Unsupported for what a proxy's protocol has
    no words for.
    """
    targets = [*(Address.of(hop.host, hop.port) for hop in chain[1:]), target]
    nothing = [None for _ in chain[1:]]
    commands = [*(CONNECT for _ in nothing), command]
    isolations = [*nothing, isolation]
    return tuple(Hop(*hop) for hop in zip(chain, targets, commands, isolations, strict=True))


def _script(proxy: Proxy, target: Address, command: int, isolation: bytes | None) -> Callable[[], Script[Any]]:
    login = _login(proxy, isolation)
    if proxy.scheme in ("socks5", "socks5h"):
        return partial(client.negotiate, client.socks5_exchanges(command, target, login))
    if proxy.scheme == "http":
        if command != CONNECT:
            raise Unsupported("HTTP can ask for connections, not for listening sockets", COMMAND_NOT_SUPPORTED)
        return client.http_exchange(target, login).run
    return client.socks4_exchange(command, target, login if login is not None else user_name()).run


def _login(proxy: Proxy, isolation: bytes | None) -> Login | None:
    if proxy.user is None and isolation is not None:
        proxy = proxy.replace(user=isolation, password=isolation)
    return None if proxy.user is None else Login(proxy)


@cache
def user_name() -> bytes:
    """SOCKS4's USERID: the effective user's name; servers with user lists or ident refuse an empty one."""
    import pwd

    try:
        return os.fsencode(pwd.getpwuid(os.geteuid()).pw_name)
    except ours(KeyError):  # a user without an entry, as in containers
        return str(os.geteuid()).encode()
