"""The route of a connection: the three results of a Router, and the request to each proxy of a chain."""

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
    from socksify.config.rules import Rule
    from socksify.protocol.conversation import Script
    from socksify.routing.sockaddr import SockAddress


class Direct(Record):
    """Connect natively: to `address` if it is set, or else to the address that the client gave.

    `rule` is None if no rule applies to the address (AF_UNIX, or a malformed address).
    """

    rule: Rule | None = None
    address: SockAddress | None = None


class Via(Record, hidden=("isolation",)):
    """Connect to `target` through a chain of proxies, first hop first. `peer` is the answer of getpeername().

    If `command` is BIND, the last proxy listens for the target instead. `isolation` are the generated credentials of
    `stream_isolation`, or None.
    """

    chain: tuple[Proxy, ...]
    target: Address
    peer: SockAddress
    rule: Rule
    command: int = CONNECT
    isolation: bytes | None = None

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The hops of the chain. Raises the errors of `_hops`. Two threads may make equal hops at the same time."""
        # Python 3.11's cached_property would hold a lock here, and a fork in another thread would copy that lock.
        known: tuple[Hop, ...] | None = self.__dict__.get("_hops")
        if known is None:
            known = self.__dict__["_hops"] = _hops(self)
        return known


class Blocked(Record):
    """Do not connect at all. `why` is the reason, for the error."""

    why: str
    rule: Rule | None = None


class Hop:
    """One proxy of a chain. `script()` returns a new script, which asks the proxy for `target`.

    A hop is made once for each route, and a script for each connect.
    """

    __slots__ = ("proxy", "script", "target")

    def __init__(self, proxy: Proxy, target: Address, command: int = CONNECT, isolation: bytes | None = None) -> None:
        self.proxy = proxy
        self.target = target
        self.script = _script(proxy, target, command, isolation)


def _hops(route: Via) -> tuple[Hop, ...]:
    """Return the hops of a route: each proxy connects to the next one, and the last one to the target.

    The last proxy gets `isolation` as user and password, unless the configuration gives it credentials.

    Raises the errors of the stdlib for a name that cannot be encoded, and Unsupported for a request that the protocol
    of a proxy cannot express.
    """
    chain = route.chain
    targets = [*(Address.of(proxy.host, proxy.port) for proxy in chain[1:]), route.target]
    *before, last = zip(chain, targets, strict=True)
    return (*(Hop(*each) for each in before), Hop(*last, route.command, route.isolation))


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
    """Return the USERID of SOCKS4: the name of the effective user.

    Servers with lists of users, or with ident, refuse an empty USERID.
    """
    import pwd

    try:
        return os.fsencode(pwd.getpwuid(os.geteuid()).pw_name)
    except ours(KeyError):  # a user without an entry, as in containers
        return str(os.geteuid()).encode()
