"""The MATCH of a rule: the hosts and the ports that the rule is about.

    *.corp.example     a name with wildcards (only *)           10.0.0.0/8, 10.1.2.3, fd00::/8, ::1    a network
    .corp.example      the domain and all names below it        :443, :1024-65535                      ports
    *                  every host                               host:443, 10.0.0.0/8:443, [::1]:443    both

A text that can never match (10.0.0.256, 10.*, a network with host bits) is an error, because a rule without effect
would let connections use the wrong route.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config.errors import ConfigError, masked
from socksify.config.ip import fold, looks_numeric, parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.ip import IPNumber

EVERY_PORT = (0, 65535)


class Match(Record):
    """The hosts and ports that a rule is about.

    The host is a `glob` (the pieces between its asterisks), a `domain` with all names below it, or a `network`: the
    number of bits of an address (32 or 128), the mask and the address as numbers. If none of the three is set, every
    host matches. `ports` are the lowest and the highest port.
    """

    glob: tuple[str, ...] = ()
    domain: str = ""
    network: tuple[int, int, int] | None = None
    ports: tuple[int, int] = EVERY_PORT

    @property
    def is_of_names(self) -> bool:
        """True if this Match compares the name of a target, and not its address."""
        return bool(self.glob or self.domain)

    def covers(self, name: str | None, ip: IPNumber | None, port: int) -> bool:
        """Return True if a target matches.

        `name` is a name in the form of `fold`, or None if the target's name is unknown. `ip` is an address in the form
        of `parse_ip`, or None if the address is unknown. `port` is 0 to 65535.
        """
        lowest, highest = self.ports
        if not lowest <= port <= highest:
            return False
        if self.network is not None:
            bits, mask, number = self.network
            return ip is not None and ip[0] == bits and ip[1] & mask == number
        if self.domain:
            return name is not None and (name == self.domain or name.endswith("." + self.domain))
        return not self.glob or (name is not None and _fits(self.glob, name))


EVERYTHING = Match()


def _fits(glob: tuple[str, ...], name: str) -> bool:
    """Return True if the name consists of the literal pieces of the glob, in order, with any text between them."""
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


def parse(text: str, source: str) -> Match:
    """Return the Match of a text. Raises ConfigError, which names `source`, if the text is no MATCH."""
    host, ports = _split(text, source)
    return _with_ports(_host(host, text, source), ports, text, source)


def parse_exception(text: str, source: str) -> Match:
    """Return the Match of an entry of NO_PROXY. Raises ConfigError, which names `source`, if the text is no entry.

    An entry differs from a MATCH in two ways: a name also means all names below it, and a network may have host bits.
    """
    host, ports = _split(text, source)
    if ports is not None and host in ("", "*"):
        # curl and requests read such an entry as a host name, which does not exist.
        raise _error(text, source, "expected a name, an address or a network in front of the colon")
    name = fold(host.removeprefix("*.").removeprefix("."))
    if "/" in host:
        match = Match(network=_network(host, text, source, strict=False))
    elif name and "*" not in name and not looks_numeric(name) and ":" not in name:
        match = _host("." + name, text, source)
    else:
        match = _host(host, text, source)
    return _with_ports(match, ports, text, source)


def _split(text: str, source: str) -> tuple[str, str | None]:
    """Return host and ports. The ports are None if the text has none."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or rest[:1] not in ("", ":"):
            raise _error(text, source, "expected [IPv6 address], [IPv6 network]:port or the like")
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, ports = text.partition(":")
    return host, ports if colon else None


def _host(host: str, text: str, source: str) -> Match:
    if host in ("", "*"):
        if not text:
            raise _error(text, source, "expected a name, a network, a port")
        return EVERYTHING
    if "/" in host or ":" in host or looks_numeric(host):
        return Match(network=_network(host, text, source, strict=True))
    if looks_numeric(host.replace("*", "")):
        raise _error(text, source, "addresses are matched by networks such as 10.0.0.0/8, not by globs")
    name = fold(host)
    if not _is_pattern(name):
        raise _error(text, source, "expected a name (only * is a wildcard), a network, :port, or host:port")
    return Match(domain=name[1:]) if name.startswith(".") else Match(glob=tuple(name.split("*")))


def _is_pattern(name: str) -> bool:
    labels = name.removeprefix(".").split(".")
    plain = "".join(labels).translate({ord("-"): None, ord("_"): None, ord("*"): None})
    wild = "*" in name
    return all(labels) and (plain.isalnum() or (wild and not plain)) and not (wild and name.startswith("."))


def _network(host: str, text: str, source: str, strict: bool) -> tuple[int, int, int]:
    """Return (bits of an address, mask, number) of a network or of a single address."""
    literal, slash, length = host.partition("/")
    parsed = parse_ip(literal)
    if parsed is None:
        raise _error(text, source, "no such address; expected 10.0.0.0/8, 10.1.2.3, fd00::/8 or the like")
    bits, number = parsed
    prefix = _prefix(length, bits, ":" in literal) if slash else bits
    if prefix is None:
        raise _error(text, source, f"the number behind the / has to be 0 to {128 if ':' in literal else 32}")
    mask = (1 << bits) - (1 << bits - prefix)
    if strict and number & ~mask:
        raise _error(text, source, "the address has bits behind the network's; write the network's first address")
    return bits, mask, number & mask


def _prefix(length: str, bits: int, written_as_ipv6: bool) -> int | None:
    """Return the length of the network's prefix in bits, or None if the text is no such length."""
    if not (length.isascii() and length.isdecimal() and len(length) <= 3):
        return None
    # ::ffff:10.0.0.0/104 is 10.0.0.0/8 written as an IPv4-mapped network.
    prefix = int(length) - (96 if written_as_ipv6 and bits == 32 else 0)
    return prefix if 0 <= prefix <= bits else None


def _with_ports(match: Match, ports: str | None, text: str, source: str) -> Match:
    if ports is None:
        return match
    limited: Match = match.replace(ports=_ports(ports, text, source))
    return limited


def _ports(ports: str, text: str, source: str) -> tuple[int, int]:
    lowest, dash, highest = ports.partition("-")
    bounds = [lowest, highest if dash else lowest]
    if not all(bound.isascii() and bound.isdecimal() and len(bound) <= 5 for bound in bounds):
        raise _error(text, source, "expected a port number or a range such as 8000-8099 behind the colon")
    low, high = map(int, bounds)
    if not 1 <= low <= high <= 65535:
        raise _error(text, source, "ports are 1 to 65535, the lower one first")
    return low, high


def _error(text: str, source: str, expected: str) -> ConfigError:
    return ConfigError(f"{source}: {masked(text)!r}: {expected}")
