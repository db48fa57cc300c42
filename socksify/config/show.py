"""What --show prints: the settings in force, each with its source, and the rules in the order in which they apply.

Passwords appear nowhere: the values shown are Proxy.url and Rule.text, which hold none.
"""

from __future__ import annotations

from socksify.config import rules
from socksify.config.environ import conflicting
from socksify.config.table import SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from socksify.config.settings import Proxy, Settings

# The rules have a list of their own.
_SHOWN = tuple(setting.name for setting in SETTINGS if setting.name not in ("routes", "direct"))
_COLUMN = 1 + max(map(len, _SHOWN))


def show(settings: Settings, environ: Mapping[str, str]) -> str:
    """The settings as lines of text."""
    shown = _collected(settings, environ)
    lines = [f"{row['name']:<{_COLUMN}}{row['value']}  ({row['source']})" for row in shown["settings"]]
    lines += [f"{'proxies':<{_COLUMN}}{name} = {url}" for name, url in shown["proxies"].items()]
    lines += ["rules, the first match wins:"]
    lines += [f"  {row['rule']}  ({row['source']})" for row in shown["rules"]]
    if shown["taken_out"]:
        lines += [f"taken out of the environment while installed: {', '.join(shown['taken_out'])}"]
    return "\n".join(lines) + "\n"


def show_json(settings: Settings, environ: Mapping[str, str]) -> str:
    """The same as JSON: objects `settings` and `rules` in lists, `proxies` by name, `taken_out` the variables."""
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
        # Where the file's values came from is the file itself.
        return {"value": source, "source": "read"} if name in settings.sources else {"value": "none", "source": source}
    value = _urls(settings.proxy) if name == "proxy" else _in_words(getattr(settings, name))
    return {"value": value, "source": source}


def _in_words(value: str | float | bool | tuple[str | int, ...]) -> str | float:
    """As the option would be given it, and a word for what is empty."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return value if value != "" else "off"


def _urls(chain: tuple[Proxy, ...]) -> str:
    return ",".join(hop.url for hop in chain)
