"""What is configured, as frozen values: a proxy, a rule, and all settings together.

Everything is checked and brought into shape when it is loaded, so that a decision at connect() time is a few
comparisons, and so that a mistake is told before the client's first statement runs.
"""

from __future__ import annotations

from os import fsencode

from socksify._record import Record
from socksify.config.ip import address, fold
from socksify.config.quoting import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address

    from socksify.config.ip import Address


EVERY_PORT = (0, 65535)


class ConfigError(ValueError):
    """A setting that cannot be used. One line: its source, its value (passwords masked) and what is expected."""

    def __init__(self, message: str) -> None:
        # A file's name may hold a line break.
        super().__init__(" ".join(message.splitlines()))


class Proxy(Record, hidden=("user", "password")):
    """One proxy, reached by TCP at (host, port) or, when `path` is set, through that Unix socket.

    `user` and `password` are what goes over the wire, or None. `name` is the one given to
    the proxy in the configuration file, or None.
    """

    scheme: str
    host: str
    port: int
    path: str | None = None
    user: bytes | None = None
    password: bytes | None = None
    name: str | None = None

    @property
    def remote_names(self) -> bool:
        """Whether names are resolved by the proxy; curl's meaning of the schemes."""
        return self.scheme in ("socks5h", "socks4a", "http")

    @property
    def address(self) -> str:
        """`host:port` (IPv6 in brackets), or the Unix socket's path."""
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The proxy's URL with the password masked, for people to read."""
        credentials = "" if self.user is None else quote(self.user)
        credentials += "" if self.password is None else ":***"
        place = self.address if self.path is None else "localhost" + quote(fsencode(self.path), b"/")
        return f"{self.scheme}://{credentials}{'@' if credentials else ''}{place}"

    def __str__(self) -> str:
        return self.url


class Rule(Record):
    """MATCH=VIA. `text` is it as written (credentials masked), `source` where: `--route`, `NO_PROXY`, `built in`.

    `via` is `direct`, `block`, or what `Settings.chain` knows. What has to match is a glob (cut at its asterisks), a
    domain with all below it, or a network (bits, mask, number); without any of them every host matches.
    """

    text: str
    source: str
    via: str
    glob: tuple[str, ...] = ()
    domain: str = ""
    network: tuple[int, int, int] | None = None
    ports: tuple[int, int] = EVERY_PORT

    @property
    def is_of_names(self) -> bool:
        """Whether a target's name decides."""
        return bool(self.glob or self.domain)

    def matches(self, name: str | None, ip: str | IPv4Address | IPv6Address | None, port: int) -> bool:
        """Whether the rule is about this target: its name or its address or both, and its port."""
        return self.covers(None if name is None else fold(name), None if ip is None else address(str(ip)), port)

    def covers(self, name: str | None, ip: Address | None, port: int) -> bool:
        """`matches` for a target that `fold` and `address` have brought into shape."""
        lowest, highest = self.ports
        if not lowest <= port <= highest:
            return False
        if self.network is not None:
            bits, mask, number = self.network
            return ip is not None and ip[0] == bits and ip[1] & mask == number
        if self.domain:
            return name is not None and (name == self.domain or name.endswith("." + self.domain))
        return not self.glob or (name is not None and _fits(self.glob, name))


# What no other rule speaks of.
DEFAULT = Rule("*=proxy", "built in", "proxy")


# The VIA of a rule that outranks those behind it and leaves what it matches to the built-in end.
UNDECIDED = "undecided"


class Settings(Record):
    """All settings in force.

    `proxy` is the default chain, first hop first; `proxies` are the named ones, and under their masked URLs those
    that a rule gives as a URL. `rules` are the user's, those of the strongest source first (the built-in end is in
    `rules.py`), `default` is the very last one. `isolate` is `none`, `host`, `task` or `connection`. `dns` is `auto`,
    `local` or `remote`; `fake_networks` are the networks of fake addresses, the IPv4 one first. `udp` is `block` or
    `direct`, `bind` `auto`, `always` or `never`, `bind_services` are ports. `allow` are names of modules. `children`
    and `native` tell whether child processes are given these settings, and proxychains4 those that are no Python. Both
    timeouts are in seconds. `log` is empty (off), `stderr` or a file's path. `sources` tells for each setting where its
    value came from.
    """

    proxy: tuple[Proxy, ...]
    proxies: Mapping[str, tuple[Proxy, ...]] = {}
    rules: tuple[Rule, ...] = ()
    default: Rule = DEFAULT
    isolate: str = "none"
    dns: str = "auto"
    fake_networks: tuple[str, str] = ("198.18.0.0/15", "100::/64")
    udp: str = "block"
    bind: str = "auto"
    bind_services: tuple[int, ...] = (21, 514)
    strict: bool = False
    allow: tuple[str, ...] = ()
    children: bool = True
    native: bool = False
    connect_timeout: float = 120.0
    c_watcher_timeout: float = 5.0
    log: str = ""
    sources: Mapping[str, str] = {}

    def chain(self, via: str) -> tuple[Proxy, ...]:
        """The proxies that a rule's VIA names, first hop first; empty for direct, block and UNDECIDED.

        Raises KeyError for a name that is not configured, which load() has ruled out for `rules`.
        """
        if via == "proxy":
            return self.proxy
        if via in ("direct", "block", UNDECIDED):
            return ()
        if via in self.proxies:
            return self.proxies[via]
        if "+" not in via:
            raise KeyError(via)
        return tuple(hop for name in via.split("+") for hop in self.chain(name))


def _fits(glob: tuple[str, ...], name: str) -> bool:
    """Whether a name consists of the glob's literal pieces, in order, with anything between them."""
    if len(glob) == 1:
        return name == glob[0]
    first, *middle, last = glob
    if not name.startswith(first):
        return False
    position = len(first)
    for piece in middle:
        found = name.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return name.endswith(last) and len(name) - len(last) >= position
