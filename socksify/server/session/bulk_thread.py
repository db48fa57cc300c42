"""A thread for the relays that carry bulk.

In one thread with all others they would delay those, and for longer than they work themselves: the scheduler takes the
processor away, for milliseconds, from a thread that never waits, and gives it at once to a thread that mostly waits. So
relays of small pieces stay with the main loop, which sleeps between events, and bulk is moved beside it. During a
splice(2) the bulk thread does not hold the interpreter's lock, so the main loop does not wait for it.
"""

from __future__ import annotations

import _thread
from functools import partial

from socksify.server.core.loop import Handler, Loop
from socksify.server.core.thread_pool import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Movable(Protocol):
        """A relay, as far as the bulk thread knows it."""

        @property
        def over(self) -> bool:
            """True if it was closed, and must not be watched any more."""

        def is_small(self, since: float) -> bool:
            """Return True if it carries only small pieces now; see `Relay.is_small`."""

        def move_to(self, loop: Loop) -> None:
            """Have its sockets watched by this loop, from the next `watch` on."""

        def watch(self) -> None:
            """Begin to watch its sockets. The loop's thread calls this."""

        def unwatch(self) -> None:
            """Watch its sockets no more."""


# How often the bulk thread looks for relays that carry only small pieces again, and sends them back.
STAY_SECONDS = 1.0


class BulkLoop(Loop):
    """The loop of the bulk thread, for relays that come from the loop `home`; to be closed by `end`.

    Every handler is called with `lock` held: another thread that holds the lock finds no relay at work. Raises OSError
    if there is no descriptor left for the loop, and RuntimeError if there is no thread.
    """

    def __init__(self, home: Loop) -> None:
        self.home = home
        self.lock = _thread.allocate_lock()
        self._relays: set[Movable] = set()
        self._is_look_planned = False
        super().__init__(home.is_embedded)
        try:
            self._thread = Thread(self._run)
        except RuntimeError:
            self.close()
            raise

    @property
    def has_descriptors(self) -> bool:
        # A program that closes all descriptors begins with the lower numbers, which are those of `home`.
        return self.home.has_descriptors and super().has_descriptors

    def take(self, relay: Movable) -> None:
        """Watch a relay from now on. The thread of `home` calls this, and watches the relay no more."""
        self.call(partial(self._settle, relay))

    def drop(self, relay: Movable) -> None:
        """Watch a relay no more. The caller holds `lock`."""
        self._relays.discard(relay)
        relay.unwatch()

    def end(self) -> None:
        """End the thread. Another thread calls this, after it has ended the relays."""
        self.stop()
        self._thread.wait()

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        super().watch(fd, mask, partial(self._handle, handler))

    def _handle(self, handler: Handler, fd: int, events: int) -> None:
        with self.lock:
            # The relay may have been dropped while this thread waited for the lock.
            if self._masks[fd]:
                handler(fd, events)

    def _settle(self, relay: Movable) -> None:
        if relay.over:
            return
        self._relays.add(relay)
        relay.watch()
        self._look_later()

    def _look(self) -> None:
        """Send the relays home that carry only small pieces again."""
        since = self.now - STAY_SECONDS
        with self.lock:
            for relay in [relay for relay in self._relays if relay.is_small(since)]:
                self.drop(relay)
                relay.move_to(self.home)
                self.home.call(relay.watch)
        self._is_look_planned = False
        self._look_later()

    def _look_later(self) -> None:
        if self._relays and not self._is_look_planned:
            self._is_look_planned = True
            self.after(STAY_SECONDS, self._look)

    def _run(self) -> None:
        self.run()
        self.close()
