"""How many a second: a token bucket, which lets a burst of one second's worth through."""

from __future__ import annotations


class Rate:
    def __init__(self, now: float) -> None:
        self._tokens = 1.0
        self._then = now
        self._begun = False

    def allows(self, per_second: int, now: float) -> bool:
        """Whether one more is within `per_second` (0 is no limit), which may be another one each time."""
        if not per_second:
            return True
        full = float(per_second)
        self._tokens = full if not self._begun else min(full, self._tokens + (now - self._then) * per_second)
        self._begun, self._then = True, now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
