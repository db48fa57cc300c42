"""Combines all sources into one Settings: the strongest source of each setting wins, and all rules are kept."""

from __future__ import annotations

import sys
from os.path import join, lexists

from socksify._record import Record
from socksify.config import environ as variables
from socksify.config import file_search, proxy_url, rules, toml_file
from socksify.config import inherited as config_inherited
from socksify.config.errors import ConfigError
from socksify.config.schema import BY_NAME
from socksify.config.settings import Settings, without_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from socksify.config.rules import Rule

_NOT_SCALAR = ("proxy", "routes", "direct", "config")


class Layer(Record):
    """One source: its checked values by the names of the settings, and its spelling of each setting in messages."""

    values: Mapping[str, Any]
    spelling: Callable[[str], str]


def load(
    arguments: Mapping[str, object], environ: Mapping[str, str], directory: str, caller: str, in_force: str = ""
) -> Settings:
    """Return the settings in force, see socksify.config.load()."""
    inherited = config_inherited.received(environ)
    known = inherited.known if inherited is not None else {}
    given = [
        _layer(_keywords(arguments), lambda name: _argument(name, caller)),
        _layer(variables.own(environ, known), lambda name: BY_NAME[name].variable),
    ]
    config = next((layer.values["config"] for layer in given if "config" in layer.values), "")
    if config or inherited is None:
        file = file_search.find(config, environ, directory, _proxy_source(given), _tell)
    else:
        file = toml_file.File()
    if file.path == join(directory, file_search.NAME) and not config:
        _tell_displaced(file.path, in_force, environ)
    layers = [*given, _layer(file.values, lambda name: f"{file.path}: {name}")]
    names_proxy = any("proxy" in layer.values for layer in layers)
    if inherited is None:
        base = _base(names_proxy, environ)
    else:
        base = without_block(inherited.settings) if names_proxy else inherited.settings
    return _settings(layers, base, file, directory)


def _proxy_source(given: list[Layer]) -> str:
    """Return the source that names a proxy and is stronger than a file; "" without any."""
    return next((layer.spelling("proxy") for layer in given if "proxy" in layer.values), "")


def _tell_displaced(path: str, in_force: str, environ: Mapping[str, str]) -> None:
    """Tell the user if the proxy of the working directory's file replaces the proxy of another source."""
    users = file_search.users_path(environ)
    in_force = in_force or _of_hook()
    displaced = in_force if in_force and not in_force.startswith(path) else ""
    displaced = displaced or (users if users and lexists(users) else "") or variables.naming(environ)
    if displaced:
        _tell(f"{path}: its proxy takes the place of that of {displaced}")


def _of_hook() -> str:
    """Return the source of the proxy of the hook in this process; "" if there is no hook, or the hook is off."""
    hook = sys.modules.get("socksify_hook")
    if getattr(hook, "state", "off").partition(":")[0] not in ("waiting", "installing", "installed"):
        return ""
    # The variables of the parent process outrank a file.
    if getattr(hook, "environ", {}).get(config_inherited.VARIABLE):
        return "the parent process"
    return getattr(hook, "settings", "") if getattr(hook, "settings_installed", False) else ""


# The lines that this process has written.
_told: set[str] = set()


def _tell(line: str) -> None:
    """Write a line to stderr, once in a process."""
    if line in _told or sys.stderr is None:
        return
    _told.add(line)
    try:
        sys.stderr.write(f"socksify: {line}\n")
    except (OSError, ValueError):  # stderr is closed, or its reader has gone
        pass


def _base(names_proxy: bool, environ: Mapping[str, str]) -> Settings:
    """Return the defaults and, if no layer names a proxy, the conventional variables."""
    conventional = None if names_proxy else variables.conventional(environ)
    if conventional is None:
        return Settings(proxy=())
    sources = {"proxy": conventional.source}
    return Settings(proxy=conventional.proxy, rules=conventional.rules, sources=sources)


def _settings(layers: list[Layer], base: Settings, file: toml_file.File, directory: str) -> Settings:
    proxies = {**base.proxies, **file.proxies}
    hops, source = _strongest("proxy", layers, base)
    # A process that was started in a block with VIA "block" needs no proxy.
    if not hops and base.default.via != "block":
        raise ConfigError(_NOTHING)
    # The hops of a layer are texts, the hops of `base` are proxies.
    proxy = hops if hops is base.proxy else proxy_url.parse_chain(hops, source, proxies)
    written = [rule for layer in layers for rule in _rules(layer, proxies)]
    scalars = {name: _strongest(name, layers, base) for name in BY_NAME if name not in _NOT_SCALAR}
    scalars["log"] = (_absolute(scalars["log"][0], directory), scalars["log"][1])
    sources = {**base.sources, "proxy": source} | {name: origin for name, (_, origin) in scalars.items()}
    if file.path:
        sources["config"] = file.path
    settings = Settings(
        proxy=proxy,
        proxies=proxies,
        rules=(*written, *base.rules),
        default=base.default,
        sources=sources,
        **{name: value for name, (value, _) in scalars.items()},
    )
    proxy_url.check_isolated(settings.proxy, settings.isolate, sources["isolate"])
    for rule in settings.rules:
        proxy_url.check_reachable(settings.chain(rule.via), rule.source)
    return settings


def _absolute(log: str, directory: str) -> str:
    """Return the absolute path of the log, because the program or a child may change its working directory."""
    return join(directory, log) if log and log != "stderr" else log


_NOTHING = (
    "no proxy is configured, and nothing goes out unproxied by accident; set one with --proxy URL,"
    ' SOCKSIFY_PROXY, proxy = "URL" in socksify.toml, or ALL_PROXY (a socks5h:// URL or the like)'
)


def _keywords(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments that were given. Raises ConfigError for an unknown name."""
    for name in arguments:
        if name not in BY_NAME:
            raise ConfigError(f"{name}: no such setting; there are {', '.join(BY_NAME)}")
    return {name: value for name, value in arguments.items() if value is not None}


def _layer(values: Mapping[str, object], spelling: Callable[[str], str]) -> Layer:
    return Layer({name: BY_NAME[name].read(value, spelling(name)) for name, value in values.items()}, spelling)


def _argument(name: str, caller: str) -> str:
    return BY_NAME[name].option if caller == "command line" else f"{caller}({name}=)"


def _strongest(name: str, layers: list[Layer], base: Settings) -> tuple[Any, str]:
    """Return the value of a setting, and its source."""
    for layer in layers:
        if name in layer.values:
            return layer.values[name], layer.spelling(name)
    return getattr(base, name), base.sources.get(name, "default")


def _rules(layer: Layer, proxies: rules.Proxies) -> list[Rule]:
    """Return the rules of a source: `routes`, and then `direct`."""
    routes = [rules.parse(text, layer.spelling("routes"), proxies) for text in layer.values.get("routes", ())]
    return routes + [rules.parse_direct(text, layer.spelling("direct")) for text in layer.values.get("direct", ())]
