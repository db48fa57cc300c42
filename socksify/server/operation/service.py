"""One process that serves: a Server, with its log, its row of counters and its status socket."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from socksify import _originals
from socksify.server.core.descriptor_reserve import Reserve
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

# How old the counters may be that no event keeps.
REFRESH_SECONDS = 1.0


class Service:
    """Serves on `listeners`, which are the loop's, as the plan says; to be closed."""

    def __init__(self, loop: Loop, listeners: Sequence[_originals.Socket], plan: Plan, log: Log, row: Row) -> None:
        self._loop = loop
        loop.reserve = Reserve.of_process()
        self._log = log
        self._row = row
        self._ended = self._accepted = self._lost = 0
        self._draining = False
        # What a later plan says of them is for the next start.
        self._workers = plan.workers
        self.server = Server(loop, listeners, self._shared(plan.policy), self._over, log.notice)
        self._status: Status | None = None
        self._directory = plan.status
        row.put("serving", 1)
        # Whether anybody will ask what was counted.
        self._measured = bool(plan.metrics)
        if self._measured:
            self._refresh()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, as `Server.addresses`."""
        return self.server.addresses

    def start(self, ready: Callable[[], object]) -> None:
        """It has listened from its beginning, so it is ready at once."""
        ready()
        self._status = self._told_in(self._directory)

    def obey(self, plan: Plan) -> None:
        """Has new sessions, and what live ones ask for from now on, decided by the plan's policy."""
        self.server.policy = self._shared(plan.policy)

    def terminate(self, done: Callable[[], object]) -> None:
        """Listens no more, and lets the live sessions end; ends them when asked again. `done` is called after that."""
        if self._draining:
            self.server.close()
            done()
            return
        self._draining = True
        # Sockets are closed when the events at hand are dealt with: only then is it true.
        self._loop.call(lambda: self._log.notice(f"listening no more; {self._live} sessions are live"))
        self.server.drain(done)

    def close(self) -> None:
        self.server.close()
        if self._status is not None:
            self._status.close()
        self._count()
        self._row.put("live", 0)
        self._row.put("serving", 0)

    @property
    def _live(self) -> int:
        return self.server.accepted - self._ended

    def _shared(self, policy: Policy) -> Policy:
        """The policy with this process's share of its limits. The plan's own is what a reload is compared with."""
        shared = copy.copy(policy)
        shared.limits = policy.limits.share(self._workers)
        return shared

    def _told_in(self, directory: str) -> Status | None:
        if not directory:
            return None
        try:
            return Status(self._loop, self.server, directory)
        except OSError as error:
            # Nobody has asked yet, and the clients have nothing to do with it.
            self._log.notice(f"the live sessions will not be told in {directory}: {error.strerror or error}")
            return None

    def _over(self, report: Report) -> None:
        self._ended += 1
        if self._measured:
            self._row.ended(report)
        self._log.session(report)

    def _refresh(self) -> None:
        self._count()
        self._loop.after(REFRESH_SECONDS, self._refresh)

    def _count(self) -> None:
        # Added and not set: the row may hold what a process has counted that was there before this one.
        self._row.add("accepted", self.server.accepted - self._accepted)
        self._row.add("lost", self._log.lost - self._lost)
        self._row.put("live", self._live)
        self._accepted = self.server.accepted
        self._lost = self._log.lost
