"""A whole Settings in an environment variable, for child processes.

A child may start in another directory, with other files, or without any environment but what it is given; and files,
NO_PROXY and named proxies have no SOCKSIFY_* that says exactly what they say. So a child is handed the result: the
settings as they are, rules parsed and sources named, in `marshal`'s oldest format in use, which every Python here reads
and which costs no import. Long ones are compressed, and go on in further variables. Where there are
credentials in it, it is sealed. It is as trustworthy as PYTHONPATH, beside which it stands.
"""

from __future__ import annotations

import sys
from itertools import count, takewhile
from marshal import dumps, loads

from socksify._record import Record
from socksify.config.errors import ConfigError
from socksify.config.match import Match
from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Followed by SOCKSIFY_INHERITED_1 and so on.
VARIABLE = "SOCKSIFY_INHERITED"

# Characters. execve(2): a string may be no longer than 32 pages (MAX_ARG_STRLEN), 128 KiB where they are of 4.
_LENGTH = 100_000
# What zlib's begin with (RFC 1950, a window of 32 KiB), and no tuple of marshal's.
_COMPRESSED = b"\x78"
# What sealing.sealed() has made follows it; no tuple of marshal's begins with it either.
_SEALED = b"\x01"
_FORMAT = 2
_RECORDS = (Settings, Proxy, Rule, Match)


class Inherited(Record):
    """What a parent passed on.

    `known` are the SOCKSIFY_* that it had itself, which are in its settings already, `names` the files in which its
    fake addresses are to be looked up, `library` the directory that has what we depend on.
    """

    settings: Settings
    known: Mapping[str, str]
    names: tuple[str, ...]
    library: str


# A child may find another version of this package, which must not guess.
_SHAPE = tuple(cls._fields for cls in (*_RECORDS, Inherited))


def variables(
    settings: Settings, environ: Mapping[str, str], names: tuple[str, ...] = (), library: str = ""
) -> dict[str, str]:
    """What has to be in a child's environment for load() to give it these settings; `environ` is the parent's own."""
    known = {
        name: value for name, value in environ.items() if name.startswith("SOCKSIFY_") and not name.startswith(VARIABLE)
    }
    data = dumps((_SHAPE, _plain(settings), known, names, library), _FORMAT)
    if 2 * len(data) > _LENGTH:
        from zlib import compress

        data = compress(data)
    if has_credentials(settings, known):
        from socksify.config import sealing

        data = _SEALED + sealing.sealed(data)
    text = data.hex()
    parts = [text[start : start + _LENGTH] for start in range(0, len(text), _LENGTH)]
    return {_name(number): part for number, part in enumerate(parts)}


def has_credentials(settings: Settings, known: Mapping[str, str]) -> bool:
    """Whether anything in it is nobody else's business; a URL in a variable may hold a password."""
    hops = (hop for chain in (settings.proxy, *settings.proxies.values()) for hop in chain)
    return any(hop.user is not None or hop.password is not None for hop in hops) or "@" in "".join(known.values())


def can_be_received() -> bool:
    """Whether a child that is started now can read what variables() made last."""
    sealing = sys.modules.get("socksify.config.sealing")
    return sealing is None or sealing.is_kept()


def _name(number: int) -> str:
    return f"{VARIABLE}_{number}" if number else VARIABLE


def received(environ: Mapping[str, str]) -> Inherited | None:
    """What a parent passed on by variables(); raises ConfigError if it cannot be read."""
    if not environ.get(VARIABLE):
        return None
    parts = takewhile(bool, (environ.get(_name(number), "") for number in count()))
    try:
        shape, *values = loads(_expanded(bytes.fromhex("".join(parts))))
    except ConfigError as error:
        raise ConfigError(f"{VARIABLE}: {error}") from None
    except (ValueError, EOFError, TypeError):
        raise ConfigError(f"{VARIABLE}: not what a parent process passes on; expected no such variable") from None
    if shape != _SHAPE:
        raise ConfigError(f"{VARIABLE}: passed on by another version of socksify; install the same one in both places")
    settings, *others = values
    return Inherited(_made(settings), *others)


def _expanded(data: bytes) -> bytes:
    if data.startswith(_SEALED):
        from socksify.config import sealing

        data = sealing.opened(data[len(_SEALED) :])
    if not data.startswith(_COMPRESSED):
        return data
    from zlib import decompressobj, error

    try:
        # What follows its end is left of a longer one, that of a grandparent.
        return decompressobj().decompress(data)
    except error:
        raise ValueError from None


def _plain(value: Any) -> Any:
    """Records as lists, which no setting is, with the place of their class in front."""
    if isinstance(value, Record):
        return [_RECORDS.index(type(value)), *map(_plain, value._values())]
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return _RECORDS[value[0]](*map(_made, value[1:]))
    if isinstance(value, tuple):
        return tuple(map(_made, value))
    return {name: _made(item) for name, item in value.items()} if isinstance(value, dict) else value
