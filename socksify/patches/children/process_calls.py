"""Where children start: subprocess and multiprocessing by fork_exec(), os by execve(2), posix_spawn(3) and system(3).

os.popen() is subprocess's, os.spawn*() and pty.spawn() are fork() and execve(2), asyncio's processes are subprocess's.
"""

from __future__ import annotations

import _posixsubprocess
import os
from _thread import get_ident

from socksify import _originals
from socksify.patches.children import environment, uncovered_programs
from socksify.patches.children.command_lines import find, is_executable
from socksify.patches.journal import Replacement
from socksify.tunnel import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.patches.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from socksify.patches.journal import Journal

    Word = str | bytes | os.PathLike[Any]
    Environment = Mapping[Any, Any]

_SHELL = "/bin/sh"
# Threads that start a Python which is told the settings by a message.
told: set[int] = set()


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
    if uncovered_programs.is_on():
        given = None if env is None else _pairs(env)
        _look(_first(executables, cwd), args, cwd, given)
        # subprocess always passes one, by which it is told of a failure.
        if len(pass_fds) > 1 and environment.shared is not None:
            handover.meet()
        env = _listed(env)
    pid: int = _originals.fork_exec(args, executables, close_fds, pass_fds, cwd, env, *rest)
    return pid


def _execv(_: object, path: Word, argv: Sequence[Word]) -> None:
    if not uncovered_programs.is_on():
        _originals.execv(path, argv)
    _look(path, argv)
    environment.leave_behind(True)
    own = environment.given(None)
    try:
        if own is None:
            _originals.execv(path, argv)
        else:
            _originals.execve(path, argv, own)
    finally:
        environment.leave_behind(False)


def _execve(_: object, path: Word | int, argv: Sequence[Word], env: Environment) -> None:
    if not uncovered_programs.is_on():
        _originals.execve(path, argv, env)
    _look(path, argv, None, env)
    environment.leave_behind(True)
    try:
        _originals.execve(path, argv, _mapped(env))
    finally:
        environment.leave_behind(False)


def _posix_spawn(_: object, path: Word, argv: Sequence[Word], env: Environment | None, /, **how: Any) -> int:
    if uncovered_programs.is_on():
        _look(path, argv, None, env)
        env = _mapped(env)
    pid: int = _originals.posix_spawn(path, argv, env, **how)
    return pid


def _posix_spawnp(_: object, path: Word, argv: Sequence[Word], env: Environment | None, /, **how: Any) -> int:
    if uncovered_programs.is_on():
        _look(_searched(path), argv, None, env)
        env = _mapped(env)
    pid: int = _originals.posix_spawnp(path, argv, env, **how)
    return pid


def _system(_: object, command: Word) -> int:
    if uncovered_programs.is_on():
        _look(_SHELL, [_SHELL, "-c", command])
    own = environment.given(None)
    if own is None:
        status: int = _originals.system(command)
        return status
    # system(3) would take the environment of C, which all threads share.
    pid: int = _originals.posix_spawn(_SHELL, ["sh", "-c", "--", command], own)
    return os.waitpid(pid, 0)[1]


def announced(words: Sequence[Word], how: dict[str, Any]) -> dict[str, Any]:
    """The keywords of somebody else's Popen, which C will obey, with what its child is to be given."""
    if not uncovered_programs.is_on():
        return how
    _look(_searched(how.get("executable") or words[0]), words, how.get("cwd"), how.get("env"))
    env = _mapped(how.get("env"))
    return how if env is None else {**how, "env": {os.fsdecode(k): os.fsdecode(v) for k, v in env.items()}}


def _putenv(_: object, name: Any, value: Any, /) -> None:
    """os.environ tells C what the program has set; what is ours stays in front of it."""
    shared = environment.shared
    if shared is not None and os.fsencode(name) in shared.lists:
        value = shared.listed(os.fsencode(name), os.fsencode(value))
    _originals.putenv(name, value)


def _unsetenv(_: object, name: Any, /) -> None:
    shared = environment.shared
    if shared is not None and os.fsencode(name) in shared.lists:
        _originals.putenv(name, shared.listed(os.fsencode(name), b""))
    else:
        _originals.unsetenv(name)


def _first(executables: Sequence[bytes], cwd: Word | None) -> str:
    """The one of subprocess's candidates that will be started, seen from the child's working directory."""
    try:
        directory = "" if cwd is None else os.fsdecode(cwd)
        paths = [os.path.join(directory, os.fsdecode(path)) for path in executables]
        return next((path for path in paths if is_executable(path)), paths[0] if paths else "")
    except (TypeError, ValueError):  # what the original will refuse
        return ""


def _searched(name: Word) -> str:
    """What posix_spawnp(3) and execvp(3) find."""
    try:
        return find(os.fsdecode(name), os.get_exec_path())
    except (TypeError, ValueError):  # what the original will refuse
        return ""


def _listed(env: Sequence[bytes] | None) -> Sequence[bytes] | None:
    """subprocess's spelling of an environment."""
    if environment.shared is None:
        return env
    pairs = environment.given(None if env is None else _pairs(env))
    return None if pairs is None else [name + b"=" + value for name, value in pairs.items()]


def _pairs(env: Sequence[bytes]) -> dict[bytes, bytes]:
    return {name: value for name, _, value in (entry.partition(b"=") for entry in env)}


def _mapped(env: Environment | None) -> Environment | None:
    """os's, which may be none for posix_spawn() from 3.13 on, and which asks a mapping for keys() and values().

    What it cannot take is left for it to refuse.
    """
    try:
        encoded = None if env is None else _encoded(env)
    except (TypeError, ValueError, AttributeError):
        return env
    return environment.given(encoded)


def _encoded(env: Environment) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in zip(env.keys(), env.values(), strict=False)}


def _look(path: Word | int, argv: Sequence[Word], cwd: Word | None = None, environ: Environment | None = None) -> None:
    """A child is about to start: tell it names, and name it if it will not be covered.

    What is no command is left for the original to refuse. Raises PermissionError if strict forbids the child.
    """
    if environment.shared is not None:
        environment.shared.tell_names()
    if get_ident() in told:
        return
    try:
        words = [os.fsdecode(word) for word in argv]
        directory = "" if cwd is None else os.path.abspath(os.fsdecode(cwd))
        given = None if environ is None else _encoded(environ)
        file = f"/proc/self/fd/{path}" if isinstance(path, int) else os.fsdecode(path)
    except (TypeError, ValueError, AttributeError):
        return
    known = None if given is None else {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}
    uncovered_programs.started(file, words, directory, known)


def tell_abilities(journal: Journal) -> None:
    """os.supports_fd holds functions, and is asked for the one that is in os."""
    if _originals.execve in os.supports_fd:
        journal.replace_member(os.supports_fd, _originals.execve, _EXECVE.new)


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


# uvloop starts processes in C: with the environment of C, unless one is given, which is then told all it lacks.


def adapt(journal: Journal, module: Any) -> None:
    """Wrap the two methods of its loops that start a process."""

    class Children:
        """In front of uvloop's own, which are inherited."""

        async def subprocess_exec(self, factory: Any, program: Any, *args: Any, **how: Any) -> Any:
            how = announced([program, *args], how)
            return await super(module.Loop, self).subprocess_exec(factory, program, *args, **how)  # type: ignore[misc]

        async def subprocess_shell(self, factory: Any, command: Any, **how: Any) -> Any:
            how = announced(["/bin/sh", "-c", command], how)
            return await super(module.Loop, self).subprocess_shell(factory, command, **how)  # type: ignore[misc]

    for name in ("subprocess_exec", "subprocess_shell"):
        method = vars(Children)[name]
        method.__qualname__ = f"Loop.{name}"
        journal.set_attribute(module.Loop, name, method)
