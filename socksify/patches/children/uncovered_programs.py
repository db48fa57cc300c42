"""Programs whose connections are not proxied: each is named once, or with `strict` not started.

A user is told one line for each program. So nothing is said of programs that are known to be harmless, or allowed.
"""

from __future__ import annotations

import os
import sys

from socksify._hook_location import is_hooked
from socksify.patches import elf
from socksify.patches.children.command_lines import CommandLine, Program, is_executable, programs
from socksify.patches.children.environment import SHARED
from socksify.routing import log
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

_NOT_PASSED_ON = "the settings are passed on to no child"
# A program that starts very many scripts of its own making is told of some of them twice.
_MAX_NAMED = 4096


class UncoveredPrograms:
    """Names programs by the settings that are in force: one object in a process."""

    def __init__(self) -> None:
        # None: nothing is installed.
        self._settings: Settings | None = None
        # (what is not covered, why) -> said already
        self._named: set[tuple[str, str]] = set()

    def watch(self, settings: Settings, journal: Journal) -> None:
        """Name programs by these settings until the journal is undone."""
        self._settings = settings
        journal.on_undo(self.clear)

    def clear(self) -> None:
        """Name nothing any more."""
        self._settings = None

    @property
    def is_on(self) -> bool:
        """True while settings are in force."""
        return self._settings is not None

    def check(
        self, path: str, words: Sequence[str], directory: str = "", environ: dict[str, str] | None = None
    ) -> None:
        """Name what the start of a program leads to. Raises PermissionError if `strict` forbids it.

        `path` is the file that execve(2) is given and `words` is its argv. `directory` and `environ` are the child's
        working directory and its environment, by default those of this process. If the file cannot be executed,
        the system refuses it, and nothing is said.
        """
        if is_executable(path):
            own = os.environ if environ is None else environ
            for program in programs(CommandLine(path, tuple(words), directory, own)):
                self._judge(program)

    def check_worker(self, receiver: str) -> None:
        """Name a Python that is told what to do by a message without settings.

        `receiver` says in a user's words what that Python is. Raises PermissionError if `strict` forbids it.
        """
        if self._settings is not None and not is_hooked(sys.executable):
            text = _uncovered(receiver, sys.executable, _NOT_PASSED_ON)
            self._say(receiver, sys.executable, text, _NOT_PASSED_ON)

    def _judge(self, program: Program) -> None:
        if self._settings is None:
            return
        path, why_not = program.path, self._why_not(program, self._settings)
        if program.is_python and not why_not:
            return
        if _runs_under_proxychains(path):
            if self._is_new(path, why_not):
                what = f"is not covered: {why_not}" if program.is_python else "is no Python"
                log.line(f"{log.name}: the child {path} {what}: proxychains4 is put under it")
        elif program.is_python:
            self._say(f"the child {path}", path, _uncovered(f"the child {path}", path, why_not), why_not)
        else:
            self._say(f"the child {path}", path, _no_python(path), why_not)

    def _why_not(self, program: Program, settings: Settings) -> str:
        is_alone = program.is_python and not settings.children and not is_hooked(program.path)
        return program.why_not or (_NOT_PASSED_ON if is_alone else "")

    def _say(self, who: str, path: str, text: str, why_not: str) -> None:
        """Warn once for each program and reason. Raises PermissionError if `strict` forbids the program."""
        settings, name = self._settings, os.path.basename(path)
        if settings is None or path in settings.allow or name in settings.allow:
            return
        if settings.strict:
            what = f"{who}, {f'which is not covered ({why_not}),' if why_not else 'which is no Python,'}"
            raise errors.forbidden(what, f'--allow {name}, or allow=["{name}"], lets it start all the same')
        if self._is_new(who, why_not):
            log.warn(text)

    def _is_new(self, who: str, why_not: str) -> bool:
        key = (who, why_not)
        if key in self._named:
            return False
        if len(self._named) >= _MAX_NAMED:
            self._named.clear()
        self._named.add(key)
        return True


UNCOVERED = UncoveredPrograms()


def _runs_under_proxychains(path: str) -> bool:
    """Return True if proxychains4 is put under this child. The dynamic loader does that, so not under a static one."""
    current = SHARED.current
    return current is not None and current.has_proxychains and not elf.read(path, ()).is_static


def _no_python(path: str) -> str:
    return (
        f"the child {path} is no Python: its own connections are not proxied; --native puts proxychains4 under it,"
        f" --allow {os.path.basename(path)} says that you know"
    )


def _uncovered(who: str, path: str, why_not: str) -> str:
    if why_not == _NOT_PASSED_ON:
        how = "children=True covers it"
    elif why_not.startswith("-S"):
        how = "start it without -S"
    elif why_not.startswith("a Python before 3"):
        how = f"--allow {os.path.basename(path)} says that you know"
    else:
        how = f"`socksify site install --python {path}` covers it"
    return f"{who} is not covered: {why_not}; its connections are not proxied; {how}"
