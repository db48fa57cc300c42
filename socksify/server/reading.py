"""How the values of the server's TOML file are read, its rules above all."""

from __future__ import annotations

from os import fsencode

from socksify.config import matching, readers
from socksify.config.addresses import address
from socksify.config.settings import ConfigError
from socksify.config.settings import Rule as Match
from socksify.server.rules import COMMANDS, EVERY_COMMAND, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.server.users import Users

_RULE_KEYS = ("action", "from", "users", "anonymous", "commands", "to", "reserved", "ident")
_FLAGS = ("anonymous", "reserved")
# What they are in the classic file's `?=`.
_IDENT = {"off": "", "if-answered": "i", "required": "I"}


def listen(value: object, source: str) -> tuple[tuple[str, int], ...]:
    """ADDRESS:PORT, one or several."""
    return tuple(_place(text, source) for text in readers.texts(value, source))


def place(value: object, source: str) -> str:
    """ADDRESS:PORT, or nothing."""
    text = readers.path(value, source)
    if text:
        _place(text, source)
    return text


def count(value: object, source: str) -> int:
    """A number from 1."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1024:
        return value
    raise ConfigError(f"{source}: expected a number from 1 to 1024")


def log(value: object, source: str) -> str:
    """stderr, syslog, or syslog:PATH."""
    if value in ("stderr", "syslog") or (isinstance(value, str) and value.startswith("syslog:/")):
        return str(value)
    raise ConfigError(f'{source}: expected "stderr", "syslog" or "syslog:/path/of/a/socket"')


def match_of(text: str, source: str) -> Match:
    """A MATCH as in a client's rules."""
    return Match(text, source, "", **matching.parse(text, source))


def rules(tables: object, path: str, users: Users | None) -> tuple[Rule, ...]:
    """The rules of the array [[rules]]; with `users`, who has not authenticated is permitted nothing by them."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: 'rules': expected tables, each below a line [[rules]]")
    sources = _sources(path, len(tables))
    return tuple(_rule(table, source, users) for table, source in zip(tables, sources, strict=True))


def _sources(path: str, number: int) -> list[str]:
    """Where each of a number of rules begins: its line, or which one it is if they are written in another way."""
    with open(path, encoding="utf-8") as file:
        lines = [at for at, line in enumerate(file, 1) if line.replace(" ", "").startswith("[[rules]]")]
    if len(lines) != number:
        return [f"{path}, rule {at}" for at in range(1, number + 1)]
    return [f"{path}, line {at}" for at in lines]


def _rule(table: dict[str, Any], source: str, users: Users | None) -> Rule:
    for key in table:
        if key not in _RULE_KEYS:
            raise ConfigError(f"{source}: {key!r}: no such key; there are {', '.join(_RULE_KEYS)}")
    if "action" not in table:
        raise ConfigError(f'{source}: expected action = "permit" or action = "deny"')
    permit = readers.one_of("permit", "deny")(table["action"], f"{source}: action") == "permit"
    words = _texts(table, "commands", source)
    commands = frozenset(COMMANDS[readers.one_of(*COMMANDS)(word, f"{source}: commands")] for word in words)
    ident = _IDENT[readers.one_of(*_IDENT)(table.get("ident", "off"), f"{source}: ident")]
    names = _user_names(table, source, users, ident) if "users" in table else None
    anonymous = _flag(table, "anonymous", source)
    reserved = _flag(table, "reserved", source)
    if not permit and (anonymous or reserved or ident):
        raise ConfigError(f"{source}: anonymous, reserved and ident are for rules that permit")
    if anonymous and names is not None:
        raise ConfigError(f"{source}: users and anonymous exclude each other")
    # Whom the client's identd vouches for need not authenticate as well, which SOCKS4 could not.
    claimed = ident == "I" and names is not None
    clients = tuple(_client(text, f"{source}: from") for text in _texts(table, "from", source))
    destinations = tuple(match_of(text, f"{source}: to") for text in _texts(table, "to", source))
    return Rule(
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


def _texts(table: dict[str, Any], key: str, source: str) -> tuple[str, ...]:
    """A list of texts, or one; an empty list, which reads as nobody or nothing, would be taken for all."""
    if key not in table:
        return ()
    texts = readers.texts(table[key], f"{source}: {key}")
    if not texts:
        raise ConfigError(f"{source}: {key}: nothing in it; leave it out to mean all")
    return texts


def _flag(table: dict[str, Any], key: str, source: str) -> bool:
    return readers.yes_or_no(table.get(key, False), f"{source}: {key}")


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
    found = match_of(text, source)
    if found.network is None or found.ports != Match.ports:
        raise ConfigError(f"{source}: {text!r}: expected an address or a network without ports; clients have no names")
    return found


def _text(table: dict[str, Any], source: str) -> str:
    """The rule on one line; its values have been read."""
    words = [table["action"]]
    for key in _RULE_KEYS[1:]:
        if key in _FLAGS:
            words += [key] if _flag(table, key, source) else []
        elif (value := table.get(key, "off")) != "off":
            words.append(f"{key} {value if isinstance(value, str) else ', '.join(value)}")
    return " ".join(words)


def _place(text: str, source: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host if ":" not in host else ""
    if address(host) is None or not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ConfigError(f"{source}: {text!r}: expected ADDRESS:PORT, such as 127.0.0.1:1080 or [::]:1080")
    return host, int(port)
