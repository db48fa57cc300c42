"""Finds the configuration file: a named file, else the file of the working directory, else the user's own file.

Another person may control the working directory, which may have been unpacked, cloned, or be shared. The file there
must neither override the user's settings, nor redirect connections without a message. Therefore it counts only if it is
the source of the proxy, and only if no other user can have written it. A line on stderr says that the file replaces
another configuration, or why it does not count. A file that the user names is not checked.

The checks of the owner are those of ssh's StrictModes and of git's safe.directory: the file must belong to this user or
to root, and neither its group (except a user's private group) nor others may have the right to write to it.
"""

from __future__ import annotations

import os
import stat
from os.path import dirname, isabs, islink, join, realpath
from stat import S_ISREG

from socksify.config import toml_file
from socksify.config.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify.config.toml_file import File

    # Writes a line for the user.
    Tell = Callable[[str], None]

NAME = "socksify.toml"


def find(named: str, environ: Mapping[str, str], directory: str, proxy_source: str, tell: Tell) -> File:
    """Return the file `named`, else ./socksify.toml if it counts, else the user's own file, else an empty File.

    `environ` are the environment variables. `directory` is the working directory. `proxy_source` is the stronger source
    that names a proxy; "" if there is none. `tell` writes a line for the user. Raises ConfigError if the named file
    does not exist, if a file that counts cannot be read, and if another user may have written the user's own file.
    """
    if named:
        return toml_file.load(join(directory, named))
    here = join(directory, NAME)
    if os.path.lexists(here):
        found = _here(here, environ, proxy_source)
        if not isinstance(found, str):
            return found
        tell(f"{here}: ignored: {found}; to use it all the same: --config ./{NAME}, or SOCKSIFY_CONFIG")
    return users_own(environ)


def users_own(environ: Mapping[str, str]) -> File:
    """Return the file in the user's configuration directory; an empty File without one. Raises ConfigError."""
    path = users_path(environ)
    try:
        status = os.stat(path) if path else None
    except (FileNotFoundError, NotADirectoryError):
        status = None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a TOML file that can be read") from None
    if status is None:
        return toml_file.File()
    problem = objection(status, environ)
    if problem:
        # This is an error, as in ssh(1): without the file, connections that it forbids would be allowed.
        raise ConfigError(f"{path}: {problem}; expected a file that its owner alone may write, or --config {path}")
    return toml_file.load(path)


def users_path(environ: Mapping[str, str]) -> str:
    """Return the path of the user's own file; "" if no directory for it is known."""
    user = environ.get("XDG_CONFIG_HOME", "")
    # XDG Base Directory Specification: a relative path is invalid and ignored. The default is $HOME/.config.
    if not isabs(user):
        # A relative $HOME is ignored, too: it would be in the working directory.
        user = join(environ["HOME"], ".config") if isabs(environ.get("HOME", "")) else ""
    return join(user, "socksify", NAME) if user else ""


def _here(path: str, environ: Mapping[str, str], proxy_source: str) -> File | str:
    """Return the file of the working directory, or the reason why it does not count.

    Raises ConfigError if the file counts and cannot be read.
    """
    if proxy_source:
        return f"the proxy is that of {proxy_source}"
    for place in (path, realpath(path)) if islink(path) else (path,):
        try:
            problem = objection(os.stat(dirname(place)), environ)
        except OSError as error:
            problem = str(error.strerror)
        if problem:
            return f"of its directory {dirname(place)}: {problem}"
    try:
        # O_NONBLOCK: if the file is a pipe, open(2) must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a TOML file that can be read") from None
    try:
        status = os.fstat(descriptor)
        problem = objection(status, environ) if S_ISREG(status.st_mode) else "it is no regular file"
        if problem:
            return problem
        with open(descriptor, "rb", closefd=False) as opened:
            content = opened.read()
    finally:
        os.close(descriptor)
    file = toml_file.made(path, toml_file.parsed(content, path))
    return file if "proxy" in file.values else "it names no proxy, and its rules count only beside one"


def objection(status: os.stat_result, environ: Mapping[str, str]) -> str:
    """Return the reason for which another user may have written a file; "" if only this user and root can do so.

    `status` is the stat(2) of the file or of its directory.
    """
    if status.st_uid not in _trusted(environ):
        return f"it belongs to another user (uid {status.st_uid})"
    if status.st_mode & stat.S_IWOTH:
        return "anybody may write it"
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
        return f"its group (gid {status.st_gid}) may write it"
    return ""


def _trusted(environ: Mapping[str, str]) -> set[int]:
    """Return the uids of the trusted owners. As in git(1), root under sudo also trusts the user who called sudo."""
    own = os.geteuid()
    caller = environ.get("SUDO_UID", "") if own == 0 else ""
    return {own, 0} | ({int(caller)} if caller.isascii() and caller.isdecimal() else set())


def _is_private(gid: int, uid: int) -> bool:
    """Return True if a group is the private group of a user: it has the user's name, and no other member.

    On systems with private groups, the umask usually allows the group to write.
    """
    if gid == 0:
        return True
    try:
        import grp
        import pwd

        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except (ImportError, KeyError):
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
