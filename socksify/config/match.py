"""The MATCH of a rule: which hosts and which ports.

    *.corp.example     a name glob, only * is a wildcard        10.0.0.0/8, 10.1.2.3, fd00::/8, ::1    a network
    .corp.example      the domain and all below it              :443, :1024-65535                      ports
    *                  every host                               host:443, 10.0.0.0/8:443, [::1]:443    both

What can never match (10.0.0.256, 10.*, host bits set) is an error: a rule that silently does nothing is a leak.
"""

from __future__ import annotations

from socksify.config.ip import address, fold, looks_numeric
from socksify.config.quoting import masked
from socksify.config.settings import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Match(TypedDict, total=False):
        """The fields of a Rule that say what it is about."""

        glob: tuple[str, ...]
        domain: str
        network: tuple[int, int, int]
        ports: tuple[int, int]


def parse(text: str, source: str) -> Match:
    """The fields of a Rule that a MATCH stands for; raises ConfigError with `source` in it."""
    host, ports = _split(text, source)
    match = _host(host, text, source)
    if ports is not None:
        match["ports"] = _ports(ports, text, source)
    return match


def exception(text: str, source: str) -> Match:
    """A NO_PROXY entry, which differs from a MATCH: a name means all below it too, and host bits may be set."""
    host, ports = _split(text, source)
    if ports is not None and host in ("", "*"):
        # To curl and requests it is nobody's.
        raise _error(text, source, "expected a name, an address or a network in front of the colon")
    name = fold(host.removeprefix("*.").removeprefix("."))
    if "/" in host:
        match: Match = {"network": _network(host, text, source, strict=False)}
    elif name and "*" not in name and not looks_numeric(name) and ":" not in name:
        match = _host("." + name, text, source)
    else:
        match = _host(host, text, source)
    if ports is not None:
        match["ports"] = _ports(ports, text, source)
    return match


def _split(text: str, source: str) -> tuple[str, str | None]:
    """Host and ports; the ports are None when there are none."""
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
        return {}
    if "/" in host or ":" in host or looks_numeric(host):
        return {"network": _network(host, text, source, strict=True)}
    if looks_numeric(host.replace("*", "")):
        raise _error(text, source, "addresses are matched by networks such as 10.0.0.0/8, not by globs")
    name = fold(host)
    if not _is_pattern(name):
        raise _error(text, source, "expected a name (only * is a wildcard), a network, :port, or host:port")
    return {"domain": name[1:]} if name.startswith(".") else {"glob": tuple(name.split("*"))}


def _is_pattern(name: str) -> bool:
    labels = name.removeprefix(".").split(".")
    plain = "".join(labels).translate({ord("-"): None, ord("_"): None, ord("*"): None})
    wild = "*" in name
    return all(labels) and (plain.isalnum() or (wild and not plain)) and not (wild and name.startswith("."))


def _network(host: str, text: str, source: str, strict: bool) -> tuple[int, int, int]:
    """(bits of an address, mask, number) of a network or a single address."""
    literal, slash, length = host.partition("/")
    parsed = address(literal)
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
    """The network's length in bits of the address, None if there is no such."""
    if not (length.isascii() and length.isdecimal() and len(length) <= 3):
        return None
    # ::ffff:10.0.0.0/104 is 10.0.0.0/8 written as IPv4-mapped.
    prefix = int(length) - (96 if written_as_ipv6 and bits == 32 else 0)
    return prefix if 0 <= prefix <= bits else None


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
