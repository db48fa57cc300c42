"""The hook's files in a site-packages directory: written so that no start of Python ever sees half of them.

socksify_hook/*.py            the hook, a copy of the one in sitecustomize_template/
socksify_hook/settings.toml   what it installs with
socksify_hook.pth             calls it, up to Python 3.17; written last and removed first
socksify_hook.start           names what calls it, from Python 3.18 on (PEP 829); in no environment of an older one
socksify_hook_start.py        what the .start file names
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager

from socksify._hook_location import NAME, template
from socksify._network_block import IN_C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW = ".new"


def is_there(directory: str) -> bool:
    """Whether any part of a hook is."""
    return any(map(os.path.lexists, _outside(directory))) or os.path.lexists(home(directory))


def home(directory: str) -> str:
    """The hook's own directory in site-packages."""
    return os.path.join(directory, NAME)


def settings_file(directory: str) -> str:
    """Where the settings are."""
    return os.path.join(home(directory), "settings.toml")


def has_settings(directory: str) -> bool:
    """Whether settings were installed, be they gone since: the file that calls the hook knows."""
    return os.path.lexists(settings_file(directory)) or any(map(_tells_settings, _outside(directory)))


def is_private(path: str) -> bool:
    """Whether a file may be read by its owner alone."""
    return stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0


def _tells_settings(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return tells_settings(file.read())
    except OSError:
        return False


def write(directory: str, settings: str | None, *, secret: bool = False) -> None:
    """Put the hook in place, instead of one that is there. None keeps the settings that are there, or are not.

    Empty `settings` are none, and the variables decide. Everything may be read by whoever may read the directory, but a
    secret file of settings by its owner alone. Raises OSError; what was not there before is gone again then.
    """
    with _alone(directory):
        was_there = is_there(directory)
        try:
            _write_all(directory, settings, secret)
        except BaseException:
            if not was_there:
                _remove(directory)
            raise


def _write_all(directory: str, settings: str | None, secret: bool) -> None:
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    readable = mode & 0o666
    if not os.path.isdir(home(directory)):
        if os.path.islink(home(directory)):
            os.unlink(home(directory))
        os.mkdir(home(directory))
    # Whatever the umask: where it cannot be read, there would be no hook.
    os.chmod(home(directory), mode)
    for name in _modules():
        with open(os.path.join(template(), NAME, name), encoding="utf-8") as source:
            _replace(directory, os.path.join(home(directory), name), source.read(), readable)
        _compile(os.path.join(home(directory), name), mode)
    with_settings = has_settings(directory) if settings is None else settings != ""
    if settings:
        _replace(directory, settings_file(directory), settings, readable & 0o600 if secret else readable)
    _write_startup(directory, with_settings, mode)
    if not with_settings:
        # Now that nobody says that they were installed.
        _delete(settings_file(directory))


def _write_startup(directory: str, with_settings: bool, mode: int) -> None:
    pth, start, module = _outside(directory)
    if needs_start_file():
        _replace(directory, module, module_text(with_settings=with_settings), mode & 0o666)
        _compile(module, mode)
        _replace(directory, start, START, mode & 0o666)
    else:
        # An older version of us wrote one.
        _delete(start)
    _replace(directory, pth, pth_text(with_settings=with_settings), mode & 0o666)


def _modules() -> list[str]:
    return sorted(name for name in os.listdir(os.path.join(template(), NAME)) if name.endswith(".py"))


def _compile(path: str, mode: int) -> None:
    """Else each start would, for users who may not write here."""
    import py_compile

    cached = py_compile.compile(path, doraise=True)
    if cached is not None:
        # Of a module beside others, the directory is not ours.
        if os.path.dirname(path).endswith(NAME):
            os.chmod(os.path.dirname(cached), mode)
        os.chmod(cached, mode & 0o666)


def _replace(directory: str, path: str, content: str, mode: int) -> None:
    """rename(2) of a file that is complete and on the disk: there is the old one or the new one."""
    new = os.path.join(home(directory), os.path.basename(path) + _NEW)
    if os.path.lexists(new):
        os.unlink(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except OSError as error:
        os.unlink(new)
        # What is about a descriptor says no name.
        raise OSError(error.errno, error.strerror, new) from error
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    os.rename(new, path)
    _sync(os.path.dirname(path))


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:  # not every file system can do that to a directory
        pass
    finally:
        os.close(descriptor)


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    """One at a time: another process's install that fails would take ours out."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            from fcntl import LOCK_EX, flock

            flock(descriptor, LOCK_EX)
        except (ImportError, OSError):  # not every system has it, nor every file system
            pass
        yield
    finally:
        os.close(descriptor)


def remove(directory: str) -> list[str]:
    """Take the hook out; what somebody else has put into its directory stays, and is returned. Raises OSError."""
    with _alone(directory):
        return _remove(directory)


def _remove(directory: str) -> list[str]:
    for path in (*_outside(directory), *_inside(directory)):
        _delete(path)
    left = []
    for place in (os.path.join(home(directory), "__pycache__"), home(directory)):
        if os.path.isdir(place):
            left += [os.path.join(place, name) for name in os.listdir(place) if name != "__pycache__"]
            if not os.listdir(place):
                _delete(place)
        elif os.path.islink(place):
            os.unlink(place)
    if needs_start_file():
        _delete(os.path.join(directory, "__pycache__"))
    _sync(directory)
    return left


def _delete(path: str) -> None:
    """A file, a link, or an empty directory that has taken a file's place. One that is not empty is somebody else's."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            if not os.listdir(path):
                os.rmdir(path)
        else:
            os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass


def _outside(directory: str) -> tuple[str, str, str]:
    pth, start = (os.path.join(directory, f"{NAME}.{suffix}") for suffix in ("pth", "start"))
    return pth, start, os.path.join(directory, f"{MODULE}.py")


def _inside(directory: str) -> Iterator[str]:
    cache = os.path.join(home(directory), "__pycache__")
    stems = tuple(name.removesuffix("py") for name in _modules())
    for place in (home(directory), cache):
        for name in os.listdir(place) if os.path.isdir(place) else ():
            if name.startswith(stems) or name == "settings.toml" or name.endswith(_NEW):
                yield os.path.join(place, name)
    beside = os.path.join(directory, "__pycache__")
    for name in os.listdir(beside) if os.path.isdir(beside) else ():
        if name.startswith(f"{MODULE}."):
            yield os.path.join(beside, name)


# The files in site-packages that call the hook at each start of Python, as texts.
#
# Up to 3.17, site executes the import line of a .pth file. From 3.18 on it ignores such lines, and calls what a
# .start file names (PEP 829). 3.15 to 3.17 know both; there we write no .start file. It would switch the import line
# off, whose `except` closes the network where the hook is damaged, and it would make site import pkgutil and re at
# each start.


# The module that a .start file names. It is beside the hook, not in it: it closes the network where the hook is gone.
MODULE = f"{NAME}_start"
START = f"{MODULE}:start\n"
# Run where the hook cannot be loaded. 100 is ENETDOWN; what is not imported has sockets in C.
_SHUT = f"""
def refuse(event, args, text=f'socksify: the network is closed: {{sitedir}}/{NAME}.pth: {{error}}.\
 To go without: SOCKSIFY_DISABLE=1, or delete {{sitedir}}/{NAME}*'):
 if event.startswith('socket.'):
  raise OSError(100, text)
 if event == 'import' and args[0].startswith({IN_C}):
  raise ImportError(text, name=args[0])
import sys
sys.addaudithook(refuse)
"""


def needs_start_file() -> bool:
    """Whether this Python ignores the import lines of .pth files."""
    return sys.version_info >= (3, 18)


def pth_text(*, with_settings: bool) -> str:
    """The .pth file. Its line knows whether settings were installed: where they are gone, the network is closed.

    site executes it with `sitedir`, the directory that it is in. Each start compiles it, and of what is in quotes no
    more than is run. Left alone it closes the network: whoever takes the hook out deletes it first.
    """
    return f"import os; os.getenv('SOCKSIFY_DISABLE') != '1' and exec({_call(with_settings)!r})\n"


def module_text(*, with_settings: bool) -> str:
    """The module that the .start file names; site calls its function without arguments."""
    return f"""\
import os


def start():
    if os.getenv("SOCKSIFY_DISABLE") != "1":
        exec({_call(with_settings)!r}, {{"sitedir": os.path.dirname(__file__)}})
"""


def tells_settings(pth_or_module: str) -> bool:
    """Whether the text of one of these files says that settings were installed."""
    return _WITH_SETTINGS in pth_or_module


_WITH_SETTINGS = "with_settings=True"


def _call(with_settings: bool) -> str:
    told = f", {_WITH_SETTINGS}" if with_settings else ""
    return f"""
try:
 __import__({NAME!r}).start(packages=sitedir{told})
except Exception as error:
 exec({_SHUT!r})
"""
