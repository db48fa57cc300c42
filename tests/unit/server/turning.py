"""A loop that is turned in a thread of its own, for tests that talk to what it watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from socksify.server.core.loop import Loop

Made = TypeVar("Made")


@contextmanager
def turning(make: Callable[[Loop], Made]) -> Iterator[Made]:
    """What `make` makes of a loop that runs for the length of the block."""
    loop = Loop()
    try:
        made = make(loop)
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            yield made
        finally:
            loop.stop()
            thread.join()
    finally:
        loop.close()
