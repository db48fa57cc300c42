"""A reload never makes the server more open by accident.

Files are emptied by a full disk and cut off by an editor, a copy or a provisioning tool that is still at work. What is
left of them may well be a configuration: one without the users, or with half a rule. So a reload is refused where
nothing is left, where passwords or all rules are gone, and where a file is no more than the beginning of what it was. A
restart does what a reload refuses.
"""

from __future__ import annotations

import os
import stat

from socksify.config.settings import ConfigError
from socksify.server.rules import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from socksify.server.configuring import Plan

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
