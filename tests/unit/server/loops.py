"""A loop that runs in its own thread, for tests that talk to what it watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from socksify.server.core.loop import Loop

Made = TypeVar("Made")


@contextmanager
def running_loop(make: Callable[[Loop], Made]) -> Iterator[Made]:
    """What `make` returns for a loop that runs during the block."""
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
