"""Notifications to systemd, or to any other service manager with a notify socket.

The protocol is that of sd_notify(3): a datagram of assignments, one on each line.
"""

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
    """Tells the service manager about the state of this process. Without a service manager it does nothing.

    `environ` holds the manager's variables. They are removed from it, because they are meant for this process only.
    `watchdog_seconds` is the interval at which WATCHDOG must be sent, 0 for never.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._path = environ.pop("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _watchdog(environ)
        if self._path.startswith("@"):
            # sd_notify(3): "If the path starts with "@", it's an abstract namespace socket."
            self._path = "\0" + self._path[1:]

    def tell(self, *assignments: str) -> None:
        """Send the assignments. Never waits and never fails: the sessions do not depend on the service manager."""
        if not self._path:
            return
        with contextlib.closing(_originals.Socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
            try:
                sock.sendto("\n".join(assignments).encode(), socket.MSG_DONTWAIT, self._path)
            except OSError:
                pass

    def reloading(self) -> None:
        """Announce that a reload begins. READY announces its end.

        sd_notify(3) demands the time as well, so that an older READY=1 is not taken for the end of this reload.
        """
        self.tell("RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(CLOCK_MONOTONIC) // 1000}")


def _watchdog(environ: MutableMapping[str, str]) -> float:
    microseconds = environ.pop("WATCHDOG_USEC", "")
    pid = environ.pop("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or pid not in ("", str(os.getpid())):
        return 0.0
    # sd_watchdog_enabled(3): "recommended ... to send a keep-alive notification ... every half of the time".
    return int(microseconds) / 2e6
