"""Complete settings in an environment variable, for child processes.

A child process may start in another directory, with other files, or with a new environment. The SOCKSIFY_* variables
cannot express everything that files, NO_PROXY and named proxies can. Therefore a child gets the final settings, with
parsed rules and named sources. They are in an old format of `marshal`, which every supported Python reads without an
import. Long settings are compressed, and continue in further variables. Settings with credentials are encrypted. The
variable is as trustworthy as PYTHONPATH, which is in the same environment.
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

# Long data continues in SOCKSIFY_INHERITED_1 and so on.
VARIABLE = "SOCKSIFY_INHERITED"
# In a sealed process: the number under which the supervisor of the seal knows the settings.
SCOPE = "SOCKSIFY_INHERITED_VIA"

# In characters. execve(2): a string has at most 32 pages (MAX_ARG_STRLEN), which is 128 KiB with pages of 4 KiB.
_LENGTH = 100_000
# Compressed data begins with this byte (RFC 1950, a window of 32 KiB), and a tuple of `marshal` does not.
_COMPRESSED = b"\x78"
# Encrypted data (encryption.encrypt) follows this byte. No tuple of `marshal` begins with it.
_ENCRYPTED = b"\x01"
_FORMAT = 2
_RECORDS = (Settings, Proxy, Rule, Match)


class Inherited(Record):
    """The data that a parent process has passed on.

    `known` are the SOCKSIFY_* variables of the parent; its settings contain their values already. `names` are the
    tables of its fake addresses. `library` is the directory with the libraries that socksify depends on.
    """

    settings: Settings
    known: Mapping[str, str]
    names: tuple[str, ...]
    library: str


# The fields of all records. A child that imports another version of this package refuses data with other fields.
_SHAPE = tuple(cls._fields for cls in (*_RECORDS, Inherited))


def variables(
    settings: Settings, environ: Mapping[str, str], names: tuple[str, ...] = (), library: str = ""
) -> dict[str, str]:
    """Return the variables from which load() in a child process reads these settings.

    `environ` is the parent's environment, `names` are the tables of its fake addresses, and `library` is the directory
    with the libraries that socksify depends on.
    """
    known = {
        name: value for name, value in environ.items() if name.startswith("SOCKSIFY_") and not name.startswith(VARIABLE)
    }
    data = dumps((_SHAPE, _plain(settings), known, names, library), _FORMAT)
    if 2 * len(data) > _LENGTH:
        from zlib import compress

        data = compress(data)
    if has_credentials(settings, known):
        from socksify.config import encryption

        data = _ENCRYPTED + encryption.encrypt(data)
    text = data.hex()
    parts = [text[start : start + _LENGTH] for start in range(0, len(text), _LENGTH)]
    return {_name(number): part for number, part in enumerate(parts)}


def encoded(settings: Settings) -> bytes:
    """Return settings as the supervisor of a sealed process tree reads them. Equal settings give equal bytes.

    The sources are left out, because they decide nothing.
    """
    return dumps((_SHAPE, _plain(settings.replace(sources={}))), _FORMAT)


def decoded(value: Any) -> Settings:
    """Return the settings that `encoded` has written, from the value in its bytes.

    Raises ValueError, TypeError or IndexError for any other value. The types of the fields are not checked.
    """
    shape, settings = value
    if shape != _SHAPE:
        raise ValueError("written by another version of socksify")
    made: Settings = _made(settings)
    return made


def has_credentials(settings: Settings, known: Mapping[str, str]) -> bool:
    """Return True if the settings or the variables `known` contain credentials.

    An `@` in a variable counts, because a URL in the variable may have a password.
    """
    hops = (hop for chain in (settings.proxy, *settings.proxies.values()) for hop in chain)
    return any(hop.user is not None or hop.password is not None for hop in hops) or "@" in "".join(known.values())


def can_be_received() -> bool:
    """Return True if a child that is started now can decrypt the latest result of variables()."""
    encryption = sys.modules.get("socksify.config.encryption")
    return encryption is None or encryption.can_be_decrypted()


def _name(number: int) -> str:
    return f"{VARIABLE}_{number}" if number else VARIABLE


def received(environ: Mapping[str, str]) -> Inherited | None:
    """Return the data of the parent, or None if there is none. Raises ConfigError if the data cannot be read."""
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
    if data.startswith(_ENCRYPTED):
        from socksify.config import encryption

        data = encryption.decrypt(data[len(_ENCRYPTED) :])
    if not data.startswith(_COMPRESSED):
        return data
    from zlib import decompressobj, error

    try:
        # Bytes after the end are ignored: they belong to longer settings of a grandparent.
        return decompressobj().decompress(data)
    except error:
        raise ValueError from None


def _plain(value: Any) -> Any:
    """Return a value with each Record as a list: the index of its class, then its fields. No setting is a list."""
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
