"""The start of the program: whether it is sealed, what is installed for it, and how a command is executed.

The patches reach Python programs. Anything else is held to the proxy by a seal, or it is not started.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

from socksify._record import Record
from socksify.config.errors import ConfigError
from socksify.program.command import find_command
from socksify.seal.errors import SealUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from socksify.config.settings import Settings
    from socksify.seal.service import Service

# POSIX, Shell Command Language, 2.8.2: the exit status of a command that is not found, or that cannot be executed.
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_SHELL = "/bin/sh"


class CannotStartError(Exception):
    """The settings are right, but the program cannot be started: this Python, or our package, lacks something."""


class Command(Record):
    """A program that is not run in this process: its file, and its argv."""

    path: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)


def start(settings: Settings, words: Sequence[str], *, is_embedded: bool) -> None:
    """Prepare this process for a Python program. A command is executed instead, and the function does not return.

    `words` are the program and its arguments. `is_embedded` is True if the proxy is a server in this process. Raises
    ConfigError, and CannotStartError.
    """
    path = find_command(words)
    command = Command(path, tuple(words)) if path else None
    if command is not None and is_embedded:
        raise ConfigError(f"--embedded: {words[0]} is a command, and the server would end when it is executed")
    unsealed = _seal(settings, command, is_embedded)
    if command is not None:
        if unsealed:
            _check_unsealed(settings, command, unsealed)
        execute(command, _environment(settings))
    _install(settings)


def _seal(settings: Settings, command: Command | None, is_embedded: bool) -> str:
    """Seal this process if the settings and the command ask for it. Return the reason if it is not sealed, or ""."""
    if settings.seal == "off":
        return f"{settings.sources.get('seal', 'seal')} is off"
    if settings.seal == "auto" and not settings.strict and (command is None or _is_patched(settings, command)):
        return "the patches suffice"
    try:
        _enter_seal(settings, is_embedded)
    except SealUnavailableError as error:
        if settings.seal == "on":
            raise ConfigError(f"{settings.sources.get('seal', 'seal')}: {error}") from None
        return str(error)
    return ""


def _enter_seal(settings: Settings, is_embedded: bool) -> None:
    """Divide this process into three. Only the process of the program returns. Raises SealUnavailableError."""
    if is_embedded:
        raise SealUnavailableError("--embedded: the server in this process would be sealed with the program.")
    try:
        from socksify.seal.launcher import enter_seal
    except ImportError as error:
        raise SealUnavailableError(f"{error}. The seal needs ctypes. Use a Python that has it.") from None
    enter_seal(lambda: _make_service(settings))


def _make_service(settings: Settings) -> Service:
    """Return the service of the seal, in the process of the supervisor, whose own connections go direct."""
    hook = sys.modules.get("socksify_hook")
    if hook is not None and hook.state == "waiting":
        hook.give_up()
    patches = sys.modules.get("socksify.patches")
    if patches is not None:
        patches.uninstall()
    from socksify.seal.service import Service

    return Service(settings)


def _is_patched(settings: Settings, command: Command) -> bool:
    """Return True if a command starts Pythons that find the hook, and nothing else that may connect."""
    from socksify.patches.children.command_lines import CommandLine, programs

    found = list(programs(CommandLine(command.path, command.words)))
    return settings.children and bool(found) and all(program.is_python and not program.why_not for program in found)


def _check_unsealed(settings: Settings, command: Command, why: str) -> None:
    """Raise ConfigError if the connections of a command that is not sealed would go direct."""
    from socksify.patches.children.command_lines import is_harmless

    is_allowed = command.name in settings.allow or command.path in settings.allow
    if not (is_allowed or _is_patched(settings, command) or is_harmless(command.path, command.words)):
        raise ConfigError(
            f"{command.words[0]}: only a seal can hold its connections to the proxy: {why};"
            f" --allow {command.name} starts it all the same, and they go direct"
        )


def _environment(settings: Settings) -> Mapping[bytes, bytes]:
    """Return the environment of a command: the one that children are given."""
    if not settings.children:
        return os.environb
    from socksify.patches.children.environment import ChildEnvironment

    return ChildEnvironment(settings, os.environ).for_command(os.environb)


def execute(command: Command, environ: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by a command.

    If this fails, a line on stderr gives the reason, and SystemExit with the exit status of a shell is raised.
    """
    # Python ignores these signals (Python/pylifecycle.c), and a program would inherit that.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        _execute(command.path, command.words, environ)
    except OSError as error:
        if sys.stderr is not None:
            sys.stderr.write(f"socksify: {command.words[0]}: {error.strerror}\n")
        raise SystemExit(_NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE) from None


def _execute(path: str, words: tuple[str, ...], environ: Mapping[bytes, bytes]) -> NoReturn:
    try:
        os.execve(path, words, environ)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # execvp(3): the file is a script without a first line that names its interpreter.
        os.execve(_SHELL, [_SHELL, path, *words[1:]], environ)


def _install(settings: Settings) -> None:
    from socksify import patches
    from socksify.patches.c_extensions import ImportedAlreadyError

    try:
        patches.install(settings)
    except ImportedAlreadyError as error:
        raise ConfigError(f"{settings.sources.get('strict', 'strict')}: {error}") from None
    except OSError as error:
        if settings.log and error.filename == settings.log:
            raise ConfigError(f"{settings.sources.get('log', 'log')}: {error}") from None
        raise CannotStartError(_nothing_has_started(error)) from None
    except (ImportError, patches.PatchError) as error:
        raise CannotStartError(_nothing_has_started(error)) from None


def _nothing_has_started(error: Exception) -> str:
    return f"it cannot install in {sys.executable}, and nothing has started: {error}"
