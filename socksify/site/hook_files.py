"""The hook's files in a site-packages directory. They are written so that no start of Python sees half of them.

socksify_hook/*.py            the hook, a copy of the one in sitecustomize_template/
socksify_hook/settings.toml   the settings with which it installs
socksify_hook.pth             calls the hook, up to Python 3.17; written last and removed first
socksify_hook.start           names the function that calls the hook, from Python 3.18 on (PEP 829)
socksify_hook_start.py        contains that function

Up to Python 3.17, the site module executes the import line of a .pth file. From 3.18 on it ignores such lines, and
calls the function that a .start file names. Python 3.15 to 3.17 know both, but for them no .start file is written. It
would switch off the import line, whose `except` closes the network if the hook is damaged, and it would make site
import pkgutil and re at each start.
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

# The module that a .start file names. It is beside the hook and not in it, so that it can close the network if the hook
# is gone.
MODULE = f"{NAME}_start"
START = f"{MODULE}:start\n"
# This code is executed if the hook cannot be loaded. 100 is ENETDOWN. The modules whose import is refused have sockets
# in C.
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
# The argument by which the .pth file, or the module, tells that settings were installed.
_WITH_SETTINGS = "with_settings=True"
# The suffix of a file that is written beside the one that it replaces.
_NEW = ".new"


def is_there(directory: str) -> bool:
    """Return True if the site-packages `directory` has any part of a hook."""
    return any(map(os.path.lexists, _outside(directory))) or os.path.lexists(home(directory))


def home(directory: str) -> str:
    """Return the hook's own directory in site-packages."""
    return os.path.join(directory, NAME)


def settings_file(directory: str) -> str:
    """Return the path of the settings file."""
    return os.path.join(home(directory), "settings.toml")


def has_settings(directory: str) -> bool:
    """Return True if settings were installed, even if their file is gone: the files that call the hook tell this."""
    return os.path.lexists(settings_file(directory)) or any(map(_tells_settings, _outside(directory)))


def is_private(path: str) -> bool:
    """Return True if only the owner may read a file."""
    return stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0


def _tells_settings(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return tells_settings(file.read())
    except OSError:
        return False


def write(directory: str, settings: str | None, *, secret: bool = False) -> None:
    """Install the hook into the site-packages `directory`, in place of an earlier one.

    `settings` is the text of the settings file. With None an existing settings file stays. With "" there is none, and
    the SOCKSIFY_* variables decide. Users who may read the directory may read all files, but if the settings are
    `secret`, only the owner may read the settings file. Raises OSError; then no part of a new hook remains.
    """
    with _locked(directory):
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
    # The umask must not decide: for users who cannot read the directory there would be no hook.
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
        # The startup files no longer tell that settings were installed, so the settings can be deleted now.
        _delete(settings_file(directory))


def _write_startup(directory: str, with_settings: bool, mode: int) -> None:
    pth, start, module = _outside(directory)
    if needs_start_file():
        _replace(directory, module, module_text(with_settings=with_settings), mode & 0o666)
        _compile(module, mode)
        _replace(directory, start, START, mode & 0o666)
    else:
        # An older version of socksify may have written a .start file.
        _delete(start)
    _replace(directory, pth, pth_text(with_settings=with_settings), mode & 0o666)


def _modules() -> list[str]:
    return sorted(name for name in os.listdir(os.path.join(template(), NAME)) if name.endswith(".py"))


def _compile(path: str, mode: int) -> None:
    """Compile a module now. Otherwise each start by a user who may not write here would compile it."""
    import py_compile

    cached = py_compile.compile(path, doraise=True)
    if cached is not None:
        # The __pycache__ beside other packages does not belong to the hook.
        if os.path.dirname(path).endswith(NAME):
            os.chmod(os.path.dirname(cached), mode)
        os.chmod(cached, mode & 0o666)


def _replace(directory: str, path: str, content: str, mode: int) -> None:
    """Replace a file by rename(2), after the new file is complete on the disk. Others see the old or the new file."""
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
        # An error of a descriptor does not tell the name of the file.
        raise OSError(error.errno, error.strerror, new) from error
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    os.rename(new, path)
    _sync(os.path.dirname(path))


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:  # not every file system can sync a directory
        pass
    finally:
        os.close(descriptor)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Let one process at a time write: a failed install of another process would remove the files of this one."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            from fcntl import LOCK_EX, flock

            flock(descriptor, LOCK_EX)
        except (ImportError, OSError):  # not every system and not every file system has flock(2)
            pass
        yield
    finally:
        os.close(descriptor)


def remove(directory: str) -> list[str]:
    """Remove the hook. Return the paths of other files in its directory, which stay. Raises OSError."""
    with _locked(directory):
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
    """Delete a file, a link, or an empty directory in the place of a file. A directory with files is left."""
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


def needs_start_file() -> bool:
    """Return True if this Python ignores the import lines of .pth files."""
    return sys.version_info >= (3, 18)


def pth_text(*, with_settings: bool) -> str:
    """Return the text of the .pth file. `with_settings` is True if settings were installed, so they must exist.

    The site module executes the line with `sitedir`, the file's directory. Each start compiles the line. Code in
    quotes is compiled only when it is executed. Without the hook, the line closes the network, so the file must be
    deleted before the hook.
    """
    return f"import os; os.getenv('SOCKSIFY_DISABLE') != '1' and exec({_call(with_settings)!r})\n"


def module_text(*, with_settings: bool) -> str:
    """Return the text of the module that the .start file names. Its function is called without arguments."""
    return f"""\
import os


def start():
    if os.getenv("SOCKSIFY_DISABLE") != "1":
        exec({_call(with_settings)!r}, {{"sitedir": os.path.dirname(__file__)}})
"""


def tells_settings(pth_or_module: str) -> bool:
    """Return True if the text of a .pth file, or of the module, tells that settings were installed."""
    return _WITH_SETTINGS in pth_or_module


def _call(with_settings: bool) -> str:
    argument = f", {_WITH_SETTINGS}" if with_settings else ""
    return f"""
try:
 __import__({NAME!r}).start(packages=sitedir{argument})
except Exception as error:
 exec({_SHUT!r})
"""
