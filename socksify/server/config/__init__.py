"""The contents of a configuration file, as one value."""

from __future__ import annotations

from collections.abc import Callable

from socksify._record import Record
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import EVERYBODY, LOCAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.policy.users import Users

# The forms of a line of the log.
LOG_FORMATS = ("text", "json")


class Configuration(Record):
    """Where the server listens, what it permits, and how it runs. Options of the command line outrank these values.

    `policy`: the rules, users, limits and routes.
    `guarded`: True if rules or users keep unknown clients out, so that the server may listen beyond loopback.
    `listen`: addresses and ports. Empty means the default.
    `workers`: the number of processes.
    `log`: "stderr", "syslog", or "syslog:" and the path of a Unix socket.
    `log_format`: one of LOG_FORMATS.
    `metrics`: ADDRESS:PORT on which the metrics are served, "" for none.
    `status`: the directory of the status sockets, "" for the default one.
    `path`: the configuration file, "" without one.
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
    """Return the configuration of a server that was given no file.

    With `users`, these users may do everything, from everywhere. Without users, clients of this machine may do
    everything, or all clients if `open`. `is_own` tells if a literal is an address of this machine.
    """
    rule = EVERYBODY if open or users is not None else LOCAL
    rules = (rule.replace(verified=users is not None),)
    return Configuration(Policy(rules, users, is_own=is_own), users is not None)
