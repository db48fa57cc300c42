"""The hook's files in a site-packages directory: written so that no start of Python ever sees half of them.

socksify_hook/*.py            the hook, a copy of the one in sitecustomize_template/
socksify_hook/settings.toml   what it installs with
socksify_hook.start           who calls it, since Python 3.15 (PEP 829)
socksify_hook.pth             who calls it, up to 3.14; written last and removed first
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from socksify._hook import NAME, template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

START = f"{NAME}:start\n"
# Run where the hook cannot be loaded. 100 is ENETDOWN; what is not imported has sockets in C.
_SHUT = f"""
def refuse(event, args, text=f'socksify: the network is closed: {{sitedir}}/{NAME}.pth: {{error}}.\
 To go without: SOCKSIFY_DISABLE=1, or delete {{sitedir}}/{NAME}*'):
 if event.startswith('socket.'):
  raise OSError(100, text)
 if event == 'import' and args[0].startswith(('gevent.resolver.cares', 'pycares', 'uvloop', 'zmq')):
  raise ImportError(text, name=args[0])
import sys
sys.addaudithook(refuse)
"""
_START = f"""
try:
 __import__({NAME!r}).start(packages=sitedir)
except Exception as error:
 exec({_SHUT!r})
"""
# Run by site.addpackage() at each start, where `sitedir` is the directory. Each start compiles it, of what is in quotes
# no more than is run. Left alone it closes the network: whoever takes the hook out deletes it first.
PTH = f"import os; os.getenv('SOCKSIFY_DISABLE') != '1' and exec({_START!r})\n"
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


def write(directory: str, settings: str, *, secret: bool) -> None:
    """Put the hook in place, instead of one that is there; empty `settings` are none, and the variables decide.

    Everything may be read by whoever may read the directory, but a secret file of settings by its owner alone.
    Raises OSError; what was not there before is gone again then.
    """
    with _alone(directory):
        was_there = is_there(directory)
        try:
            _write_all(directory, settings, secret)
        except BaseException:
            if not was_there:
                _remove(directory)
            raise


def _write_all(directory: str, settings: str, secret: bool) -> None:
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    readable = mode & 0o666
    if not os.path.isdir(home(directory)):
        os.mkdir(home(directory))
    # Whatever the umask: where it cannot be read, there would be no hook.
    os.chmod(home(directory), mode)
    for name in _modules():
        with open(os.path.join(template(), NAME, name), encoding="utf-8") as source:
            _replace(directory, os.path.join(home(directory), name), source.read(), readable)
        _compile(directory, name)
    if settings:
        _replace(directory, settings_file(directory), settings, readable & 0o600 if secret else readable)
    elif os.path.lexists(settings_file(directory)):
        os.unlink(settings_file(directory))
    pth, start = _outside(directory)
    _replace(directory, start, START, readable)
    _replace(directory, pth, PTH, readable)


def _modules() -> list[str]:
    return sorted(name for name in os.listdir(os.path.join(template(), NAME)) if name.endswith(".py"))


def _compile(directory: str, name: str) -> None:
    """Else each start would, for users who may not write here."""
    import py_compile

    cached = py_compile.compile(os.path.join(home(directory), name), doraise=True)
    if cached is not None:
        mode = stat.S_IMODE(os.stat(directory).st_mode)
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
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
    left = []
    for place in (os.path.join(home(directory), "__pycache__"), home(directory)):
        if os.path.isdir(place):
            left += [os.path.join(place, name) for name in os.listdir(place) if name != "__pycache__"]
            if not os.listdir(place):
                os.rmdir(place)
    _sync(directory)
    return left


def _outside(directory: str) -> tuple[str, str]:
    return os.path.join(directory, f"{NAME}.pth"), os.path.join(directory, f"{NAME}.start")


def _inside(directory: str) -> Iterator[str]:
    cache = os.path.join(home(directory), "__pycache__")
    stems = tuple(name.removesuffix("py") for name in _modules())
    for place in (home(directory), cache):
        for name in os.listdir(place) if os.path.isdir(place) else ():
            if name.startswith(stems) or name == "settings.toml" or name.endswith(_NEW):
                yield os.path.join(place, name)
