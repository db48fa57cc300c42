"""The server's own configuration file, in TOML.

listen = ["0.0.0.0:1080", "[::]:1080"]
users = "sockd.users"                       written by `sockd passwd`

[[rules]]                                   the first match wins
action = "deny"
to = ["192.168.0.0/16", ":25"]              as in a client's rules: names, networks, ports

[[rules]]
action = "permit"
from = ["10.0.0.0/8"]
"""

from __future__ import annotations

from collections.abc import Callable
from os import fsencode
from os.path import dirname, join

from socksify.config import match, proxy_url, toml_file, values
from socksify.config import rules as clients
from socksify.config.errors import ConfigError
from socksify.config.ip import parse_ip
from socksify.config.match import Match
from socksify.config.settings import Settings
from socksify.server.config import LOG_FORMATS, Configuration
from socksify.server.net.addresses import parse_address
from socksify.server.policy.limits import Limits
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import COMMANDS, EVERY_COMMAND, EVERYBODY, LOCAL, AccessRule, Routes, Source
from socksify.server.policy.users import Users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.rules import Proxies

_RULE_KEYS = ("action", "from", "users", "anonymous", "commands", "to", "reserved", "ident")
_FLAGS = ("anonymous", "reserved")
# The value of `ident` in this file, and the letter that means the same in the classic file's `?=`.
_IDENT = {"off": "", "if-answered": "i", "required": "I"}


# The readers of single values. Each raises ConfigError if the value is not valid; the error begins with `source`, which
# names the file and the key.
def listen(value: object, source: str) -> tuple[tuple[str, int], ...]:
    """Return the addresses and ports of ADDRESS:PORT, or of a list of ADDRESS:PORT."""
    return tuple(_address(text, source) for text in values.texts(value, source))


def optional_address(value: object, source: str) -> str:
    """Return the text `value`, which is ADDRESS:PORT or empty."""
    text = values.path(value, source)
    if text:
        _address(text, source)
    return text


def count(value: object, source: str) -> int:
    """Return the number `value`, which is from 1 to 1024."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1024:
        return value
    raise ConfigError(f"{source}: expected a number from 1 to 1024")


def log(value: object, source: str) -> str:
    """Return the text `value`, which is stderr, syslog, or syslog:PATH."""
    if value in ("stderr", "syslog") or (isinstance(value, str) and value.startswith("syslog:/")):
        return str(value)
    raise ConfigError(f'{source}: expected "stderr", "syslog" or "syslog:/path/of/a/socket"')


def _address(text: str, source: str) -> tuple[str, int]:
    try:
        host, port = parse_address(text)
    except ValueError:
        host, port = "", 0
    if parse_ip(host) is None or (":" in host and not text.startswith("[")):
        raise ConfigError(f"{source}: {text!r}: expected ADDRESS:PORT, such as 127.0.0.1:1080 or [::]:1080")
    return host, port


_KEYS = {
    "listen": listen,
    "workers": count,
    "log": log,
    "log_format": values.one_of(*LOG_FORMATS),
    "metrics": optional_address,
    "status": values.path,
}
_POLICY_KEYS = ("users", "proxy", "routes", "sources", "proxies", "limits", "rules")


def load(path: str, is_own: Callable[[str], bool]) -> Configuration:
    """Read the configuration file `path`.

    `is_own` tells if a literal is an address of this machine. Raises ConfigError, whose text names the path and the
    key, and for a rule its line.
    """
    document = toml_file.read(path)
    for key in document:
        if key not in _KEYS and key not in _POLICY_KEYS:
            raise ConfigError(f"{path}: {key!r}: no such key; there are {', '.join([*_KEYS, *_POLICY_KEYS])}")
    operation: dict[str, Any] = {
        key: read(document[key], f"{path}: {key}") for key, read in _KEYS.items() if key in document
    }
    users = _users(document["users"], path) if "users" in document else None
    server_rules = rules(document.get("rules", []), path, users)
    policy = Policy(
        _completed(server_rules, users),
        users,
        _limits(document.get("limits", {}), path),
        _routes(document, path),
        is_own,
    )
    return Configuration(policy, guarded=bool(server_rules or users), path=path, **operation)


def _completed(rules: tuple[AccessRule, ...], users: Users | None) -> tuple[AccessRule, ...]:
    """Add the last rule, which is for requests that no rule of the file matches."""
    end = LOCAL if rules or users is None else EVERYBODY
    return *rules, end.replace(verified=users is not None)


def _users(value: object, path: str) -> Users:
    # A relative path is relative to the configuration file, wherever the server was started.
    return Users.load(join(dirname(path), values.path(value, f"{path}: users")))


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
    # A bool is an int to Python. 0 stands for "no limit"; infinity is not accepted.
    if isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < 1 << 31:
        return value
    raise ConfigError(f"{source}: expected a {'' if float in kinds else 'whole '}number from 0, which is no limit")


def _routes(document: dict[str, Any], path: str) -> Routes:
    proxies: Proxies = dict(toml_file.named(document.get("proxies", {}), path))
    proxy = document.get("proxy")
    chain = (
        proxy_url.parse_chain(values.urls(proxy, f"{path}: proxy"), f"{path}: proxy", proxies)
        if proxy is not None
        else ()
    )
    given = values.texts(document.get("routes", ()), f"{path}: routes")
    written = tuple(clients.parse(text, f"{path}: routes", proxies) for text in given)
    upstream = Settings(proxy=chain, proxies=proxies, rules=written)
    for rule in written:
        proxy_url.check_reachable(upstream.chain(rule.via), rule.source)
    source = f"{path}: sources"
    sources = tuple(_source(text, source) for text in values.texts(document.get("sources", ()), source))
    return Routes(upstream if chain or written else None, sources)


def _source(text: str, source: str) -> Source:
    """Read MATCH=ADDRESS."""
    covered, _, literal = text.partition("=")
    if parse_ip(literal.strip()) is None:
        raise ConfigError(f"{source}: {text!r}: expected MATCH=ADDRESS, such as *=192.0.2.1")
    return Source(match.parse(covered.strip(), source), literal.strip(), covered.strip(), source)


def rules(tables: object, path: str, users: Users | None) -> tuple[AccessRule, ...]:
    """Read the array [[rules]] of the file `path`.

    With `users`, a permitting rule is for authenticated clients only, unless it is `anonymous`, or names users and
    requires ident. Raises ConfigError, whose text names the file and the rule, if a rule is not valid.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: 'rules': expected tables, each below a line [[rules]]")
    sources = _rule_positions(path, len(tables))
    return tuple(_rule(table, source, users) for table, source in zip(tables, sources, strict=True))


def _rule_positions(path: str, number: int) -> list[str]:
    """Return the position of each of `number` rules, for messages: its line, or its number if its line is not known."""
    with open(path, encoding="utf-8") as file:
        lines = [at for at, line in enumerate(file, 1) if line.replace(" ", "").startswith("[[rules]]")]
    if len(lines) != number:
        return [f"{path}, rule {at}" for at in range(1, number + 1)]
    return [f"{path}, line {at}" for at in lines]


def _rule(table: dict[str, Any], source: str, users: Users | None) -> AccessRule:
    permit = _permits(table, source)
    ident = _IDENT[values.one_of(*_IDENT)(table.get("ident", "off"), f"{source}: ident")]
    names = _user_names(table, source, users, ident) if "users" in table else None
    anonymous, reserved = (_flag(table, key, source) for key in _FLAGS)
    if not permit and (anonymous or reserved or ident):
        raise ConfigError(f"{source}: anonymous, reserved and ident are for rules that permit")
    if anonymous and names is not None:
        raise ConfigError(f"{source}: users and anonymous exclude each other")
    # A client whose name the identd confirms need not authenticate as well. SOCKS4 clients could not.
    claimed = ident == "I" and names is not None
    commands = _commands(table, source)
    clients = tuple(_client(text, f"{source}: from") for text in _texts(table, "from", source))
    destinations = tuple(match.parse(text, f"{source}: to") for text in _texts(table, "to", source))
    return AccessRule(
        # `_text` needs valid values, so it is called after all the checks.
        _text(table, source),
        source,
        permit,
        clients=clients,
        users=names,
        verified=permit and users is not None and not anonymous and not claimed,
        claimed=claimed,
        commands=commands or EVERY_COMMAND,
        destinations=destinations,
        reserved=reserved,
        ident=ident,
    )


def _permits(table: dict[str, Any], source: str) -> bool:
    """Read the action. Raises ConfigError without one, and for unknown keys."""
    for key in table:
        if key not in _RULE_KEYS:
            raise ConfigError(f"{source}: {key!r}: no such key; there are {', '.join(_RULE_KEYS)}")
    if "action" not in table:
        raise ConfigError(f'{source}: expected action = "permit" or action = "deny"')
    return values.one_of("permit", "deny")(table["action"], f"{source}: action") == "permit"


def _commands(table: dict[str, Any], source: str) -> frozenset[int]:
    words = _texts(table, "commands", source)
    return frozenset(COMMANDS[values.one_of(*COMMANDS)(word, f"{source}: commands")] for word in words)


def _texts(table: dict[str, Any], key: str, source: str) -> tuple[str, ...]:
    """Return the texts of a key, which has one text or a list of texts.

    An empty list is an error: it reads as "nobody", but a rule without the key means "everybody".
    """
    if key not in table:
        return ()
    texts = values.texts(table[key], f"{source}: {key}")
    if not texts:
        raise ConfigError(f"{source}: {key}: nothing in it; leave it out to mean all")
    return texts


def _flag(table: dict[str, Any], key: str, source: str) -> bool:
    return values.yes_or_no(table.get(key, False), f"{source}: {key}")


def _user_names(table: dict[str, Any], source: str, users: Users | None, ident: str) -> frozenset[bytes]:
    names = frozenset(fsencode(name) for name in _texts(table, "users", source))
    if ident == "I":
        return names
    if users is None:
        raise ConfigError(f'{source}: users: nobody can prove to be one; give a file of users, or ident = "required"')
    for name in sorted(names):
        if name not in users:
            raise ConfigError(f"{source}: users: {name.decode('utf-8', 'replace')!r} is not in the file of users")
    return names


def _client(text: str, source: str) -> Match:
    found = match.parse(text, source)
    if found.network is None or found.ports != Match.ports:
        raise ConfigError(f"{source}: {text!r}: expected an address or a network without ports; clients have no names")
    return found


def _text(table: dict[str, Any], source: str) -> str:
    """Return a rule as one line of text. All its values must be valid."""
    words = [table["action"]]
    for key in _RULE_KEYS[1:]:
        if key in _FLAGS:
            words += [key] if _flag(table, key, source) else []
        elif (value := table.get(key, "off")) != "off":
            words.append(f"{key} {value if isinstance(value, str) else ', '.join(value)}")
    return " ".join(words)
