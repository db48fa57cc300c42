"""Several worker processes that share the ports, and the parent that starts, restarts and ends them.

Each worker has a listening socket of its own (SO_REUSEPORT), and the kernel spreads the connections among these
sockets. The socket of a dead worker is closed with it, and the other workers get the new connections. The parent holds
the addresses as well, bound but not listening. So port 0 becomes the same port for all workers, and no other program
can take the port while there is no worker.

A socketpair connects each worker with the parent. The worker sends one byte as soon as it serves. The end of file tells
the worker that the parent has died; the worker then ends, too.
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
from socksify.server.net.listeners import addresses_of, adopt_listener, bind_listener, listen
from socksify.server.operation.daemon import next_plan
from socksify.server.operation.log import Log
from socksify.server.operation.service import ServingProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.config.plan import Plan
    from socksify.server.operation.daemon import Configure
    from socksify.server.operation.metrics import Row, Table

# If a worker has lived for less than this time, its successor starts only after this time. Otherwise a worker that
# cannot run would be restarted in a tight loop.
BRIEF_SECONDS = 1.0
# The signals of a worker. The parent blocks them while it forks, so that none is lost before the worker handles them.
WORKER_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# The byte that a worker sends as soon as it serves.
READY = b"!"


class Workers:
    """A Service of `plan.workers` processes.

    The workers listen on the sockets `inherited`. If there are none, they listen on the addresses of the plan. `table`
    must have a row for each worker, and one more for the parent.
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
        self._reserved = [bind_listener(loop, host, port, shared=True) for host, port in places]
        # By process id: the index of the worker's row, and the time of its start.
        self._alive: dict[int, tuple[int, float]] = {}
        self._starting = 0
        self._ready: Callable[[], object] = _ignore
        self._done: Callable[[], object] | None = None
        self._signals = signals
        signals.handle(signal.SIGCHLD, self._reap)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return addresses_of((*self._inherited, *self._reserved))

    def start(self, ready: Callable[[], object]) -> None:
        self._ready = ready
        self._starting = self._plan.workers
        for index in range(self._plan.workers):
            self._fork(index)

    def reload(self, plan: Plan) -> None:
        # Each worker reads the configuration again. Workers that start later inherit the plan.
        self._plan = plan.replace(workers=self._plan.workers)
        self._signal_all(signal.SIGHUP)

    def terminate(self, done: Callable[[], object]) -> None:
        self._done = done
        self._signal_all(signal.SIGTERM)
        self._finish_if_empty()

    def _signal_all(self, number: int) -> None:
        for pid in self._alive:
            # A worker that has ended keeps its process id until waitpid().
            os.kill(pid, number)

    def _replace(self, index: int) -> None:
        """Start a worker in the place of a dead one; try again later if the machine lacks a resource now."""
        if self._done is not None:
            return
        try:
            self._fork(index)
        except OSError as error:
            self._log.notice(f"no new worker for now: {error.strerror}")
            self._loop.after(BRIEF_SECONDS, lambda: self._replace(index))

    def _fork(self, index: int) -> None:
        with contextlib.ExitStack() as stack:
            parent_end, worker_end = (_originals.Socket(fileno=end.detach()) for end in socket.socketpair())
            stack.callback(worker_end.close)
            stack.callback(parent_end.close)
            signal.pthread_sigmask(signal.SIG_BLOCK, WORKER_SIGNALS)
            stack.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, WORKER_SIGNALS)
            pid = os.fork()
            if pid == 0:
                parent_end.close()
                self._become_worker(index, worker_end)
            self._alive[pid] = index, monotonic()
            self._await_ready(self._loop.adopt(parent_end.detach()))

    def _await_ready(self, channel: _originals.Socket) -> None:
        def receive(_fd: int, _events: int) -> None:
            if not channel.recv(1):
                # The worker has died.
                self._loop.discard(channel)
                return
            self._starting -= 1
            if self._starting == 0:
                self._ready()

        self._loop.watch(channel.fileno(), READABLE, receive)

    def _reap(self) -> None:
        for pid, (index, started) in [*self._alive.items()]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._alive[pid]
                self._worker_ended(pid, index, status, monotonic() - started)
        self._finish_if_empty()

    def _worker_ended(self, pid: int, index: int, status: int, lifetime: float) -> None:
        row = self._table.rows[index]
        row.put("live", 0)
        row.put("serving", 0)
        if self._done is None:
            self._table.rows[-1].add("restarts")
            self._log.notice(f"worker {pid} ended by itself ({_cause(status)}); another takes its place")
            self._loop.after(0.0 if lifetime >= BRIEF_SECONDS else BRIEF_SECONDS, lambda: self._replace(index))

    def _finish_if_empty(self) -> None:
        if self._done is not None and not self._alive:
            self._done()

    def _become_worker(self, index: int, channel: _originals.Socket) -> None:
        """Serve in the forked child. Never returns."""
        status = 1
        try:
            inherited = [os.dup(held.fileno()) for held in self._inherited]
            places = addresses_of(self._reserved)
            self._signals.abandon()
            # This closes the parent's sockets: the reserved addresses, and the channels of the other workers.
            self._loop.abandon()
            serve(self._configure, self._plan, self._log, self._table.rows[index], places, inherited, channel)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            # The child must run neither the parent's exit handlers nor the code that called this.
            os._exit(status)


def _cause(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"status {code}"


def serve(
    configure: Configure,
    plan: Plan,
    log: Log,
    row: Row,
    places: Sequence[tuple[str, int]],
    inherited: Sequence[int],
    channel: _originals.Socket,
) -> None:
    """Serve in a worker until the parent ends it or has died.

    `places` are addresses and ports to listen on, `inherited` the descriptors of sockets that listen already. `channel`
    is the worker's end of the socketpair.
    """
    with contextlib.closing(Loop()) as loop:
        listeners = [listen(loop, host, port, shared=True) for host, port in places]
        listeners += [adopt_listener(loop, fd) for fd in inherited]
        log = log.for_child(loop)
        process = ServingProcess(loop, listeners, plan, log, row)
        _obey_signals(loop, process, configure, plan, log)
        process.start(lambda: channel.send(READY))
        loop.watch(channel.fileno(), READABLE, lambda fd, _: _parent_died(loop, fd, process))
        loop.run()
        process.close()
        log.close()


def _obey_signals(loop: Loop, process: ServingProcess, configure: Configure, plan: Plan, log: Log) -> None:
    in_force = plan

    def reload() -> None:
        nonlocal in_force
        new_plan = next_plan(configure, process.addresses, in_force, log)
        if new_plan is not None:
            in_force = new_plan
            process.reload(new_plan)

    signals = Signals(loop)
    signals.handle(signal.SIGTERM, lambda: process.terminate(loop.stop))
    signals.handle(signal.SIGHUP, reload)
    # The terminal sends Ctrl-C to every process of the group. The parent obeys it, and ends the workers by SIGTERM.
    signals.handle(signal.SIGINT, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKER_SIGNALS)


def _parent_died(loop: Loop, channel: int, process: ServingProcess) -> None:
    """The parent never sends anything, so a readable channel is at its end of file."""
    loop.watch(channel, 0, _ignore)
    process.terminate(loop.stop)


def _ignore(*_: object) -> None:
    pass
