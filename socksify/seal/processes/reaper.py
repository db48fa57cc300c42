"""The supervisor as the parent of the tree: it reports what becomes of the program, and buries every orphan."""

from __future__ import annotations

import os
import signal

from socksify.seal.kernel import libc
from socksify.seal.processes.links import ENDED, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.seal.processes.links import Pipe

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# The kernel sends this signal when the launcher has ended.
_LAUNCHER_ENDED = signal.SIGTERM
# These keep their actions: errors of the supervisor itself, SIGCONT, and what cannot be changed.
_KEPT = frozenset(
    (
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS),
        *(signal.SIGCONT, signal.SIGKILL, signal.SIGSTOP),
    )
)


class Reaper:
    """Watches the program, whose parent this process is, and the orphans of its tree."""

    def __init__(self, program: int, launcher: int, reports: Pipe) -> None:
        self._program = program
        self._launcher = launcher
        self._reports = reports
        self._has_ended = False
        # For the end of the program: no descriptor may be left by then.
        self._null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def watch(self) -> None:
        """Handle signals from now on. All of them were blocked until now, so none is lost."""
        handled = {signal.SIGCHLD: self._reap, _LAUNCHER_ENDED: self._follow_launcher}
        # A pending signal is lost when it is ignored, so these two are not ignored first.
        for number in signal.valid_signals() - _KEPT - handled.keys():
            signal.signal(number, signal.SIG_IGN)
        for number, handler in handled.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # The launcher may have ended before its end was to be signalled.
        self._follow_launcher()

    def finish(self) -> None:
        """Wait for the program, if it has not ended yet."""
        while not self._has_ended:
            self._bury(os.WEXITED)

    def _reap(self, *_: object) -> None:
        try:
            while self._bury(os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG):
                pass
        except ChildProcessError:
            pass

    def _bury(self, options: int) -> bool:
        """Wait for one change of a child. Return False if there is none. Raises ChildProcessError without a child."""
        # It is reported before it is forgotten. If this process is killed in between, the launcher waits for the
        # program itself.
        found = os.waitid(os.P_ALL, 0, options | os.WNOWAIT)
        if found is None:
            return False
        if found.si_pid == self._program:
            self._report(found)
        os.waitid(os.P_PID, found.si_pid, options | os.WNOHANG)
        return True

    def _report(self, found: os.waitid_result) -> None:
        if found.si_code == os.CLD_STOPPED:
            self._reports.send(STOPPED, str(found.si_status).encode())
            return
        # The launcher has stopped as the program did, and it may be that another process has continued the program.
        if os.getppid() == self._launcher:
            os.kill(self._launcher, signal.SIGCONT)
        if found.si_code == os.CLD_CONTINUED:
            return
        if found.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
            # A status as waitpid(2) returns it.
            status = found.si_status << 8 if found.si_code == os.CLD_EXITED else found.si_status
            self._has_ended = True
            self._reports.send(ENDED, str(status).encode())
            # The reader of a pipe may wait for its end. Daemons of the program may live on.
            os.dup2(self._null, 2)

    def _follow_launcher(self, *_: object) -> None:
        """Kill the program if the launcher was killed. Any other SIGTERM is ignored."""
        if not self._has_ended and os.getppid() != self._launcher:
            # The number belongs to the program until it is buried.
            os.kill(self._program, signal.SIGKILL)


def become_parent() -> None:
    """Let this process get the orphans of its tree, and a signal when the launcher ends. Raises OSError."""
    # In the launcher's group, the keys of the terminal would reach this process.
    libc.call(os.setpgid, 0, 0)
    libc.prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, _LAUNCHER_ENDED)
