"""All sources become one Settings: for each setting the strongest source wins, rules of all sources are kept."""

from __future__ import annotations

from socksify._record import Record
from socksify.config import environ as variables
from socksify.config import rules, toml, urls
from socksify.config.settings import ConfigError, Settings
from socksify.config.table import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from socksify.config.environ import Conventional
    from socksify.config.settings import Rule

_NOT_SCALAR = ("proxy", "routes", "direct", "config")


class Layer(Record):
    """One source: its values, checked, by the settings' names, and how it spells each setting in a message."""

    values: Mapping[str, Any]
    spelling: Callable[[str], str]


def load(arguments: Mapping[str, object], environ: Mapping[str, str], directory: str, caller: str) -> Settings:
    """See socksify.config.load()."""
    given = [
        _layer(_keywords(arguments), lambda name: _argument(name, caller)),
        _layer(variables.own(environ), lambda name: BY_NAME[name].variable),
    ]
    config, _ = _strongest("config", given)
    file = toml.find(config, environ, directory)
    layers = [*given, _layer(file.values, lambda name: f"{file.path}: {name}")]
    conventional = None if _has_proxy(layers) else variables.conventional(environ)
    return _settings(layers, conventional, file)


def _settings(layers: list[Layer], conventional: Conventional | None, file: toml.File) -> Settings:
    proxies = dict(file.proxies)
    if conventional is not None:
        proxy, source, exceptions = conventional.proxy, conventional.source, conventional.rules
    else:
        hops, source = _strongest("proxy", layers)
        if not hops:
            raise ConfigError(_NOTHING)
        proxy, exceptions = urls.chain(hops, source, proxies), ()
    written = [rule for layer in layers for rule in _rules(layer, proxies)]
    scalars = {name: _strongest(name, layers) for name in BY_NAME if name not in _NOT_SCALAR}
    sources = {"proxy": source} | {name: origin for name, (_, origin) in scalars.items()}
    if file.path:
        sources["config"] = file.path
    settings = Settings(
        proxy=proxy,
        proxies=proxies,
        rules=(*written, *exceptions),
        sources=sources,
        **{name: value for name, (value, _) in scalars.items()},
    )
    urls.check_isolated(settings.proxy, settings.isolate, sources["isolate"])
    for rule in settings.rules:
        urls.linked(settings.chain(rule.via), rule.source)
    return settings


_NOTHING = (
    "no proxy is configured, and nothing goes out unproxied by accident; set one with --proxy URL,"
    ' SOCKSIFY_PROXY, proxy = "URL" in socksify.toml, or ALL_PROXY (a socks5h:// URL or the like)'
)


def _keywords(arguments: Mapping[str, object]) -> dict[str, object]:
    """The arguments that were given at all."""
    for name in arguments:
        if name not in BY_NAME:
            raise ConfigError(f"{name}: no such setting; there are {', '.join(BY_NAME)}")
    return {name: value for name, value in arguments.items() if value is not None}


def _layer(values: Mapping[str, object], spelling: Callable[[str], str]) -> Layer:
    return Layer({name: BY_NAME[name].read(value, spelling(name)) for name, value in values.items()}, spelling)


def _argument(name: str, caller: str) -> str:
    return BY_NAME[name].option if caller == "command line" else f"{caller}({name}=)"


def _strongest(name: str, layers: list[Layer]) -> tuple[Any, str]:
    """A setting's value and where it came from."""
    for layer in layers:
        if name in layer.values:
            return layer.values[name], layer.spelling(name)
    return BY_NAME[name].default, "default"


def _has_proxy(layers: list[Layer]) -> bool:
    return any("proxy" in layer.values for layer in layers)


def _rules(layer: Layer, proxies: rules.Proxies) -> list[Rule]:
    """One source's rules: what goes where, then what goes direct, so that the short form never outranks the long."""
    routes = [rules.parse(text, layer.spelling("routes"), proxies) for text in layer.values.get("routes", ())]
    return routes + [rules.direct(text, layer.spelling("direct")) for text in layer.values.get("direct", ())]
