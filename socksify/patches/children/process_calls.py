"""The calls that start a child: fork_exec() of subprocess and multiprocessing, execve(2), posix_spawn(3), system(3).

These calls are enough: os.popen() and asyncio use subprocess, and os.spawn*() and pty.spawn() use fork() and execve(2).
uvloop starts processes in C, and by default gives them the environment of C. So the two methods of uvloop that start a
process are wrapped as well.
"""

from __future__ import annotations

import _posixsubprocess
import os
from _thread import _local

from socksify import _originals
from socksify.patches.children.command_lines import find, is_executable
from socksify.patches.children.environment import SHARED
from socksify.patches.children.uncovered_programs import UNCOVERED
from socksify.patches.journal import Replacement
from socksify.routing import fake_addresses
from socksify.tunnel.handover import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from socksify.patches.journal import Journal

    Word = str | bytes | os.PathLike[Any]
    Environment = Mapping[Any, Any]

_SHELL = "/bin/sh"


class _SettingsBySpawnMessage(_local):
    """A `with` block in which this thread starts a Python that is sent the settings by a message.

    Such a Python is covered, with any options and any environment, so it needs no warning.
    """

    is_entered = False

    def __enter__(self) -> None:
        self.is_entered = True

    def __exit__(self, *_: object) -> None:
        self.is_entered = False


SETTINGS_BY_SPAWN_MESSAGE = _SettingsBySpawnMessage()


def _fork_exec(
    _: object,
    args: Sequence[Word],
    executables: Sequence[bytes],
    close_fds: bool,
    pass_fds: Sequence[int],
    cwd: Word | None,
    env: Sequence[bytes] | None,
    *rest: Any,
) -> int:
    if UNCOVERED.is_on:
        given = None if env is None else _pairs(env)
        _prepare(_first_executable(executables, cwd), args, cwd, given)
        # One descriptor is always passed: the child reports a failure to subprocess on it.
        if len(pass_fds) > 1 and SHARED.current is not None:
            handover.prepare()
        env = _list_for_child(env)
    pid: int = _originals.fork_exec(args, executables, close_fds, pass_fds, cwd, env, *rest)
    return pid


def _execv(_: object, path: Word, argv: Sequence[Word]) -> None:
    if not UNCOVERED.is_on:
        _originals.execv(path, argv)
    _prepare(path, argv)
    fake_addresses.TABLE.keep_over_exec(True)
    own = SHARED.given(None)
    try:
        if own is None:
            _originals.execv(path, argv)
        else:
            _originals.execve(path, argv, own)
    finally:
        fake_addresses.TABLE.keep_over_exec(False)


def _execve(_: object, path: Word | int, argv: Sequence[Word], env: Environment) -> None:
    if not UNCOVERED.is_on:
        _originals.execve(path, argv, env)
    _prepare(path, argv, None, env)
    fake_addresses.TABLE.keep_over_exec(True)
    try:
        _originals.execve(path, argv, _mapping_for_child(env))
    finally:
        fake_addresses.TABLE.keep_over_exec(False)


def _posix_spawn(_: object, path: Word, argv: Sequence[Word], env: Environment | None, /, **options: Any) -> int:
    if UNCOVERED.is_on:
        _prepare(path, argv, None, env)
        env = _mapping_for_child(env)
    pid: int = _originals.posix_spawn(path, argv, env, **options)
    return pid


def _posix_spawnp(_: object, path: Word, argv: Sequence[Word], env: Environment | None, /, **options: Any) -> int:
    if UNCOVERED.is_on:
        _prepare(_executable_of(path), argv, None, env)
        env = _mapping_for_child(env)
    pid: int = _originals.posix_spawnp(path, argv, env, **options)
    return pid


def _system(_: object, command: Word) -> int:
    if UNCOVERED.is_on:
        _prepare(_SHELL, [_SHELL, "-c", command])
    own = SHARED.given(None)
    if own is None:
        status: int = _originals.system(command)
        return status
    # system(3) would use the environment of C, which all threads share, while the block of via() is this thread's.
    pid: int = _originals.posix_spawn(_SHELL, ["sh", "-c", "--", command], own)
    return os.waitpid(pid, 0)[1]


def _putenv(_: object, name: Any, value: Any, /) -> None:
    """Pass a variable that the program has set on to C, with the hook's directory in front of PYTHONPATH."""
    _originals.putenv(name, SHARED.with_hook(name, value))


def _unsetenv(_: object, name: Any, /) -> None:
    if SHARED.has_hook_in(name):
        _originals.putenv(name, SHARED.with_hook(name, b""))
    else:
        _originals.unsetenv(name)


_EXECVE = Replacement(os, "execve", _execve)
REPLACEMENTS = (
    Replacement(_posixsubprocess, "fork_exec", _fork_exec),
    Replacement(os, "execv", _execv),
    _EXECVE,
    Replacement(os, "posix_spawn", _posix_spawn),
    Replacement(os, "posix_spawnp", _posix_spawnp),
    Replacement(os, "system", _system),
    Replacement(os, "putenv", _putenv),
    Replacement(os, "unsetenv", _unsetenv),
)


def replace_in_supports_fd(journal: Journal) -> None:
    """Put our execve() into os.supports_fd: programs ask whether that set contains `os.execve`."""
    if _originals.execve in os.supports_fd:
        journal.replace_member(os.supports_fd, _originals.execve, _EXECVE.new)


def wrap_uvloop(journal: Journal, uvloop: Any) -> None:
    """Wrap the two methods of uvloop's loops that start a process, until the journal is undone."""

    class Children:
        """Methods that come before the methods of the same names that uvloop.Loop inherits."""

        async def subprocess_exec(self, factory: Any, program: Any, *args: Any, **options: Any) -> Any:
            options = _options_for_child([program, *args], options)
            return await super(uvloop.Loop, self).subprocess_exec(factory, program, *args, **options)  # type: ignore[misc]

        async def subprocess_shell(self, factory: Any, command: Any, **options: Any) -> Any:
            options = _options_for_child([_SHELL, "-c", command], options)
            return await super(uvloop.Loop, self).subprocess_shell(factory, command, **options)  # type: ignore[misc]

    for name in ("subprocess_exec", "subprocess_shell"):
        method = vars(Children)[name]
        method.__qualname__ = f"Loop.{name}"
        journal.set_attribute(uvloop.Loop, name, method)


def _options_for_child(words: Sequence[Word], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a Popen that is made in C, with the environment that its child is to have."""
    if not UNCOVERED.is_on:
        return options
    _prepare(_executable_of(options.get("executable") or words[0]), words, options.get("cwd"), options.get("env"))
    env = _mapping_for_child(options.get("env"))
    return options if env is None else {**options, "env": _decoded(env)}


def _prepare(
    path: Word | int, argv: Sequence[Word], cwd: Word | None = None, environ: Environment | None = None
) -> None:
    """Before a child starts: write down the data that it reads, and warn if the child will not be covered.

    Arguments of wrong types are ignored here; the original call refuses them. Raises PermissionError if `strict`
    forbids the child.
    """
    SHARED.refresh()
    if SETTINGS_BY_SPAWN_MESSAGE.is_entered:
        return
    try:
        words = [os.fsdecode(word) for word in argv]
        directory = "" if cwd is None else os.path.abspath(os.fsdecode(cwd))
        known = None if environ is None else _decoded(_encoded(environ))
        file = f"/proc/self/fd/{path}" if isinstance(path, int) else os.fsdecode(path)
    except (TypeError, ValueError, AttributeError):
        return
    UNCOVERED.check(file, words, directory, known)


def _first_executable(executables: Sequence[bytes], cwd: Word | None) -> str:
    """Return the first of subprocess's candidates that can be started in the child's working directory `cwd`."""
    try:
        directory = "" if cwd is None else os.fsdecode(cwd)
        paths = [os.path.join(directory, os.fsdecode(path)) for path in executables]
        return next((path for path in paths if is_executable(path)), paths[0] if paths else "")
    except (TypeError, ValueError):  # the original will refuse it
        return ""


def _executable_of(name: Word) -> str:
    """Return the file that posix_spawnp(3) and execvp(3) start for a name, or an empty text for no valid name."""
    try:
        return find(os.fsdecode(name), os.get_exec_path())
    except (TypeError, ValueError):  # the original will refuse it
        return ""


def _list_for_child(env: Sequence[bytes] | None) -> Sequence[bytes] | None:
    """Return a child's environment as a list of NAME=VALUE, as subprocess has it, with our variables added."""
    if SHARED.current is None:
        return env
    pairs = SHARED.given(None if env is None else _pairs(env))
    return None if pairs is None else [name + b"=" + value for name, value in pairs.items()]


def _pairs(env: Sequence[bytes]) -> dict[bytes, bytes]:
    return {name: value for name, _, value in (entry.partition(b"=") for entry in env)}


def _mapping_for_child(env: Environment | None) -> Environment | None:
    """Return a child's environment as a mapping, as `os` has it, with our variables added.

    `env` may be None, because posix_spawn() takes None from Python 3.13 on. An `env` of a wrong type is returned
    unchanged; the original call refuses it.
    """
    try:
        encoded = None if env is None else _encoded(env)
    except (TypeError, ValueError, AttributeError):
        return env
    return SHARED.given(encoded)


def _encoded(env: Environment) -> dict[bytes, bytes]:
    """Return an environment in bytes. Like `os`, this function calls only keys() and values() of the mapping."""
    return {os.fsencode(name): os.fsencode(value) for name, value in zip(env.keys(), env.values(), strict=False)}


def _decoded(env: Environment) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in env.items()}
