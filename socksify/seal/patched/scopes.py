"""The settings in force in the process tree: those of the seal, and those that patched Pythons have registered.

A patched Python may route by other settings than the seal: in a block of via(), or after an install() of its own. It
registers these settings, and gets the number of a scope. Its children find that number in their environment. So the
supervisor routes them as the Python would, whatever they are made of. The Python itself connects to the proxies of its
settings, so every first hop of every scope is direct in the whole tree.

Numbers begin at random. A number of another tree, in an environment that was kept, is not taken for one of this tree:
the settings of the seal decide there. For a number of this tree whose settings were dropped, everything is blocked.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from errno import EINVAL, ENOSPC, ESTALE
from socket import gaierror

from socksify.config import inherited
from socksify.config import settings as config
from socksify.config.errors import ConfigError
from socksify.config.ip import fold
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router, first_hops_of
from socksify.routing.sockaddr import numeric
from socksify.seal.kernel.target import environment
from socksify.seal.patched import foreign_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from socksify.config.settings import Settings
    from socksify.routing.router import FirstHop

    Value = TypeVar("Value")

_VARIABLE = os.fsencode(inherited.SCOPE)
# In bits. The lower half of a number counts the registrations.
_HALF = 32
_LONGEST_NUMBER = len(str(1 << 2 * _HALF))


class Scopes:
    """The routers of the process tree."""

    # How many registered settings there are, how many bytes of them, how many routers (each caches thousands of
    # answers), sockets, and first hops. What was not used for longest is dropped first. First hops are never dropped,
    # because the supervisor does not know whether a process still uses them.
    _MOST = 4096
    _MOST_BYTES = 1 << 25
    _MOST_ROUTERS = 32
    _MOST_SOCKETS = 4096
    _MOST_FIRST_HOPS = 1 << 16

    def __init__(self, settings: Settings) -> None:
        # The first hops of all scopes, and the names among them. Who looks up such a name adds its addresses.
        self._first_hops: set[FirstHop] = set()
        self._proxy_names: set[str] = set()
        self.base = Router(settings, self._first_hops)
        # The router that decides which names get a fake address. A resolver's query does not tell its process.
        self.names = _RouterOfNames(settings, self)
        self.lookups = Lookups(self.names)
        self._own = inherited.encoded(settings)
        # The first bit is set, so that the number 0 is of no tree.
        self._last = (int.from_bytes(os.urandom(_HALF // 8), "big") | 1 << _HALF - 1) << _HALF
        self._numbers: dict[bytes, int] = {}
        # Least recently used first, and so are the routers and the sockets.
        self._registered: OrderedDict[int, tuple[bytes, Settings]] = OrderedDict()
        self._routers: OrderedDict[int, Router] = OrderedDict()
        self._sockets: OrderedDict[int, int] = OrderedDict()
        self._bytes = 0
        self._add_first_hops(first_hops_of(settings))
        self._dropped = Router(config.refused(settings, ConfigError("the settings of this via() were dropped")))

    def register(self, data: bytes) -> int:
        """Return the number of the scope with the settings in `data`; 0 for the settings of the seal.

        Raises OSError: EINVAL if the data is no settings, ENOSPC if there would be too many first hops.
        """
        if data == self._own:
            return 0
        number = self._numbers.get(data)
        if number is None:
            return self._add(data)
        self._registered.move_to_end(number)
        return number

    def add_first_hop(self, literal: str, port: int) -> None:
        """Reach a proxy directly at an address that its name has. Raises OSError (ENOSPC) if there are too many."""
        self._add_first_hops(frozenset(((literal, port),)))

    def put(self, inode: int, number: int) -> None:
        """Route the connections of a socket by the settings of a scope. Raises OSError: ESTALE if it was dropped."""
        if number and number not in self._registered:
            raise OSError(ESTALE, os.strerror(ESTALE))
        _use(self._sockets, inode, number, self._MOST_SOCKETS)

    def router_of(self, pid: int, inode: int | None = None) -> Router:
        """Return the router for a connection of a process, or of one of its sockets.

        Raises OSError if the environment of the process cannot be read.
        """
        if not self._numbers and not self._sockets:
            return self.base
        number = self._sockets.get(inode) if inode is not None else None
        return self._router(_number(environment(pid, _VARIABLE)) if number is None else number)

    def is_proxy(self, name: str) -> bool:
        """Return True for the name of a first hop, which is looked up on this machine."""
        return fold(name) in self._proxy_names

    def fake_name(self, name: str, port: int | None) -> bool:
        """Return True if a name gets a fake address by the settings of any scope.

        Such an address does no harm where the connection turns out to be direct, while a question to a name server
        would. So with many scopes every name gets one.
        """
        many = len(self._registered) > self._MOST_ROUTERS
        return many or any(_fakes(self._router(number), name, port) for number in list(self._registered))

    def reverse_is_native(self, address: str) -> bool:
        """Return True if a name server may be asked for the name of an address by the settings of every scope."""
        few = len(self._registered) <= self._MOST_ROUTERS
        return few and all(self._router(number).reverse_is_native(address) for number in list(self._registered))

    def _add(self, data: bytes) -> int:
        try:
            settings = foreign_settings.read(data)
        except ValueError:
            raise OSError(EINVAL, os.strerror(EINVAL)) from None
        self._add_first_hops(first_hops_of(settings))
        self._last += 1
        self._numbers[data] = self._last
        self._registered[self._last] = data, settings
        self._bytes += len(data)
        while len(self._registered) > self._MOST or self._bytes > self._MOST_BYTES:
            self._drop_oldest()
        self.lookups.forget()
        return self._last

    def _drop_oldest(self) -> None:
        number, (data, _) = self._registered.popitem(last=False)
        del self._numbers[data]
        self._bytes -= len(data)
        self._routers.pop(number, None)

    def _add_first_hops(self, first_hops: frozenset[FirstHop]) -> None:
        news = first_hops - self._first_hops
        if len(self._first_hops) + len(news) > self._MOST_FIRST_HOPS:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if news:
            self._first_hops |= news
            self._proxy_names.update(host for host, _ in news if numeric(host) is None)
            for router in (self.base, *self._routers.values()):
                router.forget()

    def _router(self, number: int) -> Router:
        """Return the router of a scope; that of the seal for a number that was never given in this tree."""
        if number >> _HALF != self._last >> _HALF or number > self._last:
            return self.base
        if number not in self._registered:
            return self._dropped
        self._registered.move_to_end(number)
        router = self._routers.get(number) or Router(self._registered[number][1], self._first_hops)
        _use(self._routers, number, router, self._MOST_ROUTERS)
        return router


class _RouterOfNames(Router):
    """Decides for the whole tree which names get a fake address, and for which addresses a name server is asked."""

    def __init__(self, settings: Settings, scopes: Scopes) -> None:
        super().__init__(settings)
        self._scopes = scopes

    def is_faked(self, name: str, port: int | None = None) -> bool:
        """Return True if a look-up of this name is answered with a fake address, by the settings of any scope."""
        if self._scopes.is_proxy(name):
            return False
        return super().is_faked(name, port) or self._scopes.fake_name(name, port)

    def reverse_is_native(self, address: str) -> bool:
        """Return True if a name server may be asked for the name of an address, by the settings of every scope."""
        return super().reverse_is_native(address) and self._scopes.reverse_is_native(address)


def _fakes(router: Router, name: str, port: int | None) -> bool:
    try:
        return router.is_faked(name, port)
    except gaierror:  # the proxy takes no names, which connect(2) reports
        return True


def _use(entries: OrderedDict[int, Value], key: int, value: Value, most: int) -> None:
    """Put an entry at the end, and drop the first one if there are too many."""
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > most:
        entries.popitem(last=False)


def _number(text: bytes | None) -> int:
    """Return the number in a variable; 0 if there is none."""
    return int(text) if text is not None and len(text) <= _LONGEST_NUMBER and text.isdigit() else 0
