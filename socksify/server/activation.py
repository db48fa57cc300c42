"""Sockets that whoever started us listens on already: sd_listen_fds(3)."""

from __future__ import annotations

import os

from socksify.config.settings import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

# sd-daemon.h: SD_LISTEN_FDS_START.
FIRST = 3


def inherited(environ: MutableMapping[str, str]) -> list[int]:
    """Their descriptors, kept from other programs; none when none were passed, or not to this process.

    The variables are taken away. Raises ConfigError for a number that is none.
    """
    pid, count, _ = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return []
    if not (count.isascii() and count.isdecimal()):
        raise ConfigError(f"LISTEN_FDS: {count!r}: expected a number")
    fds = [*range(FIRST, FIRST + int(count))]
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds
