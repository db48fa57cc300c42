"""Runs a program natively, under the seal or under a peer, and compares the outcomes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.reports import launchers
from tests.reports.client_runs import Run
from tests.reports.launchers import ENVIRONMENT
from tests.reports.sealed.bed import Bed
from tests.reports.sealed.matrix import STUB, Case
from tests.reports.sealed.users import User
from tests.support.network.addresses import NAME_SERVER, PROXY
from tests.support.network.name_server import stub
from tests.support.network.namespaces import Namespace

SECONDS, END_SECONDS = 30.0, 5.0


@dataclass(frozen=True)
class Way:
    """A way to start a program. The words that precede its command may depend on the user.

    `runs_scripts` tells whether a Python program can follow these words, without an interpreter.
    """

    name: str
    before: Callable[[User], Sequence[str]]
    runs_scripts: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)

    def words(self, case: Case, user: User, command: Sequence[str]) -> list[str]:
        interpreter = [user.python] if case.is_script and not self.runs_scripts else []
        return [*self.before(user), *interpreter, *command]


NATIVE = Way("natively", lambda _: ())


def sealed(proxy: tuple[str, int] = PROXY) -> Way:
    options = ("-m", "socksify", "--seal=on", "--proxy", "socks5h://{}:{}".format(*proxy))
    return Way("socksify --seal", lambda user: (user.python, *options), runs_scripts=True)


def peers(directory: Path) -> list[Way]:
    """Return the peers that can start any command. Their configuration files are written into `directory`."""
    return [_peer(found) for found in (launchers.proxychains(directory, ()), launchers.torsocks(directory, ()))]


def _peer(launcher: launchers.Launcher) -> Way:
    return Way(launcher.name, lambda _: launcher.words, environment=launcher.environment)


def run(bed: Bed, way: Way, case: Case, user: User) -> Run:
    """Run a program in a namespace of its own."""
    bed.prepare(case)
    words = way.words(case, user, bed.words(case, user))
    with bed.network.client() as client, bed.working_directory(user) as directory:
        _mount_libraries(client.namespace, user)
        with stub(client.namespace, STUB, NAME_SERVER) if STUB in case.command else contextlib.nullcontext():
            command = client.command(*user.words, f"--chdir={directory}", *words)
            status, output, errors = _finish(command, way.environment)
        return Run(status, output, errors, client.packets())


def expect_leaks(case: Case, native: Run) -> None:
    """Check that the program works natively, and that the recording has what leaks."""
    assert native.status == case.status, native.story
    assert native.kinds >= set(case.leaks.split()), native.story


def users_of(bed: Bed, case: Case) -> list[User]:
    """Return the users that can run this case: a Python of another version cannot use the libraries."""
    return [user for user in bed.users if user.has_libraries or not case.is_python]


def verdict(ended: Run, native: Run) -> str:
    """Return the result in a word or two. Leaks come first; the exit status is a part of the result."""
    if ended.leaked:
        return f"LEAKS {' '.join(sorted(ended.kinds))}"
    if ended.status != native.status:
        return "breaks"
    return "ok" if ended.output == native.output else "differs"


def _mount_libraries(namespace: Namespace, user: User) -> None:
    if user.mount:
        subprocess.run(namespace.command(*user.mount), env=ENVIRONMENT, check=True, timeout=SECONDS)


def _finish(words: list[str], environment: Mapping[str, str]) -> tuple[int | None, str, str]:
    """Return status, output and errors. The output is complete when the last process that may write has ended."""
    process = subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=END_SECONDS)
            return None, "", f"not done after {SECONDS:.0f} s"
    return process.returncode, output.strip(), errors.strip()
