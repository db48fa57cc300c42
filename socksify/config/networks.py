"""The networks from which addresses are made up for names that only the proxy can resolve.

198.18.0.0/15 is set aside for benchmarks (RFC 2544, RFC 6890) and 100::/64 for discarding (RFC 6666): nobody routes
either, so a made-up address that escapes reaches nobody.
"""

from __future__ import annotations

from socksify.config import readers
from socksify.config.addresses import address
from socksify.config.settings import ConfigError, Settings

MADE_UP = Settings.fake_networks

# What a network has to hold, and a prefix cannot be shorter than.
_SMALLEST = 256
_WIDEST = 8


def made_up(value: object, source: str) -> tuple[str, str]:
    """One network of each family, IPv4 first; the default one for the family that is not given."""
    given = readers.texts(value, source)
    networks = dict(zip((32, 128), MADE_UP, strict=True))
    seen = set()
    for text in given:
        bits = _bits(text, source)
        if bits in seen:
            raise ConfigError(f"{source}: {text!r}: expected one network of IPv4 and one of IPv6 at most")
        seen.add(bits)
        networks[bits] = text
    return networks[32], networks[128]


def _bits(text: str, source: str) -> int:
    """Whether a network is of IPv4 (32) or IPv6 (128)."""
    literal, _, length = text.partition("/")
    parsed = address(literal)
    plain = length.isascii() and length.isdecimal() and len(length) <= 3
    if parsed is None or not plain or (":" in literal) != (parsed[0] == 128):
        raise ConfigError(f"{source}: {text!r}: expected a network such as {MADE_UP[0]} or {MADE_UP[1]}")
    bits, number = parsed
    if not _WIDEST <= int(length) <= bits or 1 << (bits - int(length)) < _SMALLEST:
        raise ConfigError(f"{source}: {text!r}: expected a network of {_SMALLEST} addresses or more, up to /{_WIDEST}")
    if number & ((1 << bits - int(length)) - 1):
        raise ConfigError(f"{source}: {text!r}: has bits behind the network's; write the network's first address")
    return bits
