"""Lines on stderr that tell why a connection failed.

A program that is told EACCES, or that a connection was refused, cannot know that a rule or the proxy is the reason.
"""

from __future__ import annotations

from socksify.routing import log

# A program that tries many hosts would write without end.
_MOST = 20


class Notices:
    """Writes each message once, unless there is a log, which has all of them."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, message: str) -> None:
        """Write a message to stderr."""
        if not log.is_open() and message not in self._told and len(self._told) < _MOST:
            self._told.add(message)
            log.notice(message)
