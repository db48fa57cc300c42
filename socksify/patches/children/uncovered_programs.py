"""Programs whose connections are not proxied: one warning names each program, or with `strict` it is not started.

The user gets one line for each program, and no line for programs that are allowed or known to be harmless.
"""

from __future__ import annotations

import os
import sys

from socksify._hook_location import is_hooked
from socksify.patches.children.command_lines import CommandLine, Program, is_executable, programs
from socksify.patches.notices import NOTICES, SEAL
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

_NOT_PASSED_ON = "the settings are passed on to no child"


class UncoveredPrograms:
    """Warns of uncovered programs while settings are installed: one object in a process."""

    def __init__(self) -> None:
        # None: nothing is installed.
        self._settings: Settings | None = None
        self._is_sealed = False

    def watch(self, settings: Settings, journal: Journal, *, is_sealed: bool) -> None:
        """Warn of programs under these settings until the journal is undone, unless a seal covers every program."""
        self._settings, self._is_sealed = settings, is_sealed
        journal.on_undo(self.clear)

    def clear(self) -> None:
        """Stop the warnings."""
        self._settings = None

    @property
    def is_on(self) -> bool:
        """True while settings are installed."""
        return self._settings is not None

    def check(
        self, path: str, words: Sequence[str], directory: str = "", environ: dict[str, str] | None = None
    ) -> None:
        """Warn of each uncovered program that a command line starts.

        `path` is the file for execve(2) and `words` is its argv. `directory` and `environ` are the child's working
        directory and its environment, by default the directory and the environment of this process. If the file cannot
        be executed, the system refuses it, and there is no warning. Raises PermissionError if `strict` forbids a
        program.
        """
        if not self._is_sealed and is_executable(path):
            own = os.environ if environ is None else environ
            for program in programs(CommandLine(path, tuple(words), directory, own)):
                self._check_program(program)

    def check_worker(self, receiver: str) -> None:
        """Warn of a Python that gets its work in a message without settings.

        `receiver` describes this Python to the user. Raises PermissionError if `strict` forbids the Python.
        """
        if self._settings is not None and not self._is_sealed and not is_hooked(sys.executable):
            text = _uncovered_message(receiver, sys.executable, _NOT_PASSED_ON)
            self._warn(receiver, sys.executable, text, _NOT_PASSED_ON)

    def _check_program(self, program: Program) -> None:
        if self._settings is None:
            return
        path, why_not = program.path, self._why_not(program, self._settings)
        if program.is_python and not why_not:
            return
        if program.is_python:
            self._warn(f"the child {path}", path, _uncovered_message(f"the child {path}", path, why_not), why_not)
        else:
            self._warn(f"the child {path}", path, _not_python_message(path), why_not)

    def _why_not(self, program: Program, settings: Settings) -> str:
        gets_no_settings = program.is_python and not settings.children and not is_hooked(program.path)
        return program.why_not or (_NOT_PASSED_ON if gets_no_settings else "")

    def _warn(self, subject: str, path: str, text: str, why_not: str) -> None:
        """Warn once for each program and reason. Raises PermissionError if `strict` forbids the program."""
        settings, name = self._settings, os.path.basename(path)
        if settings is None or path in settings.allow or name in settings.allow:
            return
        if settings.strict:
            what = f"{subject}, {f'which is not covered ({why_not}),' if why_not else 'which is no Python,'}"
            allow = f'--allow {name}, or allow=["{name}"], lets it start all the same, past the proxy'
            raise errors.forbidden(what, f"{SEAL}; {allow}")
        NOTICES.give(text, subject, why_not)


UNCOVERED = UncoveredPrograms()


def _not_python_message(path: str) -> str:
    return (
        f"the child {path} is no Python: its own connections are not proxied; {SEAL};"
        f" --allow {os.path.basename(path)} says that you know"
    )


def _uncovered_message(subject: str, path: str, why_not: str) -> str:
    if why_not == _NOT_PASSED_ON:
        remedy = "children=True covers it"
    elif why_not.startswith("-S"):
        remedy = "start it without -S"
    elif why_not.startswith("this installation"):
        remedy = "install socksify again"
    elif why_not.startswith("a Python before 3"):
        remedy = f"--allow {os.path.basename(path)} says that you know"
    else:
        remedy = f"`socksify site install --python {path}` covers it"
    return f"{subject} is not covered: {why_not}; its connections are not proxied; {remedy}"
