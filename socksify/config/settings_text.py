"""Settings as text: the output of --show, and a TOML file for programs that start without a command line.

--show prints the settings in force, each with its source, and the rules in their order. No password is printed: the
shown values are Proxy.url and Rule.text, which contain none.
"""

from __future__ import annotations

from os import curdir, devnull
from os.path import abspath, join

from socksify.config import rules, toml_file
from socksify.config.environ import conflicting
from socksify.config.loader import load
from socksify.config.schema import BY_NAME, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from socksify.config.proxy_url import Proxy
    from socksify.config.settings import Settings

# Rules are shown in a separate list.
_SHOWN = tuple(setting.name for setting in SETTINGS if setting.name not in ("routes", "direct"))
_COLUMN = 1 + max(map(len, _SHOWN))


def show(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the settings as lines of text."""
    shown = _collected(settings, environ)
    lines = [f"{row['name']:<{_COLUMN}}{row['value']}  ({row['source']})" for row in shown["settings"]]
    lines += [f"{'proxies':<{_COLUMN}}{name} = {url}" for name, url in shown["proxies"].items()]
    lines += ["rules, the first match wins:"]
    lines += [f"  {row['rule']}  ({row['source']})" for row in shown["rules"]]
    if shown["taken_out"]:
        lines += [f"taken out of the environment while installed: {', '.join(shown['taken_out'])}"]
    return "\n".join(lines) + "\n"


def show_json(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the settings as JSON: lists `settings` and `rules`, `proxies` by name, and the variables `taken_out`."""
    import json

    return json.dumps(_collected(settings, environ), indent=2) + "\n"


def _collected(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    in_order = (*settings.rules, *rules.BUILT_IN, rules.OWN, settings.default)
    return {
        "settings": [{"name": name} | _value_and_source(settings, name) for name in _SHOWN],
        "proxies": {name: _urls(chain) for name, chain in settings.proxies.items() if "://" not in name},
        "rules": [{"rule": rule.text, "source": rule.source} for rule in in_order],
        "taken_out": list(conflicting(settings, environ)),
    }


def _value_and_source(settings: Settings, name: str) -> dict[str, object]:
    source = settings.sources.get(name, "default")
    if name == "config":
        # The value is the path of the file.
        return {"value": source, "source": "read"} if name in settings.sources else {"value": "none", "source": source}
    value = _urls(settings.proxy) if name == "proxy" else _in_words(getattr(settings, name))
    return {"value": value, "source": source}


def _in_words(value: str | float | bool | tuple[str | int, ...]) -> str | float:
    """Return a value as it is written after the option. An empty value becomes `none` or `off`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return value if value != "" else "off"


def _urls(chain: tuple[Proxy, ...]) -> str:
    return ",".join(hop.url for hop in chain)


def document(arguments: Mapping[str, object], directory: str = curdir) -> tuple[str, bool]:
    """Return a TOML document that means the same as these arguments, and whether it contains a password.

    The content of the file `config` is included. Relative file names are relative to `directory`, and become absolute.
    Raises ConfigError if load() refuses the arguments, for example without a proxy.
    """
    named = str(arguments.get("config", "")) or devnull
    loaded = load({**arguments, "config": named}, {}, directory, caller="command line")
    secret = any(hop.password is not None for chain in (loaded.proxy, *loaded.proxies.values()) for hop in chain)
    given = {name: BY_NAME[name].read(value, name) for name, value in arguments.items() if name != "config"}
    settings = _merged(given, toml_file.read(join(directory, named)))
    log = BY_NAME["log"].read(settings.get("log", "-"), "log")
    if log not in ("", "stderr"):
        settings["log"] = abspath(join(directory, str(log)))
    proxies = settings.pop("proxies", {})
    lines = [f"{name} = {_value(value)}" for name, value in settings.items()]
    if isinstance(proxies, dict) and proxies:
        lines += ["", "[proxies]", *(f"{_text(name)} = {_value(value)}" for name, value in proxies.items())]
    return "\n".join(lines) + "\n", secret


def _merged(given: dict[str, object], file: dict[str, object]) -> dict[str, object]:
    """Combine the arguments with the weaker file. All rules are kept; the rules of the arguments come first."""
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
    """Return a basic string of TOML 1.0. Control characters, quotation marks and backslashes are escaped."""
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else _escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    return f"\\{char}" if char in '"\\' else f"\\U{ord(char):08X}"
