"""A service, and the simple kind of it: one process that serves, with its log, its counters and its status socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from socksify import _originals
from socksify.server.core.loop import Loop
from socksify.server.operation.log import Log
from socksify.server.operation.status import Status
from socksify.server.session.server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.config.plan import Plan
    from socksify.server.operation.metrics import Row
    from socksify.server.policy.policy import Policy
    from socksify.server.session.report import Report

# The interval between updates of those counters that no event updates.
REFRESH_SECONDS = 1.0


class Service(Protocol):
    """The service that the Daemon runs: one process that serves, or several workers."""

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports on which the service listens."""

    def start(self, ready: Callable[[], object]) -> None:
        """Start; `ready` is called as soon as clients are served."""

    def reload(self, plan: Plan) -> None:
        """Replace the policy by that of the plan, for new sessions and for new requests of live ones."""

    def terminate(self, done: Callable[[], object]) -> None:
        """Stop listening and let the live sessions end. The second call ends them at once.

        `done` is called after the last session has ended.
        """


class ServingProcess:
    """One process that serves as the plan says. Must be closed.

    `listeners` are listening sockets of the loop. `row` counts what this process does.
    """

    def __init__(self, loop: Loop, listeners: Sequence[_originals.Socket], plan: Plan, log: Log, row: Row) -> None:
        self._loop = loop
        loop.keep_reserve()
        self._log = log
        self._row = row
        # How many sessions are over, and how many accepted clients and lost lines the row has counted.
        self._ended = self._accepted = self._lost = 0
        self._draining = False
        # A later plan may have another number, which counts only after a restart.
        self._workers = plan.workers
        self.server = Server(loop, listeners, self._share(plan.policy), self._session_ended, log.notice)
        self._status: Status | None = None
        self._status_directory = plan.status
        row.put("serving", 1)
        # Without metrics nobody reads the counters.
        self._is_measured = bool(plan.metrics)
        if self._is_measured:
            self._refresh()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return self.server.addresses

    def start(self, ready: Callable[[], object]) -> None:
        # The sockets listen since they were made, so clients are served already.
        ready()
        self._status = self._open_status(self._status_directory)

    def reload(self, plan: Plan) -> None:
        self.server.replace_policy(self._share(plan.policy))

    def terminate(self, done: Callable[[], object]) -> None:
        if self._draining:
            self.server.close()
            done()
            return
        self._draining = True
        # The loop closes the listeners after the events at hand, so the notice must wait, too.
        self._loop.call(lambda: self._log.notice(f"listening no more; {self._live} sessions are live"))
        self.server.drain(done)

    def close(self) -> None:
        """End all sessions, and write the last counters."""
        self.server.close()
        if self._status is not None:
            self._status.close()
        self._count()
        self._row.put("live", 0)
        self._row.put("serving", 0)

    @property
    def _live(self) -> int:
        return self.server.accepted - self._ended

    def _share(self, policy: Policy) -> Policy:
        """Return a copy of the policy with this process's share of the limits.

        The policy of the plan itself stays as it is, because a reload compares it with the next one.
        """
        return policy.with_limits(policy.limits.share(self._workers))

    def _open_status(self, directory: str) -> Status | None:
        if not directory:
            return None
        try:
            return Status(self._loop, self.server, directory)
        except OSError as error:
            # Clients can be served without the status socket.
            self._log.notice(f"the live sessions will not be told in {directory}: {error.strerror or error}")
            return None

    def _session_ended(self, report: Report) -> None:
        self._ended += 1
        if self._is_measured:
            self._row.ended(report)
        self._log.session(report)

    def _refresh(self) -> None:
        self._count()
        self._loop.after(REFRESH_SECONDS, self._refresh)

    def _count(self) -> None:
        # Differences are added, because the row may hold the counters of a process that was there before this one.
        self._row.add("accepted", self.server.accepted - self._accepted)
        self._row.add("lost", self._log.lost - self._lost)
        self._row.put("live", self._live)
        self._accepted = self.server.accepted
        self._lost = self._log.lost
