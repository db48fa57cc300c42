"""The server's own configuration file.

listen = ["0.0.0.0:1080", "[::]:1080"]
users = "sockd.users"                       made by `sockd passwd`

[[rules]]                                   the first match wins
action = "deny"
to = ["192.168.0.0/16", ":25"]              as in a client's rules: names, networks, ports

[[rules]]
action = "permit"
from = ["10.0.0.0/8"]
"""

from __future__ import annotations

from collections.abc import Callable
from os.path import dirname, join

from socksify.config import readers, toml, urls
from socksify.config import rules as clients
from socksify.config.addresses import address
from socksify.config.settings import ConfigError, Settings
from socksify.server import reading
from socksify.server.configuration import Configuration
from socksify.server.limits import Limits
from socksify.server.policy import Policy
from socksify.server.routes import Routes, Source
from socksify.server.rules import EVERYBODY, LOCAL, Rule
from socksify.server.users import Users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.rules import Proxies

_KEYS = {
    "listen": reading.listen,
    "workers": reading.count,
    "log": reading.log,
    "log_format": readers.one_of("text", "json"),
    "metrics": reading.place,
    "status": readers.path,
}
_POLICY_KEYS = ("users", "proxy", "routes", "sources", "proxies", "limits", "rules")


def load(path: str, is_own: Callable[[str], bool]) -> Configuration:
    """The file at this path; raises ConfigError with the path and the key, and the line of a rule."""
    document = toml.read(path)
    for key in document:
        if key not in _KEYS and key not in _POLICY_KEYS:
            raise ConfigError(f"{path}: {key!r}: no such key; there are {', '.join([*_KEYS, *_POLICY_KEYS])}")
    operation: dict[str, Any] = {
        key: read(document[key], f"{path}: {key}") for key, read in _KEYS.items() if key in document
    }
    users = _users(document["users"], path) if "users" in document else None
    server_rules = reading.rules(document.get("rules", []), path, users)
    policy = Policy(
        _completed(server_rules, users), users, _limits(document.get("limits", {}), path), _routes(document, path), is_own
    )
    return Configuration(policy, guarded=bool(server_rules or users), path=path, **operation)


def _completed(rules: tuple[Rule, ...], users: Users | None) -> tuple[Rule, ...]:
    """The rules with their end: what is permitted that none of them is about."""
    end = LOCAL if rules or users is None else EVERYBODY
    return *rules, end.replace(verified=users is not None)


def _users(value: object, path: str) -> Users:
    # A relative path starts at the file that it is in, wherever the server was started.
    return Users.load(join(dirname(path), readers.path(value, f"{path}: users")))


def _limits(table: object, path: str) -> Limits:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: 'limits': expected a table of NAME = NUMBER")
    for name in table:
        if name not in Limits._fields:
            raise ConfigError(f"{path}: limits.{name!r}: no such limit; there are {', '.join(Limits._fields)}")
    limits: dict[str, Any] = {name: _limit(name, value, f"{path}: limits.{name}") for name, value in table.items()}
    return Limits(**limits)


def _limit(name: str, value: object, source: str) -> float:
    kinds = (int, float) if name.endswith("_seconds") else (int,)
    # bool is an int to Python; no limit is 0 here, and not infinity.
    if isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < 1 << 31:
        return value
    raise ConfigError(f"{source}: expected a {'' if float in kinds else 'whole '}number from 0, which is no limit")


def _routes(document: dict[str, Any], path: str) -> Routes:
    proxies: Proxies = dict(toml.named(document.get("proxies", {}), path))
    proxy = document.get("proxy")
    chain = urls.chain(readers.urls(proxy, f"{path}: proxy"), f"{path}: proxy", proxies) if proxy is not None else ()
    given = readers.texts(document.get("routes", ()), f"{path}: routes")
    written = tuple(clients.parse(text, f"{path}: routes", proxies) for text in given)
    upstream = Settings(proxy=chain, proxies=proxies, rules=written)
    for rule in written:
        urls.linked(upstream.chain(rule.via), rule.source)
    source = f"{path}: sources"
    sources = tuple(_source(text, source) for text in readers.texts(document.get("sources", ()), source))
    return Routes(upstream if chain or written else None, sources)


def _source(text: str, source: str) -> Source:
    """The MATCH=ADDRESS of one text."""
    match, _, literal = text.partition("=")
    if address(literal.strip()) is None:
        raise ConfigError(f"{source}: {text!r}: expected MATCH=ADDRESS, such as *=192.0.2.1")
    return Source(reading.match_of(match.strip(), source), literal.strip())
