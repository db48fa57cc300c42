"""What runs: the command line, over the configuration file, over the defaults; and whether it may run like that."""

from __future__ import annotations

import os
import stat

from socksify._record import Record
from socksify.config.ip import address
from socksify.config.settings import ConfigError
from socksify.routing.local_host import is_own
from socksify.server import config
from socksify.server.config import sockd_conf, toml_file
from socksify.server.config.options import DEFAULT_LISTEN, Options, is_classic, place
from socksify.server.operation.status import usual_directory
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import Rule
from socksify.server.policy.users import Users

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from socksify.server.config import Configuration


class Plan(Record, hidden=("texts",)):
    """Everything that is to be known to serve. `guarded` is whether somebody, or something, decides who may come in.

    `log` is stderr, syslog or syslog:PATH; `metrics` ADDRESS:PORT or ""; `status` a directory or "". `texts` are the
    files that it was made of, as `reloading.texts` gives them.
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


# All that a reload cannot change.
LASTING = ("listen", "workers", "log", "log_format", "metrics", "status")


def configured(options: Options) -> Configuration:
    """The configuration file that the options name, or what they say in its place. Raises ConfigError."""
    if not options.config:
        users = Users.load(options.users) if options.users else None
        return config.without_file(users, options.open, is_own)
    if is_classic(options.config):
        return sockd_conf.load(options.config, options.route or None, is_own, options.allow_unsupported)
    return toml_file.load(options.config, is_own)


def plan(options: Options, environ: Mapping[str, str]) -> Plan:
    """Raises ConfigError for what cannot be read, or must not be."""
    before = texts(_paths(options))
    files = configured(options)
    if texts(_paths(options)) != before:
        raise ConfigError(f"{options.config}: it is being written; reload when that is done")
    metrics = options.metrics or files.metrics
    if metrics and not is_loopback(host := place(metrics)[0]):
        raise ConfigError(f"metrics: {host} is not a loopback address; they tell who is here, and ask for no password")
    return Plan(
        files.policy,
        files.guarded or options.open,
        options.listen or files.listen or DEFAULT_LISTEN,
        options.workers or files.workers,
        options.log or files.log,
        options.log_format or files.log_format,
        metrics,
        options.status_directory or files.status or usual_directory(environ),
        before,
    )


def _paths(options: Options) -> list[str]:
    """The files of which a missing part would make the server more open."""
    lists = sockd_conf.lists(options.config) if is_classic(options.config) else []
    return [path for path in (options.config, options.route, *lists) if path]


def require_guard(plan: Plan, addresses: Iterable[tuple[str, int]]) -> None:
    """Raises ConfigError when one of the addresses to listen on can be reached from elsewhere, and nothing decides.

    A port of 0 is a Unix socket's, where one is listened on, and any port where one is still to be.
    """
    for host, _ in addresses:
        if not plan.guarded and not host.startswith(("/", "@")) and not is_loopback(host):
            raise ConfigError(
                f"{host} is not a loopback address, and an open proxy is nobody's friend: "
                "give it rules (--config) or users (--users), or say --open"
            )


def is_loopback(host: str) -> bool:
    """Whether a literal is one of 127.0.0.0/8, or ::1."""
    number = address(host)
    return number == (128, 1) or (number is not None and number[0] == 32 and number[1] >> 24 == 127)


# A reload never makes the server more open by accident.
#
# Files are emptied by a full disk and cut off by an editor, a copy or a provisioning tool that is still at work. What
# is left of them may well be a configuration: one without the users, or with half a rule. So a reload is refused
# where nothing is left, where passwords or all rules are gone, and where a file is no more than the beginning of what
# it was. A restart does what a reload refuses.


if TYPE_CHECKING:
    from collections.abc import Iterable

    # Of each file that was read, its path and what it held.
    Texts = tuple[tuple[str, bytes], ...]

_RESTART = "restart the server if that is meant"


def texts(paths: Iterable[str]) -> Texts:
    """What these files hold; raises ConfigError for one that cannot be read.

    What can be read but once, such as a pipe, is left out.
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


def refuse_opening(new: Plan, old: Plan) -> None:
    """Raises ConfigError where the new plan looks like an accident that has made the old one more open."""
    held = dict(old.texts)
    for path, text in new.texts:
        if held.get(path, text) != text and not _statements(text):
            raise ConfigError(f"{path}: there is nothing left in it; {_RESTART}")
    if old.policy.users is not None and new.policy.users is None:
        raise ConfigError(f"users: nobody would be asked for a password any more; {_RESTART}")
    if _written(old.policy.rules) and not _written(new.policy.rules):
        raise ConfigError(f"rules: there is none left; {_RESTART}")
    for path, text in new.texts:
        before = held.get(path, text)
        if text != before and _begins(before, text) and not _only_less_is_permitted(new, old):
            raise ConfigError(f"{path}: cut off; it is the beginning of what it was, and no more; {_RESTART}")


def _statements(text: bytes) -> bool:
    """Whether there is anything but blanks and comments."""
    return any(line.strip() and not line.strip().startswith(b"#") for line in text.split(b"\n"))


def _begins(before: bytes, text: bytes) -> bool:
    """Whether a text is the beginning of what was there before. An editor may have ended its last line."""
    return before.startswith((text, text.rstrip()))


def _written(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules of a file."""
    return tuple(rule for rule in rules if rule.source != "built in")


def _only_less_is_permitted(new: Plan, old: Plan) -> bool:
    """Whether somebody may do less than before and nobody more: permissions at the end, or users, were taken away."""
    after, before = _written(new.policy.rules), _written(old.policy.rules)
    rest = before[len(after) :]
    same = all(_is_within(rule, was) for rule, was in zip(after, before, strict=False))
    ways = new.policy.routes == old.policy.routes and new.policy.limits == old.policy.limits
    return ways and same and all(rule.permit for rule in rest)


def _is_within(rule: Rule, was: Rule) -> bool:
    """Whether a rule is as it was, or permits the same to fewer users."""
    if rule == was:
        return True
    if not rule.permit or rule.users is None or was.users is None:
        return False
    # The text is the rule as it is written, with its users in it.
    return rule.users <= was.users and rule.replace(users=was.users, text=was.text) == was
