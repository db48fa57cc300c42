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
from socksify.program.command import find_command, gives_privileges
from socksify.seal.errors import SealUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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
    is_sealed = _is_sealed()
    unsealed = "" if is_sealed else _seal(settings, command, is_embedded)
    if command is None:
        _install(settings)
        return
    if unsealed:
        _check_unsealed(settings, command, unsealed)
    else:
        _name_privileges(command)
    environ = _environment(settings)
    execute(command, _in_scope(settings, environ) if is_sealed else environ)


def _seal(settings: Settings, command: Command | None, is_embedded: bool) -> str:
    """Seal this process if the settings and the command ask for it. Return the reason if it is not sealed, or ""."""
    if settings.seal == "off":
        return f"{settings.sources.get('seal', 'seal')} is off, and not auto or on"
    if settings.seal == "auto" and not settings.strict and (command is None or _is_patched(settings, command)):
        return "the patches suffice"
    try:
        _enter_seal(settings, is_embedded, _import_patches if command is None else _import_environment)
    except SealUnavailableError as error:
        if settings.seal == "on":
            raise ConfigError(f"{settings.sources.get('seal', 'seal')}: {error}") from None
        return str(error)
    return ""


def _is_sealed() -> bool:
    """Return True if this process is in a seal already. There cannot be a second one, and there need not be."""
    from socksify.seal.processes.process_status import is_filtered

    if not is_filtered():
        return False
    _stop_hook()
    from socksify import _supervision

    return _supervision.is_sealed()


def _enter_seal(settings: Settings, is_embedded: bool, import_ahead: Callable[[], None]) -> None:
    """Divide this process into three. Only the process of the program returns. Raises SealUnavailableError.

    `import_ahead` is called in that process while the supervisor starts.
    """
    if is_embedded:
        raise SealUnavailableError("--embedded: the server in this process would be sealed with the program.")
    _check_log(settings)
    _stop_hook()
    try:
        from socksify.seal.processes.launcher import enter_seal
    except ImportError as error:
        raise SealUnavailableError(f"{error}. The seal needs ctypes. Use a Python that has it.") from None
    enter_seal(lambda: _make_service(settings), import_ahead)


def _check_log(settings: Settings) -> None:
    """Raise ConfigError if the supervisor could not open the log."""
    if settings.log in ("", "stderr"):
        return
    try:
        os.close(os.open(settings.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _unusable_log(settings, error) from None


def _unusable_log(settings: Settings, error: OSError) -> ConfigError:
    return ConfigError(f"{settings.sources.get('log', 'log')}: {error}")


def _import_patches() -> None:
    """Import what _install() will need."""
    try:
        from socksify.patches import installation

        installation.import_patches()
    except Exception:  # it is raised, and reported, when it is really needed
        pass


def _import_environment() -> None:
    """Import what _environment() will need."""
    try:
        import socksify.patches.children.environment  # noqa: F401
    except Exception:  # it is raised when it is really needed
        pass


def _make_service(settings: Settings) -> Service:
    """Return the service of the seal, in the process of the supervisor, whose own connections go direct."""
    patches = sys.modules.get("socksify.patches")
    if patches is not None:
        patches.uninstall()
    from socksify.seal.service import Service

    return Service(settings)


def _stop_hook() -> None:
    """Let the hook of this Python do nothing when `socket` is imported: this launcher takes its place."""
    hook = sys.modules.get("socksify_hook")
    if hook is not None and hook.state == "waiting":
        hook.give_up()


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
            f"{command.words[0]}: only a seal can hold its connections to the proxy: {why.removesuffix('.')}."
            f" --allow {command.name} starts it all the same, and its connections go direct."
        )


def _name_privileges(command: Command) -> None:
    """Tell the user if a command expects privileges that a sealed process does not get."""
    from socksify.seal.processes.process_status import own_field

    # The bit no_new_privs is not needed if this process could install filters anyway.
    if own_field("NoNewPrivs") == "1" and gives_privileges(command.path):
        _tell(f"{command.path}: its file gives privileges (setuid, or capabilities), which nobody gains in a seal")


def _environment(settings: Settings) -> Mapping[bytes, bytes]:
    """Return the environment of a command: the one that children are given."""
    if not settings.children:
        return os.environb
    from socksify.patches.children.environment import ChildEnvironment

    return ChildEnvironment(settings, os.environ).for_command(os.environb)


def _in_scope(settings: Settings, environ: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Return the environment by which the supervisor of the present seal finds these settings. Raises ConfigError."""
    from socksify import _supervision
    from socksify.config import inherited

    try:
        scope = _supervision.register(inherited.encoded(settings))
    except OSError as error:
        raise ConfigError(f"the supervisor of the seal knows no such settings: {error.strerror}") from None
    others = {name: value for name, value in environ.items() if name != os.fsencode(inherited.SCOPE)}
    return others | ({os.fsencode(inherited.SCOPE): str(scope).encode()} if scope else {})


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
        _tell(f"{command.words[0]}: {error.strerror}")
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
            raise _unusable_log(settings, error) from None
        raise CannotStartError(_nothing_has_started(error)) from None
    except (ImportError, patches.PatchError) as error:
        raise CannotStartError(_nothing_has_started(error)) from None


def _tell(line: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"socksify: {line}\n")


def _nothing_has_started(error: Exception) -> str:
    return f"it cannot install in {sys.executable}, and nothing has started: {error}"
