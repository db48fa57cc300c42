"""The launcher: the process that the user has started. It ends as the program does.

Three processes share the work. The launcher keeps the number, the terminal and the exit status that the user knows. The
supervisor is its child, in a process group of its own. The program is the child of the supervisor, and belongs to the
process group of the launcher. So the keys of the terminal reach the program by themselves, and a shell's job control
stops and continues both. Other signals to the launcher are passed on.

    launcher
     └ supervisor
        └ program

If the launcher is killed, the supervisor kills the program. If the supervisor is killed, the kernel refuses every call
that the supervisor should see: the network is closed. The program goes on, and the launcher waits for it.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from socksify.seal.errors import SealUnavailableError
from socksify.seal.kernel import libc, system_calls
from socksify.seal.processes.descriptors import leave_inherited
from socksify.seal.processes.links import BEGIN, END, ENDED, STARTED, STOPPED, UNAVAILABLE, Links
from socksify.seal.processes.process_status import descends_from, is_stopped
from socksify.seal.processes.requirements import explain
from socksify.seal.processes.signals import Signal, SignalReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from socksify.seal.processes.supervisor_process import Service

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
# In milliseconds, for the supervisor to start.
_START_TIMEOUT = 30_000
_TOO_LATE = b"the supervisor has not started within 30 seconds"
# The exit status if nobody knows that of the program.
_UNKNOWN = 1 << 8
# sd_listen_fds(3), sd_watchdog_enabled(3): a service manager writes here which process is meant.
_OF_PROCESS = ("LISTEN_PID", "WATCHDOG_PID")
_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def enter_seal(make_service: Callable[[], Service], import_ahead: Callable[[], None]) -> None:
    """Divide this process into the launcher, the supervisor and the program. Only the program's process returns.

    `make_service` is called in the supervisor, and meanwhile `import_ahead` in the program's process. This process must
    have one thread. Raises SealUnavailableError in this process if the seal cannot be had. Then there are no other
    processes any more, and nothing has changed.
    """
    system_calls.here()
    # What is in a buffer would be written by each of the three.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    launcher, group = os.getpid(), os.getpgrp()
    # Nothing is lost while the processes start, and the program begins with the signals that have come meanwhile.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        links = Links()
        supervisor = _fork(links)
        if supervisor:
            _started(links, supervisor).run()
        _become_program(links, launcher, group, make_service, import_ahead)
    except OSError as error:
        raise explain(error) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become_program(
    links: Links, launcher: int, group: int, make_service: Callable[[], Service], import_ahead: Callable[[], None]
) -> None:
    """Fork the program's process in the supervisor. Only the former returns, when the program may begin."""
    # Each process imports what it needs while the others do the same.
    from socksify.seal.processes.supervisor_process import fork_program

    fork_program(links, launcher, make_service)
    from socksify.seal.processes import program_process

    program_process.enter(links, group, import_ahead)
    for name in _OF_PROCESS:
        if os.environ.get(name) == str(launcher):
            os.environ[name] = str(os.getpid())


def _fork(links: Links) -> int:
    try:
        return libc.call(os.fork)
    except OSError:
        links.close()
        raise


def _started(links: Links, supervisor: int) -> Launcher:
    """Wait for the start of the supervisor and the program, and return the launcher of both."""
    links.of_launcher()
    try:
        return Launcher(supervisor, _program(links), links)
    except (OSError, SealUnavailableError):
        links.close()
        # It has ended, unless it hangs. The program's process ends as soon as nobody can let it begin.
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        raise


def _program(links: Links) -> int:
    """Wait for the report of the start, and return the number of the program's process."""
    poller = select.poll()
    poller.register(links.reports, select.POLLIN)
    kind, data = links.reports.receive() if poller.poll(_START_TIMEOUT) else (UNAVAILABLE, _TOO_LATE)
    if kind == STARTED:
        return int(data)
    raise SealUnavailableError(data.decode() if kind == UNAVAILABLE else "the supervisor has ended during its start")


class Launcher:
    """This process while the program runs."""

    def __init__(self, supervisor: int, program: int, links: Links) -> None:
        self._family = supervisor, program
        self._program = program
        self._pidfd = libc.call(os.pidfd_open, program)
        self._links = links
        self._signals = SignalReader()
        self._is_supervised = True
        # As waitpid(2) returns it; None while the program runs.
        self._status: int | None = None

    def run(self) -> NoReturn:
        """Let the program begin, wait for its end, and end in the same way."""
        # If the supervisor is killed, the program becomes a child of this process.
        libc.prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)
        for number in (signal.SIGCHLD, *_STOPS):
            signal.signal(number, signal.SIG_DFL)
        leave_inherited()
        # These came before the program was in this process's group.
        for received in self._signals.read():
            self._pass_on(received.number)
        self._links.orders.send(BEGIN)
        self._links.orders.close()
        end_alike(self._wait())

    def _wait(self) -> int:
        """Return the status with which the program has ended."""
        poller = select.poll()
        for source in (self._links.reports, self._signals):
            poller.register(source, select.POLLIN)
        while self._status is None:
            for fd, _ in poller.poll():
                if fd == self._signals.fileno():
                    self._handle_signals()
                elif not self._handle_report():
                    poller.unregister(fd)
        return self._status

    def _handle_report(self) -> bool:
        """Handle a report of the supervisor. Return False if it has ended."""
        kind, data = self._links.reports.receive()
        if kind == ENDED:
            self._status = int(data)
        elif kind == STOPPED:
            self._stop(int(data))
        else:
            self._is_supervised = False
            if self._status is None:
                _tell("the supervisor of the seal has ended, and the network of the program is closed")
            self._reap()
        return kind != END

    def _handle_signals(self) -> None:
        for received in self._signals.read():
            if received.number == signal.SIGCHLD:
                self._reap()
            elif self._is_for_program(received):
                self._pass_on(received.number)

    def _is_for_program(self, received: Signal) -> bool:
        """Return True if the sender may mean the program, and does not know its number.

        A process of the tree that signals its whole process group reaches the program, and this process as well.
        """
        if received.sender == os.getpid() or received.has_reached_group():
            return False
        return received.is_kernels or not descends_from(received.sender, self._family)

    def _pass_on(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except (ProcessLookupError, PermissionError):  # it has ended, or has become another user's
            pass

    def _stop(self, number: int) -> None:
        """Stop as the program has done, so that the shell sees it. The shell continues both, or one who signals this
        process continues the program.
        """
        if not _is_job():
            return
        own = number if number in _STOPS else signal.SIGTSTP
        # The signal is pending while it is blocked. If the program is continued meanwhile, then so is this process, and
        # SIGCONT takes the pending signal away (signal(7)).
        os.kill(os.getpid(), own)
        if is_stopped(self._program):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (own,))
            signal.pthread_sigmask(signal.SIG_BLOCK, (own,))

    def _reap(self) -> None:
        """Bury children: the supervisor if it was killed, and then the program and the orphans of its tree."""
        try:
            while True:
                process, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
                if not process:
                    return
                if process == self._program:
                    self._take_status(status)
        except ChildProcessError:
            if self._status is None and not self._is_supervised:
                self._status = _UNKNOWN

    def _take_status(self, status: int) -> None:
        if os.WIFSTOPPED(status):
            self._stop(os.WSTOPSIG(status))
        else:
            self._status = status


def _is_job() -> bool:
    """Return True if a parent outside of this process group can continue it: a shell with job control.

    Otherwise the program's parent, the supervisor, is the only one. The group becomes orphaned at the program's end,
    and the kernel sends SIGHUP to every process of such a group if one of them is stopped (setpgid(2)).
    """
    try:
        parent = os.getppid()
        return os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != os.getpgrp()
    except OSError:  # the parent has ended, or is not visible
        return False


def _tell(line: str) -> None:
    """Write a line to standard error, if it can be written to."""
    try:
        os.write(2, f"socksify: {line}\n".encode())
    except OSError:
        pass


def end_alike(status: int) -> NoReturn:
    """End this process with a status of waitpid(2): the same exit status, or by the same signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        # The program has left its memory in a core file already.
        libc.prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        os._exit(128 + number)
    os._exit(os.WEXITSTATUS(status))
