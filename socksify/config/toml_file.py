"""The configuration file: its keys, and how it is read. An example:

proxy = "socks5h://gw:1080"            or a list, first hop first
routes = [".corp.example=direct", "*.onion=tor"]
connect_timeout = 30

[proxies]
tor = "socks5h://127.0.0.1:9050"       or a list
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config import proxy_url
from socksify.config.errors import ConfigError
from socksify.config.proxy_url import Proxy
from socksify.config.rules import RESERVED
from socksify.config.schema import SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = tuple(setting.name for setting in SETTINGS if setting.in_file)
# Characters with a meaning in a VIA or in a list of proxies.
_SEPARATORS = frozenset("+=,:/@#[]")


class File(Record):
    """The content of a file: its unchecked settings, and its named proxies. Without a file, `path` is empty."""

    path: str = ""
    values: Mapping[str, object] = {}
    proxies: Mapping[str, tuple[Proxy, ...]] = {}


def load(path: str) -> File:
    """Return the file at a path. Raises ConfigError, which names the path and the key or the line."""
    return made(path, read(path))


def made(path: str, document: dict[str, object]) -> File:
    """Return the File of a document. Raises ConfigError, which names the path and the key."""
    proxies = document.pop("proxies", {})
    for key in document:
        if key not in _KEYS:
            raise ConfigError(f"{path}: {key!r}: no such key; there are {', '.join(_KEYS)} and the table [proxies]")
    return File(path, document, named(proxies, path))


def read(path: str) -> dict[str, object]:
    """Return the document in a TOML file. Raises ConfigError, which names the path and, for bad TOML, the line."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a TOML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a TOML file that can be read") from None
    return parsed(content, path)


def parsed(content: bytes, path: str) -> dict[str, object]:
    """Return the document in the content of a file. Raises ConfigError, which names the path and the line."""
    # Imported here because most clients start without a file.
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not in UTF-8; expected a TOML file") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; expected a TOML file") from None
    except ValueError as error:
        # tomllib also raises ValueError if a number is longer than Python's limit.
        raise ConfigError(f"{path}: {' '.join(str(error).split())}; expected a TOML file") from None


def named(table: object, path: str) -> dict[str, tuple[Proxy, ...]]:
    """Return the proxies of a table [proxies], by name. Raises ConfigError."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: 'proxies': expected a table of NAME = URL")
    return {name: _proxies(name, value, path) for name, value in table.items()}


def _proxies(name: str, value: object, path: str) -> tuple[Proxy, ...]:
    source = f"{path}: proxies.{name}"
    if not name or name in RESERVED or not name.isprintable() or " " in name or not _SEPARATORS.isdisjoint(name):
        raise ConfigError(
            f"{path}: proxies.{name!r}: expected a name other than {', '.join(RESERVED)}, of plain letters"
        )
    if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(hop, str) for hop in value)):
        raise ConfigError(f"{source}: {type(value).__name__}: expected a URL or a list of URLs")
    return tuple(hop.replace(name=name) for hop in proxy_url.parse_chain(value, source))
