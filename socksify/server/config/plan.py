"""The plan of a server: the command line outranks the configuration file, and the file outranks the defaults.

A reload never makes the server more open by accident. A full disk can leave a file empty. An editor, a copy or a
provisioning tool that is still at work can leave only the beginning of a file. The beginning may be a valid
configuration, but without the users, or with half a rule. So a reload is refused if a file has become empty, if the
users or all rules are gone, or if a file is only the beginning of its earlier content. A restart accepts all of these.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping

from socksify._record import Record
from socksify.config.errors import ConfigError
from socksify.config.ip import parse_ip
from socksify.routing.local_host import is_own
from socksify.server import config
from socksify.server.config import sockd_conf, toml_file
from socksify.server.config.options import DEFAULT_LISTEN, Options, default_status_directory, is_classic
from socksify.server.net.addresses import parse_address
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import AccessRule
from socksify.server.policy.users import Users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.config import Configuration

    # The path and the content of each file that was read.
    Texts = tuple[tuple[str, bytes], ...]

_RESTART = "restart the server if that is meant"


class Plan(Record, hidden=("texts",)):
    """All settings of a server.

    `guarded` is True if rules, users or --open decide which clients may connect. `listen` is not empty. `texts` are
    the files from which the plan was made, as `read_texts` returns them. The other fields are Configuration's.
    """

    policy: Policy
    guarded: bool
    listen: tuple[tuple[str, int], ...]
    workers: int
    log: str
    log_format: str
    metrics: str
    status: str
    texts: Texts = ()


# The fields that a reload cannot change.
FIXED_UNTIL_RESTART = ("listen", "workers", "log", "log_format", "metrics", "status")


def configured(options: Options) -> Configuration:
    """Return the configuration from the file that the options name; without a file, from the options themselves.

    Raises ConfigError if a file cannot be read or is not valid.
    """
    if not options.config:
        users = Users.load(options.users) if options.users else None
        return config.without_file(users, options.open, is_own)
    if is_classic(options.config):
        return sockd_conf.load(options.config, options.route or None, is_own, options.allow_unsupported)
    return toml_file.load(options.config, is_own)


def plan(options: Options, environ: Mapping[str, str]) -> Plan:
    """Return the plan for these options; `environ` may name a directory for the status sockets.

    Raises ConfigError if a file cannot be read, changes while it is read, or is not valid, and if the metrics would
    be served beyond loopback.
    """
    before = read_texts(_paths(options))
    files = configured(options)
    if read_texts(_paths(options)) != before:
        raise ConfigError(f"{options.config}: it is being written; reload when that is done")
    metrics = options.metrics or files.metrics
    if metrics and not is_loopback(host := parse_address(metrics)[0]):
        raise ConfigError(f"metrics: {host} is not a loopback address; the metrics are served without a password")
    return Plan(
        files.policy,
        files.guarded or options.open,
        options.listen or files.listen or DEFAULT_LISTEN,
        options.workers or files.workers,
        options.log or files.log,
        options.log_format or files.log_format,
        metrics,
        options.status_directory or files.status or default_status_directory(environ),
        before,
    )


def _paths(options: Options) -> list[str]:
    """Return the files that would make the server more open if a part of them were missing."""
    lists = sockd_conf.user_files(options.config) if is_classic(options.config) else []
    return [path for path in (options.config, options.route, *lists) if path]


def read_texts(paths: Iterable[str]) -> Texts:
    """Return each path with the content of its file. Raises ConfigError for a file that cannot be read.

    A pipe or a device is left out, because it can be read only once.
    """
    found = []
    for path in paths:
        try:
            if stat.S_ISREG(os.stat(path).st_mode):
                with open(path, "rb") as file:
                    found.append((path, file.read()))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; expected a file that can be read") from None
    return tuple(found)


def require_guard(plan: Plan, addresses: Iterable[tuple[str, int]]) -> None:
    """Raise ConfigError if other machines can reach one of these addresses and the plan lets every client in.

    `addresses` are hosts and ports. The path of a Unix socket, or its abstract name with "@", is always permitted.
    """
    for host, _ in addresses:
        if not plan.guarded and not host.startswith(("/", "@")) and not is_loopback(host):
            raise ConfigError(
                f"{host} is not a loopback address, and every machine that reaches it could use the proxy: "
                "give rules (--config) or users (--users), or say --open"
            )


def is_loopback(host: str) -> bool:
    """Return True if `host` is a literal in 127.0.0.0/8, or ::1."""
    number = parse_ip(host)
    return number == (128, 1) or (number is not None and number[0] == 32 and number[1] >> 24 == 127)


def refuse_opening(new: Plan, old: Plan) -> None:
    """Raise ConfigError if `new` seems to be more open than `old` by accident."""
    old_texts = dict(old.texts)
    for path, text in new.texts:
        if old_texts.get(path, text) != text and not _has_statements(text):
            raise ConfigError(f"{path}: there is nothing left in it; {_RESTART}")
    if old.policy.users is not None and new.policy.users is None:
        raise ConfigError(f"users: nobody would be asked for a password any more; {_RESTART}")
    if _rules_of_files(old.policy.rules) and not _rules_of_files(new.policy.rules):
        raise ConfigError(f"rules: there is none left; {_RESTART}")
    for path, text in new.texts:
        before = old_texts.get(path, text)
        if text != before and _is_beginning(text, before) and not _is_stricter(new, old):
            raise ConfigError(f"{path}: cut off; it is the beginning of its earlier content, and no more; {_RESTART}")


def _has_statements(text: bytes) -> bool:
    """Return True if `text` holds anything except blanks and comments."""
    return any(line.strip() and not line.strip().startswith(b"#") for line in text.split(b"\n"))


def _is_beginning(text: bytes, before: bytes) -> bool:
    """Return True if `before` starts with `text`. An editor may have added a newline at the end of `text`."""
    return before.startswith((text, text.rstrip()))


def _rules_of_files(rules: tuple[AccessRule, ...]) -> tuple[AccessRule, ...]:
    """Return the rules that a file has set, without the built-in rules."""
    return tuple(rule for rule in rules if rule.source != "built in")


def _is_stricter(new: Plan, old: Plan) -> bool:
    """Return True if `new` permits less to some clients, and more to no client.

    This is the case if only users were removed, or only permitting rules at the end.
    """
    after, before = _rules_of_files(new.policy.rules), _rules_of_files(old.policy.rules)
    removed = before[len(after) :]
    same = all(_is_within(rule, old_rule) for rule, old_rule in zip(after, before, strict=False))
    others = new.policy.routes == old.policy.routes and new.policy.limits == old.policy.limits
    return others and same and all(rule.permit for rule in removed)


def _is_within(rule: AccessRule, old_rule: AccessRule) -> bool:
    """Return True if `rule` is the same as `old_rule`, or permits the same to fewer users."""
    if rule == old_rule:
        return True
    if not rule.permit or rule.users is None or old_rule.users is None:
        return False
    # The text is the rule as it is written, with its users in it.
    return rule.users <= old_rule.users and rule.replace(users=old_rule.users, text=old_rule.text) == old_rule
