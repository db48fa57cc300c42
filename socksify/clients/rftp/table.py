"""What a command is, to the one who runs it, to help and to completion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from socksify.clients.rftp.screen import Failure


@dataclass(frozen=True)
class Command:
    """A command: `run(session, *words)` takes from `least` to `most` words, any number if that is None.

    `words` is how help writes them; `completes` is "local", "remote" or "", the kind of names that they are.
    """

    name: str
    run: Callable[..., None]
    words: str
    help: str
    least: int = 0
    most: int | None = 0
    completes: str = ""

    def check(self, count: int) -> None:
        """Raises Failure for a number of words that the command does not take."""
        if count < self.least or (self.most is not None and count > self.most):
            raise Failure(f"usage: {self.usage}")

    @property
    def usage(self) -> str:
        return f"{self.name} {self.words}".strip()
