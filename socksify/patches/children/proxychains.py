"""proxychains4 for what our patches do not reach: programs that are no Python, and modules with network code in C.

It is a library that LD_PRELOAD puts in front of libc's connect(). Its configuration, which may hold passwords, is a
file in memory (memfd_create(2)): others read it as /proc/PID/fd/N while this process lives, nobody has to remove it,
and where it is gone proxychains4 ends its program. Our own way to the proxies it leaves direct, and so a Python under
both is proxied once.
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
FILE = "PROXYCHAINS_CONF_FILE"
_NAME = "libproxychains.so.4"
_MEMORY = "proxychains.conf"
_PLACES = ("/usr/lib/*/", "/usr/lib*/", "/usr/local/lib/", "/usr/lib/*/proxychains-ng/", "/opt/homebrew/lib/")


class Configuration:
    """proxychains4's, in the memory of this process."""

    def __init__(self, settings: Settings) -> None:
        self._kept = Kept(_written(configuration(settings, {})))

    def variables(self) -> dict[str, str]:
        """By what name others read it, in the variable that tells them."""
        return {FILE: _name_of(self._kept.number)}

    def stay(self, stays: bool) -> None:
        """Whether it is there after execve(2)."""
        fd = self._kept.fd
        if fd is not None:
            os.set_inheritable(fd, stays)

    def close(self) -> None:
        self._kept.close()


def library() -> str:
    """proxychains4's library; raises ConfigError if it is not installed."""
    if not hasattr(os, "memfd_create"):
        raise ConfigError("native: expected Linux: proxychains4 is given its configuration by memfd_create(2)")
    found = next((path for place in _PLACES for path in sorted(glob(place + _NAME))), None)
    if found is None:
        raise ConfigError(f"native: proxychains4 is not installed ({_NAME} is in no library directory); install it")
    return found


def check(settings: Settings) -> None:
    """Raises ConfigError if proxychains4 is not installed or cannot be told; says what it will not obey."""
    library()
    configuration(settings, {})
    if not settings.children:
        raise ConfigError("native: it puts proxychains4 under children, too; expected children")
    for rule in lost(settings):
        if rule not in _lost:
            _lost.add(rule)
            log.warn(f"native: proxychains4 cannot be told the rule {rule!r}; what is under it goes through the proxy")


def numbered(settings: Settings) -> Settings:
    """The settings with the proxies' addresses for names: a look-up under proxychains4 would go through the proxy."""
    _take_over(os.environ)
    return with_addresses(settings, _addresses(settings))


def is_loaded() -> bool:
    """Whether this process runs under proxychains4."""
    with open("/proc/self/maps", "rb") as maps:
        return _NAME.encode() in maps.read()


def start_over(settings: Settings) -> None:
    """Start this interpreter again, with the same words, under proxychains4; does nothing if it is there already.

    To be called before anything has happened that would then happen twice. Raises ConfigError.
    """
    preloaded = library()
    if is_loaded():
        return
    if _own_file(os.environ) is not None:
        raise ConfigError(f"native: {preloaded} cannot be loaded into {sys.executable}; expected a dynamic executable")
    addresses = _addresses(settings)
    fd = _written(configuration(with_addresses(settings, addresses), addresses))
    os.set_inheritable(fd, True)
    # Not the process's own environment: one that was started otherwise shall look as it did.
    environ = {
        **os.environ,
        PRELOAD: _before(preloaded, os.environ.get(PRELOAD, "")),
        FILE: _name_of(fd),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    _originals.execve(sys.executable, sys.orig_argv, environ)


def _take_over(environ: Mapping[str, str]) -> None:
    """Close the file that was made for this process before it was started over; proxychains4 has read it."""
    fd = _own_file(environ)
    if fd is not None:
        with open(fd, "rb") as file:
            file.seek(0)
            _known.update(known_addresses(file.read().decode()))


_lost: set[str] = set()
# Addresses of proxies, from before proxychains4 answered for all names.
_known: dict[str, str] = {}


def _before(entry: str, others: str) -> str:
    """A list like PATH that begins with an entry."""
    return ":".join([entry, *(other for other in others.replace(" ", ":").split(":") if other not in ("", entry))])


def _written(text: str) -> int:
    """A file in memory that holds a text."""
    fd = os.memfd_create(_MEMORY)
    os.write(fd, text.encode())
    return fd


def _name_of(fd: int | str) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}"


def _own_file(environ: Mapping[str, str]) -> int | None:
    """The descriptor of a configuration that this process has left to itself over execve(2)."""
    number = environ.get(FILE, "").removeprefix(_name_of(""))
    try:
        # The program may have closed it, and have another file under its number.
        is_there = number.isdecimal() and os.readlink(f"/proc/self/fd/{number}").startswith(f"/memfd:{_MEMORY}")
    except OSError:
        is_there = False
    return int(number) if is_there else None


def _addresses(settings: Settings) -> dict[str, str]:
    """Of the first hops that are names."""
    names = [hop.host for hop in first_hops(settings) if not is_literal(hop.host) and not hop.path]
    return {name: _known.get(name) or _address(name) for name in names}


def _address(name: str) -> str:
    try:
        answers = _originals.getaddrinfo(_originals.InternalHost(name.encode()), 0)
    except OSError as error:
        raise ConfigError(f"native: the proxy {name!r} has no address: {error.strerror}") from None
    # proxychains4 would rather have IPv4.
    return str(min(answers, key=lambda answer: answer[0] != AF_INET)[4][0])


# proxychains4's configuration for what our patches do not reach, as far as it can say what our settings say.
#
# It knows one chain for everything and, as `localnet`, networks that are direct before all else. So a direct network is
# told to it only where no earlier rule could decide otherwise, and what is lost goes through the chain. See its
# proxychains.conf(5) and the README of proxychains-ng.


_TYPES = {"socks5": "socks5", "socks5h": "socks5", "socks4": "socks4", "socks4a": "socks4", "http": "http"}
_KNOWN = "# address "


def first_hops(settings: Settings) -> list[Proxy]:
    """The proxies to which we connect ourselves."""
    return [chain[0] for chain in (settings.proxy, *settings.proxies.values())]


def with_addresses(settings: Settings, addresses: Mapping[str, str]) -> Settings:
    """The settings with addresses for the first hops' names: under proxychains4 nobody here can ask for them."""

    def chain(hops: tuple[Proxy, ...]) -> tuple[Proxy, ...]:
        return (hops[0].replace(host=addresses.get(hops[0].host, hops[0].host)), *hops[1:])

    proxies = {name: chain(hops) for name, hops in settings.proxies.items()}
    numbers: Settings = settings.replace(proxy=chain(settings.proxy), proxies=proxies)
    return numbers


def configuration(settings: Settings, addresses: Mapping[str, str]) -> str:
    """The file, of settings that are with_addresses(); raises ConfigError for a default chain that it cannot name."""
    lines = ["strict_chain", "quiet_mode", "tcp_read_time_out 30000", "tcp_connect_time_out 30000"]
    lines += [f"{_KNOWN}{name} {number}" for name, number in addresses.items()]
    if _resolves_there(settings):
        lines.append("proxy_dns")
    # Our own way to each proxy, and of a child's of ours: what goes there goes through a proxy already.
    lines += [_localnet(hop.host, hop.port, None) for hop in first_hops(settings) if hop.path is None]
    lines += [_localnet(*network) for rule in _direct(settings) if (network := _network(rule.match)) is not None]
    lines += ["[ProxyList]", *(_proxy(hop) for hop in settings.proxy)]
    return "\n".join([*dict.fromkeys(lines), ""])


def known_addresses(text: str) -> dict[str, str]:
    """The addresses that a configuration was made with."""
    return dict(line.removeprefix(_KNOWN).split() for line in text.splitlines() if line.startswith(_KNOWN))


def lost(settings: Settings) -> list[str]:
    """The user's rules that a program under proxychains4 does not obey: it goes through the chain instead."""
    kept = _direct(settings)
    return [rule.text for rule in settings.rules if rule not in kept and rule.via != "proxy"]


def _resolves_there(settings: Settings) -> bool:
    return settings.proxy[-1].remote_names if settings.dns == "auto" else settings.dns == "remote"


def _direct(settings: Settings) -> list[Rule]:
    """The direct rules about networks, the built-in ones too, that no earlier rule can contradict."""
    found: list[Rule] = []
    earlier: list[Rule] = []
    for rule in (*settings.rules, *rules.BUILT_IN):
        if rule.via != "direct":
            earlier.append(rule)
        elif _network(rule.match) is not None and not any(_overlap(rule.match, other.match) for other in earlier):
            found.append(rule)
    return found


def _overlap(match: Match, other: Match) -> bool:
    if other.network is None or match.network is None:
        # A rule about names is about no address.
        return not other.is_of_names
    if match.network[0] != other.network[0]:
        return False
    mask = match.network[1] & other.network[1]
    return match.network[2] & mask == other.network[2] & mask


def _network(match: Match) -> tuple[str, int | None, int] | None:
    """(first address, port, length) of a rule, None for one that localnet cannot express: it takes one port or all."""
    if match.network is None or (match.ports[0] != match.ports[1] and match.ports != EVERY_PORT):
        return None
    bits, mask, number = match.network
    first = str(ip_address(number.to_bytes(bits // 8, "big")))
    return first, None if match.ports == EVERY_PORT else match.ports[0], mask.bit_count()


def _localnet(host: str, port: int | None, length: int | None) -> str:
    """One network; without a length, one address."""
    if ":" in host:
        place = host if port is None else f"[{host}]:{port}"
        return f"localnet {place}/{128 if length is None else length}"
    bits = 32 if length is None else length
    mask = ip_address(((1 << 32) - (1 << 32 - bits)).to_bytes(4, "big"))
    return f"localnet {host}{'' if port is None else f':{port}'}/{mask}"


def _proxy(hop: Proxy) -> str:
    if hop.path is not None:
        raise ConfigError(f"native: {hop.url!r}: proxychains4 knows no Unix sockets; expected a proxy on a port")
    credentials = [part.decode("latin-1") for part in (hop.user, hop.password) if part is not None]
    if any(not part or not part.isprintable() or not part.isascii() or " " in part for part in credentials):
        raise ConfigError(f"native: {hop.url!r}: proxychains4 takes no blanks and ASCII alone in credentials")
    return " ".join([_TYPES[hop.scheme], hop.host, str(hop.port), *credentials])


def is_literal(host: str) -> bool:
    """Whether a proxy's host needs no look-up."""
    return parse_ip(host) is not None
