"""All settings in force, as one frozen value.

Everything is checked and brought into its final form when it is loaded. A decision in connect() is therefore a few
comparisons, and mistakes are reported before the first statement of the program runs.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config.rules import DEFAULT, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.proxy_url import Proxy
    from socksify.config.rules import Rule


class Settings(Record):
    """All settings in force.

    `proxy` is the default chain of proxies, first hop first. `proxies` are the named chains, and under its masked
    spelling every chain that a rule gives as a URL. `rules` are the user's rules, those of the strongest source first;
    `default` is the very last rule (`rules.BUILT_IN` stands between them). `isolate` is `none`, `host`, `task` or
    `connection`. `dns` is `auto`, `local` or `remote`. `fake_networks` are the networks of fake addresses, the IPv4 one
    first. `udp` is `block` or `direct`. `bind` is `auto`, `always` or `never`, and `bind_services` are ports. `allow`
    are names of modules and programs. `children` says whether child processes get these settings, `native` whether
    children that are no Python run under proxychains4. Both timeouts are in seconds. `log` is empty (off), `stderr` or
    the path of a file. `sources` says for each setting where its value came from.
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
        """Return the proxies that the VIA of a rule names, first hop first; none for direct, block and UNDECIDED.

        Raises KeyError for a name that is not configured. load() has checked the names in `rules`.
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
