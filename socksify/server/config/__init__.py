"""All that a configuration file may say about a server, as one value."""

from __future__ import annotations

from collections.abc import Callable

from socksify._record import Record
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import EVERYBODY, LOCAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.policy.users import Users


class Configuration(Record):
    """Where to listen, what is permitted, and how it is run; options of the command line outrank it.

    `guarded` says that rules or users keep strangers out, so that it may listen beyond loopback. `log` is "stderr",
    "syslog" or "syslog:" and a Unix socket's path, `log_format` "text" or "json"; `metrics` is an address and a port,
    `status` a directory, both empty unless given. `path` is the file's, empty without one.
    """

    policy: Policy
    guarded: bool = False
    listen: tuple[tuple[str, int], ...] = ()
    workers: int = 1
    log: str = "stderr"
    log_format: str = "text"
    metrics: str = ""
    status: str = ""
    path: str = ""


def without_file(users: Users | None, open: bool, is_own: Callable[[str], bool]) -> Configuration:
    """No rules: whoever is a user may do everything, from everywhere. Without users, who is on this machine; with
    `open`, everybody.
    """
    rule = EVERYBODY if open or users is not None else LOCAL
    rules = (rule.replace(verified=users is not None),)
    return Configuration(Policy(rules, users, is_own=is_own), users is not None)
