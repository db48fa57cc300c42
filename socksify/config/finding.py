"""Which configuration file counts: the one that is named, else that of the working directory, else the user's own.

The working directory may be anybody's: one that was unpacked, cloned, or is shared. So its file must neither turn what
the user says round nor lead his connections elsewhere in silence. It counts as a whole, and only where it is what names
the proxy, and where nobody else can have written it (owners.py). A line on stderr says when it takes the place of
another configuration, and why it does not count. Who names the file means it, and none of this is asked.
"""

from __future__ import annotations

import os
from os.path import dirname, isabs, islink, join, realpath
from stat import S_ISREG

from socksify.config import owners, toml
from socksify.config.settings import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify.config.toml import File

    # What a line is said by.
    Tell = Callable[[str], None]

NAME = "socksify.toml"


def find(named: str, environ: Mapping[str, str], directory: str, proxy_source: str, tell: Tell) -> File:
    """The file that is `named`, else the first that counts of ./socksify.toml and the user's own, else an empty File.

    `proxy_source` is what names the proxy already, empty if nothing stronger than a file does. Raises ConfigError when
    the named file is not there, when one that counts cannot be read, and when the user's own may be somebody else's.
    """
    if named:
        return toml.load(join(directory, named))
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
        return toml.File()
    problem = owners.objection(status, environ)
    if problem:
        # As ssh(1) does: what it forbids would be allowed where it is passed over.
        raise ConfigError(f"{path}: {problem}; expected a file that its owner alone may write, or --config {path}")
    return toml.load(path)


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
            problem = owners.objection(os.stat(dirname(place)), environ)
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
        problem = owners.objection(status, environ) if S_ISREG(status.st_mode) else "it is no regular file"
        if problem:
            return problem
        with open(descriptor, "rb", closefd=False) as opened:
            content = opened.read()
    finally:
        os.close(descriptor)
    file = toml.made(path, toml.parsed(content, path))
    return file if "proxy" in file.values else "it names no proxy, and its rules count only beside one"
