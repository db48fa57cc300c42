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

    The variables are taken away. Raises ConfigError for a number that is none, or of more than are open.
    """
    pid, count, _ = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return []
    if not (count.isascii() and count.isdecimal()):
        raise ConfigError(f"LISTEN_FDS: {count!r}: expected a number")
    fds = []
    # One after another, because there may be said to be more of them than there is memory for their numbers.
    for fd in range(FIRST, FIRST + int(count)):
        try:
            os.set_inheritable(fd, False)
        except (OSError, OverflowError):
            raise ConfigError(f"LISTEN_FDS: {count}: descriptor {fd} is not open") from None
        fds.append(fd)
    return fds
