"""What systemd is told, and a notify socket of anybody else's: sd_notify(3)'s protocol, which is a datagram."""

from __future__ import annotations

import contextlib
import os
import socket
from time import CLOCK_MONOTONIC, clock_gettime_ns

from socksify import _originals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


class Notifier:
    """Tells whoever started us; nobody, when nobody asked. The variables are taken away, for they are meant for us.

    `watchdog_seconds` is how often WATCHDOG is to be told, 0 for never.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._path = environ.pop("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _watchdog(environ)
        if self._path.startswith("@"):
            # sd_notify(3): "If the path starts with "@", it's an abstract namespace socket."
            self._path = "\0" + self._path[1:]

    def tell(self, *assignments: str) -> None:
        """Never waits, and never fails: a service manager that went away changes nothing for the sessions."""
        if not self._path:
            return
        with contextlib.closing(_originals.Socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
            try:
                sock.sendto("\n".join(assignments).encode(), socket.MSG_DONTWAIT, self._path)
            except OSError:
                pass

    def reloading(self) -> None:
        """sd_notify(3): RELOADING=1 goes with the time, so that an older READY=1 is not taken for the end of it."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(CLOCK_MONOTONIC) // 1000}")


def _watchdog(environ: MutableMapping[str, str]) -> float:
    microseconds = environ.pop("WATCHDOG_USEC", "")
    pid = environ.pop("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or pid not in ("", str(os.getpid())):
        return 0.0
    # sd_watchdog_enabled(3): "recommended ... to send a keep-alive notification ... every half of the time".
    return int(microseconds) / 2e6
