"""The server as whoever runs it knows it: it says where it listens, obeys signals, and tells its service manager.

It does so for one process that serves as for several: see `serving.Service` and `workers.Workers`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Protocol

from socksify.config.settings import ConfigError
from socksify.server.config import plan as config_plan
from socksify.server.config.plan import refuse_opening
from socksify.server.core.loop import Loop
from socksify.server.operation.log import Log
from socksify.server.operation.systemd import READY, STOPPING, WATCHDOG, Notifier
from socksify.server.session.report import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.config.plan import Plan
    from socksify.server.core.signals import Signals
    from socksify.server.operation.metrics import Row

    # What the command line and the files say at the time; raises ConfigError.
    Configure = Callable[[], Plan]


class Crew(Protocol):
    """Who serves."""

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where."""

    def start(self, ready: Callable[[], object]) -> None:
        """Has `ready` called when clients are served."""

    def obey(self, plan: Plan) -> None:
        """Has what comes decided by another policy."""

    def terminate(self, done: Callable[[], object]) -> None:
        """Lets the live sessions end; ends them when asked again. `done` is called when there are none."""


class Operation:
    """Runs a crew from its start to its end. `row` counts the reloads."""

    def __init__(self, loop: Loop, configure: Configure, plan: Plan, log: Log, notifier: Notifier, row: Row) -> None:
        self._loop = loop
        self._configure = configure
        # What was planned at the start, and what is in force.
        self._plan = self._in_force = plan
        self._log = log
        self._notifier = notifier
        self._row = row

    def run(self, crew: Crew, signals: Signals) -> None:
        """Returns when a signal has ended the crew."""

        def terminate() -> None:
            self._notifier.tell(STOPPING)
            crew.terminate(self._loop.stop)

        signals.obey(signal.SIGTERM, terminate)
        signals.obey(signal.SIGINT, terminate)
        signals.obey(signal.SIGHUP, lambda: self._reload(crew))
        crew.start(lambda: self._ready(crew))
        self._loop.run()

    def _ready(self, crew: Crew) -> None:
        where = ", ".join(place(host, port) if port else host for host, port in crew.addresses)
        self._log.notice(f"listening on {where}")
        self._notifier.tell(READY, f"STATUS=listening on {where}")
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        if self._notifier.watchdog_seconds:
            self._notifier.tell(WATCHDOG)
            self._loop.after(self._notifier.watchdog_seconds, self._feed_watchdog)

    def _reload(self, crew: Crew) -> None:
        self._notifier.reloading()
        plan = reloaded(self._configure, crew.addresses, self._in_force, self._log)
        if plan is None:
            self._row.add("refused_reloads")
        else:
            self._row.add("reloads")
            self._log.notice("the configuration was read again")
            changed = [name for name in config_plan.LASTING if getattr(plan, name) != getattr(self._plan, name)]
            if changed:
                self._log.notice(f"after a restart only: {', '.join(changed)}")
            self._in_force = plan
            crew.obey(plan)
        self._notifier.tell(READY)


def reloaded(configure: Configure, addresses: list[tuple[str, int]], in_force: Plan, log: Log) -> Plan | None:
    """The plan as the files have it now; None, and a line in the log, when it is unfit and the one in force stays."""
    try:
        plan = configure()
        config_plan.require_guard(plan, addresses)
        refuse_opening(plan, in_force)
    except ConfigError as error:
        log.notice(f"the configuration is as before: {error}")
        return None
    return plan
