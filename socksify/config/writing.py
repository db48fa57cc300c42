"""The settings of a command line as a TOML file, for programs that start without that command line."""

from __future__ import annotations

from os import curdir, devnull
from os.path import abspath, join

from socksify.config import toml
from socksify.config.loading import load
from socksify.config.table import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def document(arguments: Mapping[str, object], directory: str = curdir) -> tuple[str, bool]:
    """What load() reads back as these arguments and nothing else, and whether there is a password in it.

    The file that `config` names is copied into it. Relative names of files are made absolute, from `directory` on.
    Raises ConfigError for what load() would refuse, a missing proxy too.
    """
    named = str(arguments.get("config", "")) or devnull
    loaded = load({**arguments, "config": named}, {}, directory, caller="command line")
    secret = any(hop.password is not None for chain in (loaded.proxy, *loaded.proxies.values()) for hop in chain)
    given = {name: BY_NAME[name].read(value, name) for name, value in arguments.items() if name != "config"}
    settings = _merged(given, toml.read(join(directory, named)))
    log = BY_NAME["log"].read(settings.get("log", "-"), "log")
    if log not in ("", "stderr"):
        settings["log"] = abspath(join(directory, str(log)))
    proxies = settings.pop("proxies", {})
    lines = [f"{name} = {_value(value)}" for name, value in settings.items()]
    if isinstance(proxies, dict) and proxies:
        lines += ["", "[proxies]", *(f"{_text(name)} = {_value(value)}" for name, value in proxies.items())]
    return "\n".join(lines) + "\n", secret


def _merged(given: dict[str, object], file: dict[str, object]) -> dict[str, object]:
    """The stronger of both, and all rules: the command line's `direct` outranks the file's routes."""
    stronger = [*_listed(given.get("routes")), *(f"{match}=direct" for match in _listed(given.get("direct")))]
    merged = {**file, **{name: value for name, value in given.items() if name not in ("routes", "direct")}}
    routes = BY_NAME["routes"].read(file["routes"], "routes") if "routes" in file else ()
    if stronger or routes:
        merged["routes"] = [*stronger, *_listed(routes)]
    return merged


def _listed(values: object) -> tuple[str, ...]:
    return values if isinstance(values, tuple) else ()


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """TOML 1.0, basic strings: what is a control character, a quotation mark or a backslash is escaped."""
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else _escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    return f"\\{char}" if char in '"\\' else f"\\U{ord(char):08X}"
