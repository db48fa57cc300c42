"""The original server's files: the rules of sockd.conf(5), and the source addresses of sockd.route(5).

    permit|deny [?=I|i|n] [*=userlist] src_addr src_mask [[dst_addr dst_mask] [op dst_port]] [: shell_cmd]
    interface_address dst_addr dst_mask

The first line that matches decides. A request that no line matches is denied. The original server ignored lines that it
could not read. Here such a line is an error, because it might have been meant to deny something.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from socket import getservbyname

from socksify.config import match
from socksify.config.errors import ConfigError
from socksify.config.ip import looks_numeric, parse_ip
from socksify.config.match import EVERY_PORT, EVERYTHING, Match
from socksify.server.config import Configuration
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import AccessRule, Routes, Source

_ACTIONS = {"permit": True, "deny": False}
_IDENT = {"I": "I", "i": "i", "n": "", "": ""}
_OPERATORS: dict[str, Callable[[int], list[tuple[int, int]]]] = {
    "eq": lambda port: [(port, port)],
    "neq": lambda port: [(0, port - 1), (port + 1, 65535)],
    "lt": lambda port: [(0, port - 1)],
    "gt": lambda port: [(port + 1, 65535)],
    "le": lambda port: [(0, port)],
    "ge": lambda port: [(port, 65535)],
}
# These lines look like comments. They are shell commands for clients without an identd, or with a wrong name.
_HIDDEN_COMMANDS = ("#NO_IDENTD:", "#BAD_ID:")
_FORM = "permit|deny [?=I|i|n] [*=USERS] SRC MASK [DST MASK] [eq|neq|lt|gt|le|ge PORT]"


def load(
    conf_path: str, route_path: str | None, is_own: Callable[[str], bool], allow_unsupported: bool
) -> Configuration:
    """Read the rules of a sockd.conf, and the source addresses of a sockd.route.

    `conf_path` and `route_path` are the paths of the two files; `route_path` is None without a sockd.route. `is_own`
    returns True for a literal that is an address of this machine. With `allow_unsupported`, the shell commands of rules
    are ignored, and the rules are obeyed. Raises ConfigError, whose text names the file and the line.
    """
    rules = tuple(_rules(conf_path, allow_unsupported))
    sources = tuple(_sources(route_path)) if route_path is not None else ()
    policy = Policy(rules, routes=Routes(None, sources), is_own=is_own)
    return Configuration(policy, guarded=True, path=conf_path)


def user_files(conf_path: str) -> list[str]:
    """Return the paths of the user lists that a sockd.conf names. Raises ConfigError if the file cannot be read."""
    words = (word for _, line in _lines(conf_path) for word in _split(line)[0].split() if word.startswith("*="))
    return [item for word in words for item in word[2:].split(",") if item.startswith("/")]


def _rules(path: str, allow_unsupported: bool) -> Iterator[AccessRule]:
    for source, line in _lines(path):
        statement, command = _split(line)
        if (command or line.startswith(_HIDDEN_COMMANDS)) and not allow_unsupported:
            raise ConfigError(f"{source}: shell commands are not run here; take it out, or say --allow-unsupported")
        words = statement.split()
        if words:
            yield _rule(words, source)


def _sources(path: str) -> Iterator[Source]:
    for source, line in _lines(path):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3 or _ipv4(words[0]) is None:
            raise ConfigError(f"{source}: expected INTERFACE_ADDRESS DST MASK")
        yield Source(_destination(words[1], words[2], source), words[0], " ".join(words[1:]), source)


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """Yield the position of each line, for messages, and the line."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                yield f"{path}, line {number}", line.rstrip("\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a file that can be read") from None


def _split(line: str) -> tuple[str, str]:
    """Split a line into statement and shell command. A # starts a comment in the statement only."""
    statement, colon, command = line.partition(":")
    if "#" in statement:
        return statement.partition("#")[0], ""
    return statement, colon and command.strip()


def _rule(words: list[str], source: str) -> AccessRule:
    rest = words.copy()
    permit = _ACTIONS.get(rest.pop(0))
    if permit is None:
        raise ConfigError(f"{source}: expected {_FORM}")
    ident = _IDENT.get(_option("?=", rest))
    if ident is None:
        raise ConfigError(f"{source}: behind ?= expected I, i or n")
    userlist = _option("*=", rest)
    return AccessRule(
        " ".join(words),
        source,
        permit,
        clients=_clients(_pair(rest, source), source),
        users=_users(userlist, source) if userlist else None,
        claimed=True,
        destinations=_destinations(rest, source, permit),
        # The servers of rcmd(3) refuse clients that do not come from a reserved source port.
        reserved=permit,
        ident=ident if permit else "",
    )


def _option(prefix: str, rest: list[str]) -> str:
    """Take the option with this prefix from the front of the words, and return its value; "" without the option."""
    return rest.pop(0)[len(prefix) :] if rest and rest[0].startswith(prefix) else ""


def _destinations(rest: list[str], source: str, permit: bool) -> tuple[Match, ...]:
    """Read the end of a line: a destination, and an operator with a port, each of which may be missing."""
    destination = EVERYTHING
    if rest and rest[0] not in _OPERATORS:
        destination = _destination(*_pair(rest, source), source)
    if destination.network is None and destination != EVERYTHING and not permit:
        raise ConfigError(f"{source}: a name that is denied can be reached by its address; deny that")
    ports = _ports(_pair(rest, source), source) if rest else []
    if rest:
        raise ConfigError(f"{source}: expected {_FORM}")
    return _matches(destination, ports)


def _pair(rest: list[str], source: str) -> tuple[str, str]:
    if len(rest) < 2:
        raise ConfigError(f"{source}: expected {_FORM}")
    return rest.pop(0), rest.pop(0)


def _clients(pair: tuple[str, str], source: str) -> tuple[Match, ...]:
    network = _network(*pair, source)
    return (Match(network=network),) if network else ()


def _destination(host: str, mask: str, source: str) -> Match:
    """Read a DST and its mask: a network, everything, or (since version 4.3) a name, whose mask has no meaning."""
    if not looks_numeric(host):
        return match.parse(host, source)
    network = _network(host, mask, source)
    return Match(network=network)


def _network(host: str, mask: str, source: str) -> tuple[int, int, int] | None:
    """Return the network in the form that rules use. None stands for the mask 0.0.0.0: all addresses, also IPv6."""
    number, bits = _ipv4(host), _ipv4(mask)
    if number is None or bits is None:
        raise ConfigError(f"{source}: {host} {mask}: expected an IPv4 address and a mask such as 255.255.255.0")
    # sockd.conf(5): "Bits in dst_mask that are set to 0 indicate the bit positions to be ignored", in both addresses.
    return (32, bits, number & bits) if bits else None


def _ports(pair: tuple[str, str], source: str) -> list[tuple[int, int]]:
    operator, text = pair
    if operator not in _OPERATORS:
        raise ConfigError(f"{source}: {operator!r}: expected {', '.join(_OPERATORS)}")
    ranges = [(low, high) for low, high in _OPERATORS[operator](_port(text, source)) if low <= high]
    if not ranges:
        raise ConfigError(f"{source}: {operator} {text}: there is no such port")
    return ranges


def _port(text: str, source: str) -> int:
    try:
        port = int(text) if text.isascii() and text.isdecimal() else getservbyname(text, "tcp")
    except OSError:
        raise ConfigError(f"{source}: {text!r}: expected a port, or the name of a TCP service") from None
    if port > EVERY_PORT[1]:
        raise ConfigError(f"{source}: {text}: ports are 0 to {EVERY_PORT[1]}")
    return port


def _matches(destination: Match, ports: list[tuple[int, int]]) -> tuple[Match, ...]:
    if destination == EVERYTHING and not ports:
        return ()
    return tuple(destination.replace(ports=span) for span in ports or [EVERY_PORT])


def _users(userlist: str, source: str) -> frozenset[bytes]:
    """Return the users of a list. An item of the list is a user, or the path of a file that names users.

    sockd.conf(5): "filenames must be full pathnames with the leading /".
    """
    users: set[str] = set()
    for item in userlist.split(","):
        if item.startswith("/"):
            users.update(user for _, line in _lines(item) for user in _names(line))
        elif item:
            users.add(item)
    if not users:
        raise ConfigError(f"{source}: *={userlist}: nobody in it")
    return frozenset(map(os.fsencode, users))


def _names(line: str) -> list[str]:
    return line.partition("#")[0].replace(",", " ").split()


def _ipv4(text: str) -> int | None:
    number = parse_ip(text)
    return number[1] if number is not None and ":" not in text else None
