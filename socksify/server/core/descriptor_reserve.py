"""Descriptors kept back: whoever was accepted can still be served when there are none left (EMFILE, ENFILE).

Giving one up makes room for a socket at once; nobody is accepted until all are there again.
"""

from __future__ import annotations

import errno
import os
import resource

SHORTAGES = (errno.EMFILE, errno.ENFILE)
LEAST, MOST = 4, 16
# One in so many of those that the process may have.
SHARE = 64


class Reserve:
    """`most` descriptors; to be closed."""

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._kept: list[int] = []
        self.refill()

    @classmethod
    def of_process(cls) -> Reserve:
        """As many as suit the process's limit."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(MOST if soft == resource.RLIM_INFINITY else max(LEAST, min(MOST, soft // SHARE)))

    def give_up(self, count: int = 1) -> bool:
        """Makes room for so many descriptors, as far as there is something to give up; whether there was."""
        given, self._kept[-count:] = self._kept[-count:], []
        for fd in given:
            os.close(fd)
        return bool(given)

    def make_room(self, count: int) -> None:
        """Sees to it that so many descriptors can be opened, for who would not say that there were none."""
        probes: list[int] = []
        try:
            while self._most and len(probes) < count:
                probes.append(_spare())
        except OSError:
            self.give_up(count - len(probes))
        for fd in probes:
            os.close(fd)

    def refill(self) -> bool:
        """Takes back what was given up, as far as that goes; whether all are there."""
        while len(self._kept) < self._most:
            try:
                self._kept.append(_spare())
            except OSError:
                return False
        return True

    def close(self) -> None:
        self.give_up(self._most or 1)


def _spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
