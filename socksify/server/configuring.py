"""What runs: the command line, over the configuration file, over the defaults; and whether it may run like that."""

from __future__ import annotations

from socksify._record import Record
from socksify.config.addresses import address
from socksify.config.settings import ConfigError
from socksify.server import classic, configuration, reloading, toml
from socksify.server.options import DEFAULT_LISTEN, Options, is_classic, place
from socksify.server.policy import Policy
from socksify.server.status import usual_directory
from socksify.server.users import Users
from socksify.tunnel.machine import is_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from socksify.server.configuration import Configuration
    from socksify.server.reloading import Texts


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
        return configuration.without_file(users, options.open, is_own)
    if is_classic(options.config):
        return classic.load(options.config, options.route or None, is_own, options.allow_unsupported)
    return toml.load(options.config, is_own)


def plan(options: Options, environ: Mapping[str, str]) -> Plan:
    """Raises ConfigError for what cannot be read, or must not be."""
    before = reloading.texts(_paths(options))
    files = configured(options)
    if reloading.texts(_paths(options)) != before:
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
    lists = classic.lists(options.config) if is_classic(options.config) else []
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
