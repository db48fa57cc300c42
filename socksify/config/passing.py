"""A whole Settings in one environment variable, for child processes.

A child may start in another directory, with other files, or without any environment but what it is given; and files,
NO_PROXY and named proxies have no SOCKSIFY_* that says exactly what they say. So a child is handed the result: the
settings as they are, rules parsed and sources named, in `marshal`'s oldest format in use, which every Python here reads
and which costs no import. It is as trustworthy as PYTHONPATH, beside which it stands.
"""

from __future__ import annotations

from marshal import dumps, loads

from socksify._record import Record
from socksify.config.settings import ConfigError, Proxy, Rule, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VARIABLE = "SOCKSIFY_INHERITED"

_FORMAT = 2
_RECORDS = (Settings, Proxy, Rule)
# A child may find another version of this package, which must not guess.
_SHAPE = tuple(cls._fields for cls in _RECORDS)


class Inherited(Record):
    """What a parent passed on.

    `known` are the SOCKSIFY_* that it had itself, which are in its settings already, `names` the files in which its
    made-up addresses are to be looked up.
    """

    settings: Settings
    known: Mapping[str, str]
    names: tuple[str, ...]


def variables(settings: Settings, environ: Mapping[str, str], names: tuple[str, ...] = ()) -> dict[str, str]:
    """What has to be in a child's environment for load() to give it these settings; `environ` is the parent's own."""
    known = {name: value for name, value in environ.items() if name.startswith("SOCKSIFY_") and name != VARIABLE}
    return {VARIABLE: dumps((_SHAPE, _plain(settings), known, names), _FORMAT).hex()}


def received(environ: Mapping[str, str]) -> Inherited | None:
    """What a parent passed on by variables(); raises ConfigError if it cannot be read."""
    text = environ.get(VARIABLE)
    if not text:
        return None
    try:
        shape, settings, known, names = loads(bytes.fromhex(text))
    except (ValueError, EOFError, TypeError):
        raise ConfigError(f"{VARIABLE}: not what a parent process passes on; expected no such variable") from None
    if shape != _SHAPE:
        raise ConfigError(f"{VARIABLE}: passed on by another version of socksify; install the same one in both places")
    return Inherited(_made(settings), known, names)


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
