"""The search list of this machine's resolver (resolv.conf(5)): domains that resolvers append to short names.

A resolver that is asked for a name with fewer dots than `ndots` asks for the name below each domain of the list first,
and for the name itself at last. A name server answers that most of these names do not exist. A proxy is asked for a
name only when the client connects, so we cannot know. If `www.example.com.cluster.local` had an address, every name of
a machine with `ndots:5` would lead to a host that does not exist.
"""

from __future__ import annotations

import os
from socket import gethostname

from socksify.routing.hosts_file import SystemFile, folded

# resolv.conf(5): "The value for this option is silently capped to 15".
_MOST_DOTS = 15
_NDOTS = "ndots:"


class SearchList:
    """The domains, and the number of dots from which on a name is asked for as it is."""

    def __init__(self, domains: tuple[str, ...], ndots: int) -> None:
        self._endings = tuple(f".{domain}" for domain in domains)
        self._ndots = ndots

    def short_name(self, name: str) -> str | None:
        """Return the name to which a resolver has appended a domain; None if it has asked for the name itself.

        A name of one label gives None, because `db.corp.example` is asked for both as itself and for `db`.
        """
        if self._ndots < 2:
            return None
        shorts = [name.removesuffix(ending) for ending in self._endings if name.endswith(ending)]
        short = min(shorts, key=len, default="")
        return short if 0 < short.count(".") < self._ndots else None


def parse(content: bytes) -> SearchList:
    """Return the list of a resolv.conf, changed by the variables LOCALDOMAIN and RES_OPTIONS."""
    domains: tuple[str, ...] = ()
    options = ""
    for line in content.decode("latin-1").split("\n"):
        keyword, _, rest = line.replace("\t", " ").strip().partition(" ")
        if keyword in ("search", "domain"):
            domains = tuple(rest.split())
        elif keyword == "options":
            options += f" {rest}"
    if "LOCALDOMAIN" in os.environ:
        domains = tuple(os.environ["LOCALDOMAIN"].split())
    elif not domains:
        # "If no domain entry is present, the domain is determined from the local hostname".
        domains = (gethostname().partition(".")[2],)
    options += f" {os.environ.get('RES_OPTIONS', '')}"
    return SearchList(tuple(filter(None, map(folded, domains))), _ndots(options))


def _ndots(options: str) -> int:
    ndots = 1
    for option in options.split():
        digits = option.removeprefix(_NDOTS)
        if option.startswith(_NDOTS) and digits.isascii() and digits.isdecimal():
            ndots = min(int(digits[:9]), _MOST_DOTS)
    return ndots


SEARCH_LIST = SystemFile("/etc/resolv.conf", parse)
