"""Which configuration file counts: the one that is named, else that of the working directory, else the user's own.

The working directory may be anybody's: one that was unpacked, cloned, or is shared. So its file must neither turn what
the user says round nor lead his connections elsewhere in silence. It counts as a whole, and only where it is what names
the proxy, and where nobody else can have written it (owners.py). A line on stderr says when it takes the place of
another configuration, and why it does not count. Who names the file means it, and none of this is asked.
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
    from collections.abc import Mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify.config.toml_file import File

    # What a line is said by.
    Tell = Callable[[str], None]

NAME = "socksify.toml"


def find(named: str, environ: Mapping[str, str], directory: str, proxy_source: str, tell: Tell) -> File:
    """The file that is `named`, else the first that counts of ./socksify.toml and the user's own, else an empty File.

    `proxy_source` is what names the proxy already, empty if nothing stronger than a file does. Raises ConfigError when
    the named file is not there, when one that counts cannot be read, and when the user's own may be somebody else's.
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
    """The file in the user's configuration directory, an empty File if there is none. Raises ConfigError."""
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
        # As ssh(1) does: what it forbids would be allowed where it is passed over.
        raise ConfigError(f"{path}: {problem}; expected a file that its owner alone may write, or --config {path}")
    return toml_file.load(path)


def users_path(environ: Mapping[str, str]) -> str:
    """Where the user's own file is looked for; empty for nowhere."""
    user = environ.get("XDG_CONFIG_HOME", "")
    # XDG Base Directory Specification: a relative path is invalid and to be ignored; unset means $HOME/.config.
    if not isabs(user):
        # Nor is a relative home, which would be the working directory's.
        user = join(environ["HOME"], ".config") if isabs(environ.get("HOME", "")) else ""
    return join(user, "socksify", NAME) if user else ""


def _here(path: str, environ: Mapping[str, str], proxy_source: str) -> File | str:
    """The file of the working directory, or why it does not count. Raises ConfigError if it is ours and is broken."""
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
        # Not to wait for a writer, should it be a pipe.
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


# Who may have written a file that nobody has named: the checks of ssh's StrictModes and git's safe.directory.
#
# What is in such a file decides where connections go, so it counts only where nobody else can have written it: it
# belongs to us or to root, and neither its group (but for a user's private one) nor others may write it.


def objection(status: os.stat_result, environ: Mapping[str, str]) -> str:
    """Why what has this status may be somebody else's; empty if it is ours or root's alone."""
    if status.st_uid not in _trusted(environ):
        return f"it belongs to another user (uid {status.st_uid})"
    if status.st_mode & stat.S_IWOTH:
        return "anybody may write it"
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
        return f"its group (gid {status.st_gid}) may write it"
    return ""


def _trusted(environ: Mapping[str, str]) -> set[int]:
    """The uids whose files we read: as git(1) does, sudo's root reads those of who called it, too."""
    own = os.geteuid()
    caller = environ.get("SUDO_UID", "") if own == 0 else ""
    return {own, 0} | ({int(caller)} if caller.isascii() and caller.isdecimal() else set())


def _is_private(gid: int, uid: int) -> bool:
    """Whether a group is the private one of its user: it is called as the user is, and has no other member.

    Where each user has one, the umask lets the group write.
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
