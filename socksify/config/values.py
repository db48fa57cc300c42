"""How the values of the settings are read, whatever their source.

A text is what options and variables give, the other types are what install() and TOML give; the file's own
distinction between "5" and 5 is not worth an error to anybody.
"""

from __future__ import annotations

from itertools import pairwise
from os import PathLike, fspath

from socksify.config.errors import ConfigError, masked
from socksify.config.ip import parse_ip
from socksify.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_YES = ("yes", "true", "on", "1")
_NO = ("no", "false", "off", "0")


def urls(value: object, source: str) -> tuple[str, ...]:
    """One text, or a list of texts; commas are left to the reading of the chain."""
    return (value,) if isinstance(value, str) else _listed(value, source)


def texts(value: object, source: str) -> tuple[str, ...]:
    """A text with commas, or a list of texts, whose commas are their own."""
    if not isinstance(value, str):
        return _listed(value, source)
    pieces = [piece.strip() for piece in value.split(",")]
    for piece, following in pairwise(pieces):
        # Else the error about half a URL would show half a password.
        if "://" in piece and "@" not in piece and "@" in following and "://" not in following:
            raise ConfigError(f"{source}: {masked(value)!r}: a comma in credentials has to be written %2C")
    return tuple(piece for piece in pieces if piece)


def seconds(value: object, source: str) -> float:
    """A finite number of seconds above 0."""
    try:
        # bool is a number to Python and a slip here.
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise ConfigError(f"{source}: {_shown(value)}: expected a number of seconds above 0, such as 30 or 0.5")
    return number


def yes_or_no(value: object, source: str) -> bool:
    """True or False, or a word for it."""
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, (str, int)) else ""
    if word not in _YES and word not in _NO:
        raise ConfigError(f"{source}: {_shown(value)}: expected yes or no")
    return word in _YES


def ports(value: object, source: str) -> tuple[int, ...]:
    """One TCP port or several: numbers, or texts with commas."""
    listed = value if isinstance(value, (list, tuple)) else (value,)
    words = [word for item in listed for word in (item.split(",") if isinstance(item, str) else (item,))]
    return tuple(_port(word, source) for word in words)


def _port(value: object, source: str) -> int:
    digits = value.strip() if isinstance(value, str) else str(value) if type(value) is int else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and 0 < int(digits) < 65536):
        raise ConfigError(f"{source}: {_shown(value)}: expected a port, 1 to 65535")
    return int(digits)


def one_of(*words: str) -> Callable[[object, str], str]:
    """A reader of one of some words."""

    def read(value: object, source: str) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ConfigError(f"{source}: {_shown(value)}: expected {', '.join(words[:-1])} or {words[-1]}")

    return read


def log(value: object, source: str) -> str:
    """A file's name, or `stderr`, for which `-` stands, too; files of these names are `./stderr` and `./-`."""
    name = path(value, source)
    return "stderr" if name == "-" else name


def path(value: object, source: str) -> str:
    """A file's name, as text or os.PathLike."""
    name = fspath(value) if isinstance(value, (str, PathLike)) else None
    if not isinstance(name, str) or "\0" in name:
        raise ConfigError(f"{source}: {_shown(value)}: expected a file's name")
    return name


def _listed(value: object, source: str) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ConfigError(f"{source}: {_shown(value)}: expected a text or a list of texts")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(masked(value))
    # A table or a list may hold anything, a URL with its password too.
    short = isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 64)
    return repr(value) if short else type(value).__name__


# The networks from which addresses are made up for names that only the proxy can resolve.
#
# 198.18.0.0/15 is set aside for benchmarks (RFC 2544, RFC 6890) and 100::/64 for discarding (RFC 6666): nobody routes
# either, so a fake address that escapes reaches nobody.


FAKE_NETWORKS = Settings.fake_networks

# What a network has to hold, and a prefix cannot be shorter than.
_SMALLEST = 256
_WIDEST = 8


def fake_networks(value: object, source: str) -> tuple[str, str]:
    """One network of each family, IPv4 first; the default one for the family that is not given."""
    given = texts(value, source)
    networks = dict(zip((32, 128), FAKE_NETWORKS, strict=True))
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
    parsed = parse_ip(literal)
    plain = length.isascii() and length.isdecimal() and len(length) <= 3
    if parsed is None or not plain or (":" in literal) != (parsed[0] == 128):
        raise ConfigError(f"{source}: {text!r}: expected a network such as {FAKE_NETWORKS[0]} or {FAKE_NETWORKS[1]}")
    bits, number = parsed
    if not _WIDEST <= int(length) <= bits or 1 << (bits - int(length)) < _SMALLEST:
        raise ConfigError(f"{source}: {text!r}: expected a network of {_SMALLEST} addresses or more, up to /{_WIDEST}")
    if number & ((1 << bits - int(length)) - 1):
        raise ConfigError(f"{source}: {text!r}: has bits behind the network's; write the network's first address")
    return bits
