"""The daemon: announces the addresses of a service, obeys signals, and informs the service manager.

The daemon runs both kinds of Service: the single process, and the workers.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from socksify.config.errors import ConfigError
from socksify.server.config.plan import FIXED_UNTIL_RESTART, refuse_opening, require_guard
from socksify.server.core.loop import Loop
from socksify.server.net.addresses import format_address
from socksify.server.operation.log import Log
from socksify.server.operation.systemd import READY, STOPPING, WATCHDOG, Notifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.config.plan import Plan
    from socksify.server.core.signals import Signals
    from socksify.server.operation.metrics import Row
    from socksify.server.operation.service import Service

    # Makes a plan of the command line and of the files as they are now. Raises ConfigError.
    Configure = Callable[[], Plan]


class Daemon:
    """Runs a service from its start to its end.

    `configure` makes a new plan for a reload, `plan` is the plan at the start. `notifier` informs the service manager.
    `row` counts the reloads.
    """

    def __init__(self, loop: Loop, configure: Configure, plan: Plan, log: Log, notifier: Notifier, row: Row) -> None:
        self._loop = loop
        self._configure = configure
        self._plan_at_start = self._plan_in_force = plan
        self._log = log
        self._notifier = notifier
        self._row = row

    def run(self, service: Service, signals: Signals) -> None:
        """Return when a signal has ended the service."""

        def terminate() -> None:
            self._notifier.tell(STOPPING)
            service.terminate(self._loop.stop)

        signals.handle(signal.SIGTERM, terminate)
        signals.handle(signal.SIGINT, terminate)
        signals.handle(signal.SIGHUP, lambda: self._reload(service))
        service.start(lambda: self._ready(service))
        self._loop.run()

    def _ready(self, service: Service) -> None:
        where = ", ".join(format_address(host, port) if port else host for host, port in service.addresses)
        self._log.notice(f"listening on {where}")
        self._notifier.tell(READY, f"STATUS=listening on {where}")
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        if self._notifier.watchdog_seconds:
            self._notifier.tell(WATCHDOG)
            self._loop.after(self._notifier.watchdog_seconds, self._feed_watchdog)

    def _reload(self, service: Service) -> None:
        self._notifier.reloading()
        plan = next_plan(self._configure, service.addresses, self._plan_in_force, self._log)
        if plan is None:
            self._row.add("refused_reloads")
        else:
            self._row.add("reloads")
            self._log.notice("the configuration was read again")
            changed = [
                name for name in FIXED_UNTIL_RESTART if getattr(plan, name) != getattr(self._plan_at_start, name)
            ]
            if changed:
                self._log.notice(f"after a restart only: {', '.join(changed)}")
            self._plan_in_force = plan
            service.reload(plan)
        self._notifier.tell(READY)


def next_plan(configure: Configure, addresses: list[tuple[str, int]], in_force: Plan, log: Log) -> Plan | None:
    """Return the plan that the files describe now.

    Returns None, after a line in the log, if that plan is invalid or must not replace the plan `in_force`.
    """
    try:
        plan = configure()
        require_guard(plan, addresses)
        refuse_opening(plan, in_force)
    except ConfigError as error:
        log.notice(f"the configuration is as before: {error}")
        return None
    return plan
