"""Several processes that share the ports, and the one that starts them, ends them, and starts those anew that died.

Each worker has a listening socket of its own (SO_REUSEPORT), among which the kernel spreads the connections: one that
dies takes its socket with it, and the others get what comes. The parent holds the addresses meanwhile, bound but not
listening: so port 0 is one port for all, and nobody else's when there is no worker for a moment.

A socketpair ties each worker to the parent: the worker's one byte says that it serves, and its end of file that the
parent has died, with whom the worker then ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence

from socksify import _originals
from socksify._originals import monotonic
from socksify.server.core.loop import READABLE, Loop
from socksify.server.core.signals import Signals
from socksify.server.net.listeners import addresses, adopt, bound, listen
from socksify.server.operation.daemon import reloaded
from socksify.server.operation.log import Log
from socksify.server.operation.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.config.plan import Plan
    from socksify.server.operation.daemon import Configure
    from socksify.server.operation.metrics import Row, Table

# A worker that lived for less than this would be restarted for ever, so the next one waits as long.
BRIEF_SECONDS = 1.0


class Workers:
    """A crew of `plan.workers` processes, which listen on the sockets `inherited` or, without any, as planned.

    Needs `table.rows` for all workers, and one more for itself.
    """

    def __init__(
        self,
        loop: Loop,
        signals: Signals,
        configure: Configure,
        plan: Plan,
        log: Log,
        table: Table,
        inherited: Sequence[_originals.Socket],
    ) -> None:
        self._loop = loop
        self._configure = configure
        self._plan = plan
        self._log = log
        self._table = table
        self._inherited = inherited
        places = () if inherited else plan.listen
        self._reserved = [bound(loop, host, port, shared=True) for host, port in places]
        # By process id: which of the rows is its, and when it was started.
        self._alive: dict[int, tuple[int, float]] = {}
        self._awaited = 0
        self._ready: Callable[[], object] = _nothing
        self._done: Callable[[], object] | None = None
        self._signals = signals
        signals.obey(signal.SIGCHLD, self._reap)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where they listen, as `Server.addresses`."""
        return addresses((*self._inherited, *self._reserved))

    def start(self, ready: Callable[[], object]) -> None:
        """Starts them all; `ready` is called when each of them serves."""
        self._ready = ready
        self._awaited = self._plan.workers
        for index in range(self._plan.workers):
            self._fork(index)

    def obey(self, plan: Plan) -> None:
        """Has each read the configuration again, and those to come inherit it."""
        self._plan = plan.replace(workers=self._plan.workers)
        self._tell(signal.SIGHUP)

    def terminate(self, done: Callable[[], object]) -> None:
        """Lets the live sessions end; ends them when asked again. `done` is called when the last worker has ended."""
        self._done = done
        self._tell(signal.SIGTERM)
        self._look_whether_done()

    def _tell(self, number: int) -> None:
        for pid in self._alive:
            # Ended or not, it is ours until it is waited for.
            os.kill(pid, number)

    def _replace(self, index: int) -> None:
        """Starts one in the place of one that has died; later, if the machine is short of something now."""
        if self._done is not None:
            return
        try:
            self._fork(index)
        except OSError as error:
            self._log.notice(f"no new worker for now: {error.strerror}")
            self._loop.after(BRIEF_SECONDS, lambda: self._replace(index))

    def _fork(self, index: int) -> None:
        with contextlib.ExitStack() as stack:
            ours, its = (_originals.Socket(fileno=end.detach()) for end in socket.socketpair())
            stack.callback(its.close)
            stack.callback(ours.close)
            # What is sent to the child before it has handlers of its own waits for them.
            signal.pthread_sigmask(signal.SIG_BLOCK, OBEYED)
            stack.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, OBEYED)
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._become_worker(index, its)
            self._alive[pid] = index, monotonic()
            self._await(self._loop.adopt(ours.detach()))

    def _await(self, channel: _originals.Socket) -> None:
        def heard(_fd: int, _events: int) -> None:
            if not channel.recv(1):
                # It has died.
                self._loop.discard(channel)
                return
            self._awaited -= 1
            if self._awaited == 0:
                self._ready()

        self._loop.watch(channel.fileno(), READABLE, heard)

    def _reap(self) -> None:
        for pid, (index, started) in [*self._alive.items()]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._alive[pid]
                self._bury(pid, index, status, monotonic() - started)
        self._look_whether_done()

    def _bury(self, pid: int, index: int, status: int, lived: float) -> None:
        row = self._table.rows[index]
        row.put("live", 0)
        row.put("serving", 0)
        if self._done is None:
            self._table.rows[-1].add("restarts")
            self._log.notice(f"worker {pid} ended by itself ({_cause(status)}); another takes its place")
            self._loop.after(0.0 if lived >= BRIEF_SECONDS else BRIEF_SECONDS, lambda: self._replace(index))

    def _look_whether_done(self) -> None:
        if self._done is not None and not self._alive:
            self._done()

    def _become_worker(self, index: int, channel: _originals.Socket) -> None:
        """In the child, which never comes back from here."""
        status = 1
        try:
            inherited = [os.dup(held.fileno()) for held in self._inherited]
            places = addresses(self._reserved)
            self._signals.abandon()
            # With it go the parent's sockets: what it holds, and the channels of the other workers.
            self._loop.abandon()
            serve(self._configure, self._plan, self._log, self._table.rows[index], places, inherited, channel)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            # Neither the parent's exit handlers nor its callers are the child's.
            os._exit(status)


def _cause(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"status {code}"


def _nothing() -> None:
    pass


# One of several processes that share the ports: what the child does that `workers.Workers` has forked.


# Blocked by the parent round the fork, so that none of them is lost.
OBEYED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
READY = b"!"


def serve(
    configure: Configure,
    plan: Plan,
    log: Log,
    row: Row,
    places: Sequence[tuple[str, int]],
    inherited: Sequence[int],
    channel: _originals.Socket,
) -> None:
    """Serves at `places` and on the descriptors `inherited`, until the parent says otherwise or has died."""
    with contextlib.closing(Loop()) as loop:
        listeners = [listen(loop, host, port, shared=True) for host, port in places]
        listeners += [adopt(loop, fd) for fd in inherited]
        log = log.anew(loop)
        service = Service(loop, listeners, plan, log, row)
        _obey_signals(loop, service, configure, plan, log)
        service.start(lambda: channel.send(READY))
        loop.watch(channel.fileno(), READABLE, lambda fd, _: _orphaned(loop, fd, service))
        loop.run()
        service.close()
        log.close()


def _obey_signals(loop: Loop, service: Service, configure: Configure, plan: Plan, log: Log) -> None:
    in_force = plan

    def reload() -> None:
        nonlocal in_force
        fresh = reloaded(configure, service.addresses, in_force, log)
        if fresh is not None:
            in_force = fresh
            service.obey(fresh)

    signals = Signals(loop)
    signals.obey(signal.SIGTERM, lambda: service.terminate(loop.stop))
    signals.obey(signal.SIGHUP, reload)
    # Ctrl-C is sent to every process of the terminal's; the parent passes on what it means.
    signals.obey(signal.SIGINT, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OBEYED)


def _orphaned(loop: Loop, channel: int, service: Service) -> None:
    """The parent says nothing, so this is its end."""
    loop.watch(channel, 0, _ignore)
    service.terminate(loop.stop)


def _ignore(*_: object) -> None:
    pass
