"""proxychains4 for programs that are no Python and for modules with network code in C, which our patches do not reach.

proxychains4 is a library that LD_PRELOAD puts in front of libc's connect(). Its configuration, which may hold
passwords, is a file in memory (memfd_create(2)). Other processes read the file as /proc/PID/fd/N while this process
lives, and nobody has to remove it. If the file is gone, proxychains4 ends its program. The configuration makes
connections to our proxies direct, so a Python that both socksify and proxychains4 cover is proxied once.

proxychains4 has one chain for all connections, and `localnet` lines for networks that are direct. It applies the
`localnet` lines first. So a direct network becomes a `localnet` line only if no earlier rule could decide otherwise.
The other rules are lost: their connections go through the chain. See proxychains.conf(5) and the README of
proxychains-ng.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_INET
from glob import glob
from ipaddress import ip_address

from socksify import _originals
from socksify._descriptors import Kept
from socksify.config import rules
from socksify.config.errors import ConfigError
from socksify.config.ip import parse_ip
from socksify.config.match import EVERY_PORT, Match
from socksify.routing import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.proxy_url import Proxy
    from socksify.config.rules import Rule
    from socksify.config.settings import Settings

PRELOAD = "LD_PRELOAD"
_FILE = "PROXYCHAINS_CONF_FILE"
_LIBRARY = "libproxychains.so.4"
_LIBRARY_PATTERNS = (
    "/usr/lib/*/",
    "/usr/lib*/",
    "/usr/local/lib/",
    "/usr/lib/*/proxychains-ng/",
    "/opt/homebrew/lib/",
)
_MEMORY_FILE = "proxychains.conf"
_TYPES = {"socks5": "socks5", "socks5h": "socks5", "socks4": "socks4", "socks4a": "socks4", "http": "http"}
# This comment in our file is followed by the name and the address of a proxy.
_NOTE = "# address "


def check(settings: Settings) -> None:
    """Warn of lost rules. Raise ConfigError if proxychains4 is not installed or cannot express the settings."""
    library()
    configuration(settings, {})
    if not settings.children:
        raise ConfigError("native: it puts proxychains4 under children, too; expected children")
    _WARNINGS.warn(settings)


def resolved(settings: Settings) -> Settings:
    """Return the settings with addresses in place of the names of the first hops.

    The addresses are needed because a look-up under proxychains4 would go through the proxy. Raises ConfigError if a
    name has no address.
    """
    _ADDRESSES.take_over(os.environ)
    return with_addresses(settings, _ADDRESSES.of_first_hops(settings))


def library() -> str:
    """Return the path of proxychains4's library. Raises ConfigError if it is not installed."""
    if not hasattr(os, "memfd_create"):
        raise ConfigError("native: expected Linux: proxychains4 is given its configuration by memfd_create(2)")
    found = next((path for pattern in _LIBRARY_PATTERNS for path in sorted(glob(pattern + _LIBRARY))), None)
    if found is None:
        raise ConfigError(f"native: proxychains4 is not installed ({_LIBRARY} is in no library directory); install it")
    return found


def is_loaded() -> bool:
    """Return True if this process runs under proxychains4."""
    with open("/proc/self/maps", "rb") as maps:
        return _LIBRARY.encode() in maps.read()


def start_over(settings: Settings) -> None:
    """Start this interpreter again under proxychains4, with the same argv; do nothing if proxychains4 is loaded.

    Call this function before any side effect that must not happen twice. Raises ConfigError if proxychains4 is not
    installed, cannot be loaded or cannot express the settings.
    """
    preloaded = library()
    if is_loaded():
        return
    if _inherited_file(os.environ) is not None:
        raise ConfigError(f"native: {preloaded} cannot be loaded into {sys.executable}; expected a dynamic executable")
    addresses = _ADDRESSES.of_first_hops(settings)
    fd = _memory_file(configuration(with_addresses(settings, addresses), addresses))
    os.set_inheritable(fd, True)
    # A copy: if execve(2) fails, os.environ is as it was.
    environ = {
        **os.environ,
        PRELOAD: _with_first_entry(preloaded, os.environ.get(PRELOAD, "")),
        _FILE: _path_of(fd),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    _originals.execve(sys.executable, sys.orig_argv, environ)


class ConfigurationFile:
    """The configuration of proxychains4, in the memory of this process."""

    def __init__(self, settings: Settings) -> None:
        """`settings` are the settings of children. Raises ConfigError if proxychains4 cannot express them."""
        self._kept = Kept(_memory_file(configuration(settings, {})))

    def variables(self) -> dict[str, str]:
        """Return the environment variable that tells other processes the path of this file."""
        return {_FILE: _path_of(self._kept.number)}

    def keep_over_exec(self, keeps: bool) -> None:
        """Say whether the file stays when execve(2) replaces this program."""
        fd = self._kept.fd
        if fd is not None:
            os.set_inheritable(fd, keeps)

    def close(self) -> None:
        """Close the file in memory."""
        self._kept.close()


class _ProxyAddresses:
    """Addresses of the proxies that are given by name: one object in a process.

    proxychains4 answers every look-up of a process under it. So the addresses that were found before it was loaded are
    kept here.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def take_over(self, environ: Mapping[str, str]) -> None:
        """Read the addresses that start_over() has noted for this process, and close the file.

        proxychains4 has read the file before Python starts, so the file is not needed any more.
        """
        fd = _inherited_file(environ)
        if fd is not None:
            with open(fd, "rb") as file:
                file.seek(0)
                self._known.update(noted_addresses(file.read().decode()))

    def of_first_hops(self, settings: Settings) -> dict[str, str]:
        """Return an address for each name among the first hops. Raises ConfigError if a name has no address."""
        names = [hop.host for hop in _first_hops(settings) if not _is_literal(hop.host) and not hop.path]
        return {name: self._known.get(name) or _look_up(name) for name in names}


class _Warnings:
    """The warnings of rules that proxychains4 does not obey: each rule is named once in a process."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def warn(self, settings: Settings) -> None:
        """Warn of the rules that are lost."""
        for rule in lost_rules(settings):
            if rule not in self._named:
                self._named.add(rule)
                log.warn(
                    f"native: proxychains4 cannot be told the rule {rule!r}; what is under it goes through the proxy"
                )


_ADDRESSES = _ProxyAddresses()
_WARNINGS = _Warnings()


def _look_up(name: str) -> str:
    try:
        answers = _originals.getaddrinfo(_originals.InternalHost(name.encode()), 0)
    except OSError as error:
        raise ConfigError(f"native: the proxy {name!r} has no address: {error.strerror}") from None
    # proxychains4 prefers IPv4.
    return str(min(answers, key=lambda answer: answer[0] != AF_INET)[4][0])


def _with_first_entry(entry: str, others: str) -> str:
    """Return a list like LD_PRELOAD with an entry in front of the others."""
    return ":".join([entry, *(other for other in others.replace(" ", ":").split(":") if other not in ("", entry))])


def _memory_file(text: str) -> int:
    """Return a descriptor of a new file in memory that holds a text."""
    fd = os.memfd_create(_MEMORY_FILE)
    os.write(fd, text.encode())
    return fd


def _path_of(fd: int | str) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}"


def _inherited_file(environ: Mapping[str, str]) -> int | None:
    """Return the descriptor of the configuration that start_over() has passed to this process; else None."""
    number = environ.get(_FILE, "").removeprefix(_path_of(""))
    try:
        # The program may have closed the descriptor, and its number may belong to another file now.
        is_there = number.isdecimal() and os.readlink(f"/proc/self/fd/{number}").startswith(f"/memfd:{_MEMORY_FILE}")
    except OSError:
        is_there = False
    return int(number) if is_there else None


def with_addresses(settings: Settings, addresses: Mapping[str, str]) -> Settings:
    """Return the settings with `addresses` (name -> address) in the place of the names of the first hops."""

    def chain(hops: tuple[Proxy, ...]) -> tuple[Proxy, ...]:
        return (hops[0].replace(host=addresses.get(hops[0].host, hops[0].host)), *hops[1:])

    proxies = {name: chain(hops) for name, hops in settings.proxies.items()}
    replaced: Settings = settings.replace(proxy=chain(settings.proxy), proxies=proxies)
    return replaced


def configuration(settings: Settings, addresses: Mapping[str, str]) -> str:
    """Return the text of proxychains4's configuration.

    `settings` have addresses in place of the names of first hops (`with_addresses`). `addresses` (name -> address) are
    noted in the text for `noted_addresses`. Raises ConfigError for a default chain that proxychains4 cannot express.
    """
    lines = ["strict_chain", "quiet_mode", "tcp_read_time_out 30000", "tcp_connect_time_out 30000"]
    lines += [f"{_NOTE}{name} {literal}" for name, literal in addresses.items()]
    if _resolves_remotely(settings):
        lines.append("proxy_dns")
    # A connection to a proxy is made by socksify, here or in a Python child, so its data is proxied already.
    lines += [_localnet(hop.host, hop.port, None) for hop in _first_hops(settings) if hop.path is None]
    lines += [
        _localnet(*network) for rule in _expressible_rules(settings) if (network := _network(rule.match)) is not None
    ]
    lines += ["[ProxyList]", *(_proxy_line(hop) for hop in settings.proxy)]
    return "\n".join([*dict.fromkeys(lines), ""])


def noted_addresses(text: str) -> dict[str, str]:
    """Return the addresses that `configuration` has noted in a text."""
    return dict(line.removeprefix(_NOTE).split() for line in text.splitlines() if line.startswith(_NOTE))


def lost_rules(settings: Settings) -> list[str]:
    """Return the user's rules that proxychains4 does not obey: their connections go through the chain instead."""
    expressible = _expressible_rules(settings)
    return [rule.text for rule in settings.rules if rule not in expressible and rule.via != "proxy"]


def _first_hops(settings: Settings) -> list[Proxy]:
    return [chain[0] for chain in (settings.proxy, *settings.proxies.values())]


def _is_literal(host: str) -> bool:
    return parse_ip(host) is not None


def _resolves_remotely(settings: Settings) -> bool:
    return settings.proxy[-1].remote_names if settings.dns == "auto" else settings.dns == "remote"


def _expressible_rules(settings: Settings) -> list[Rule]:
    """Return the direct rules about networks that no earlier rule can contradict, including built-in rules."""
    expressible: list[Rule] = []
    earlier: list[Rule] = []
    for rule in (*settings.rules, *rules.BUILT_IN):
        if rule.via != "direct":
            earlier.append(rule)
        elif _network(rule.match) is not None and not any(_overlap(rule.match, other.match) for other in earlier):
            expressible.append(rule)
    return expressible


def _overlap(match: Match, other: Match) -> bool:
    """Return True if an address may match both."""
    if other.network is None or match.network is None:
        # A rule about names matches no address.
        return not other.is_of_names
    if match.network[0] != other.network[0]:
        return False
    mask = match.network[1] & other.network[1]
    return match.network[2] & mask == other.network[2] & mask


def _network(match: Match) -> tuple[str, int | None, int] | None:
    """Return (first address, port, prefix length in bits) of a match. `port` is None for all ports.

    Return None if a `localnet` line cannot express the match: it holds one network, with one port or all ports.
    """
    if match.network is None or (match.ports[0] != match.ports[1] and match.ports != EVERY_PORT):
        return None
    bits, mask, number = match.network
    first = str(ip_address(number.to_bytes(bits // 8, "big")))
    return first, None if match.ports == EVERY_PORT else match.ports[0], mask.bit_count()


def _localnet(host: str, port: int | None, length: int | None) -> str:
    """Return the `localnet` line for a network.

    If `length`, the prefix length in bits, is None, the line is for one address. If `port` is None, the line is for all
    ports.
    """
    if ":" in host:
        place = host if port is None else f"[{host}]:{port}"
        return f"localnet {place}/{128 if length is None else length}"
    bits = 32 if length is None else length
    mask = ip_address(((1 << 32) - (1 << 32 - bits)).to_bytes(4, "big"))
    return f"localnet {host}{'' if port is None else f':{port}'}/{mask}"


def _proxy_line(hop: Proxy) -> str:
    if hop.path is not None:
        raise ConfigError(f"native: {hop.url!r}: proxychains4 knows no Unix sockets; expected a proxy on a port")
    credentials = [part.decode("latin-1") for part in (hop.user, hop.password) if part is not None]
    if any(not part or not part.isprintable() or not part.isascii() or " " in part for part in credentials):
        raise ConfigError(f"native: {hop.url!r}: proxychains4 takes no blanks and ASCII alone in credentials")
    return " ".join([_TYPES[hop.scheme], hop.host, str(hop.port), *credentials])
