"""Reads the values of settings, from any source. Each function returns the value in its type, or raises ConfigError.

Options and variables give texts; install() and TOML also give other types. "5" in a file is accepted for 5. `source`
names the setting in the error.

Fake addresses come from networks that nobody routes: 198.18.0.0/15 is reserved for benchmarks (RFC 2544, RFC 6890) and
100::/64 for discarded packets (RFC 6666). A packet to a fake address therefore reaches no host.
"""

from __future__ import annotations

from itertools import pairwise
from os import PathLike, fspath

from socksify.config.errors import ConfigError, masked
from socksify.config.ip import parse_ip
from socksify.config.proxy_url import Malformed, host_and_port
from socksify.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# The default networks of fake addresses.
FAKE_NETWORKS = Settings.fake_networks
# The smallest number of addresses in such a network, and the shortest prefix.
_SMALLEST = 256
_WIDEST = 8
# The port of name servers.
_DOMAIN = 53
_YES = ("yes", "true", "on", "1")
_NO = ("no", "false", "off", "0")


def urls(value: object, source: str) -> tuple[str, ...]:
    """Return a text, or a list of texts, as a tuple. Commas in a text are kept for parse_chain()."""
    return (value,) if isinstance(value, str) else _listed(value, source)


def texts(value: object, source: str) -> tuple[str, ...]:
    """Return the pieces of a text with commas, or the items of a list, which may contain commas."""
    if not isinstance(value, str):
        return _listed(value, source)
    pieces = [piece.strip() for piece in value.split(",")]
    for piece, following in pairwise(pieces):
        # Without this check, the error about half a URL would show half a password.
        if "://" in piece and "@" not in piece and "@" in following and "://" not in following:
            raise ConfigError(f"{source}: {masked(value)!r}: a comma in credentials has to be written %2C")
    return tuple(piece for piece in pieces if piece)


def seconds(value: object, source: str) -> float:
    """Return a finite number of seconds above 0."""
    try:
        # A bool is a number in Python, but a mistake here.
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise ConfigError(f"{source}: {_shown(value)}: expected a number of seconds above 0, such as 30 or 0.5")
    return number


def yes_or_no(value: object, source: str) -> bool:
    """Return a bool, or the meaning of a word such as yes, no, on or off."""
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, (str, int)) else ""
    if word not in _YES and word not in _NO:
        raise ConfigError(f"{source}: {_shown(value)}: expected yes or no")
    return word in _YES


def ports(value: object, source: str) -> tuple[int, ...]:
    """Return one or more TCP ports. `value` is a number, a text with commas, or a list of numbers or texts."""
    listed = value if isinstance(value, (list, tuple)) else (value,)
    words = [word for item in listed for word in (item.split(",") if isinstance(item, str) else (item,))]
    return tuple(_port(word, source) for word in words)


def _port(value: object, source: str) -> int:
    digits = value.strip() if isinstance(value, str) else str(value) if type(value) is int else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and 0 < int(digits) < 65536):
        raise ConfigError(f"{source}: {_shown(value)}: expected a port, 1 to 65535")
    return int(digits)


def name_server(value: object, source: str) -> str:
    """Return `host:port` for the text `host[:port]`, with an IPv6 address in brackets; "" for "", which is none."""
    if value == "":
        return ""
    try:
        host, port = host_and_port(value.strip() if isinstance(value, str) else "", _DOMAIN)
    except Malformed as problem:
        raise ConfigError(f"{source}: {_shown(value)}: {problem}") from None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def one_of(*words: str) -> Callable[[object, str], str]:
    """Return a reader that accepts one of these words."""

    def read(value: object, source: str) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ConfigError(f"{source}: {_shown(value)}: expected {', '.join(words[:-1])} or {words[-1]}")

    return read


def log(value: object, source: str) -> str:
    """Return `stderr` (also written `-`), or the path of a file. Files of these names are `./stderr` and `./-`."""
    name = path(value, source)
    return "stderr" if name == "-" else name


def path(value: object, source: str) -> str:
    """Return the path of a file, from a text or an os.PathLike."""
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
    # A table or a list is not shown, because it may contain a URL with its password.
    short = isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 64)
    return repr(value) if short else type(value).__name__


def fake_networks(value: object, source: str) -> tuple[str, str]:
    """Return one network of IPv4 and one network of IPv6. A family that is not given has its default network."""
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
    """Return 32 for an IPv4 network, and 128 for an IPv6 network. Raises ConfigError if the text is no network."""
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
