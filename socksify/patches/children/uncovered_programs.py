"""What is said of children that go past the proxy: each is named once, and under strict it is not started.

A user bears one line for each program, so what is known to connect to nobody is not spoken of, nor what is allowed.
"""

from __future__ import annotations

import os
import sys

from socksify._hook_location import is_hooked
from socksify.patches import elf
from socksify.patches.children import environment
from socksify.patches.children.command_lines import CommandLine, Program, is_executable, programs
from socksify.routing import log
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

_NOT_PASSED_ON = "the settings are passed on to no child"
# None: nothing is installed.
_settings: Settings | None = None
_named: set[tuple[str, str]] = set()


def begin(settings: Settings, journal: Journal) -> None:
    """Name children by these settings until the journal is undone."""
    global _settings
    _settings = settings
    journal.on_undo(_end)


def _end() -> None:
    global _settings
    _settings = None


def is_on() -> bool:
    """Whether anybody wants to know what is started."""
    return _settings is not None


def started(path: str, words: Sequence[str], directory: str = "", environ: dict[str, str] | None = None) -> None:
    """A program is about to be started; raises PermissionError if strict forbids what it leads to.

    What cannot be started is left for the system to refuse.
    """
    if is_executable(path):
        own = os.environ if environ is None else environ
        for program in programs(CommandLine(path, tuple(words), directory, own)):
            _judge(program)


def uncovered_worker(receiver: str) -> None:
    """A Python is told what to do by a message, and no settings; raises PermissionError if strict forbids that."""
    if _settings is not None and not is_hooked(sys.executable):
        _say(receiver, sys.executable, _uncovered(receiver, sys.executable, _NOT_PASSED_ON), _NOT_PASSED_ON)


def _judge(program: Program) -> None:
    if _settings is None:
        return
    path, why_not = program.path, program.why_not
    if program.is_python:
        if not why_not and not _settings.children and not is_hooked(path):
            why_not = _NOT_PASSED_ON
        if not why_not:
            return
    shared = environment.shared
    what = f"is not covered: {why_not}" if program.is_python else "is no Python"
    if shared is not None and shared.configuration is not None and not elf.read(path, ()).is_static:
        if _is_new(path, why_not):
            log.line(f"{log.name}: the child {path} {what}: proxychains4 is put under it")
        return
    name = os.path.basename(path)
    if program.is_python:
        text = _uncovered(f"the child {path}", path, why_not)
    else:
        text = (
            f"the child {path} is no Python: its own connections are not proxied; --native puts proxychains4 under it,"
            f" --allow {name} says that you know"
        )
    _say(f"the child {path}", path, text, why_not)


def _say(who: str, path: str, text: str, why_not: str) -> None:
    """Once for each program and reason."""
    settings, name = _settings, os.path.basename(path)
    if settings is None or path in settings.allow or name in settings.allow:
        return
    if settings.strict:
        what = f"{who}, {f'which is not covered ({why_not}),' if why_not else 'which is no Python,'}"
        raise errors.forbidden(what, f'--allow {name}, or allow=["{name}"], lets it start all the same')
    if _is_new(who, why_not):
        log.warn(text)


def _is_new(who: str, why_not: str) -> bool:
    key = (who, why_not)
    is_new = key not in _named
    _named.add(key)
    return is_new


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
