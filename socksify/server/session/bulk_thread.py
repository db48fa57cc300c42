"""A thread for the relays that carry bulk.

In the main loop's thread, these relays would delay all other relays, and for longer than their own work takes. The
scheduler takes the processor away, for milliseconds, from a thread that never waits, and gives the processor at once to
a thread that mostly waits. So relays of small pieces stay with the main loop, which sleeps between events, and relays
of bulk move to a thread of their own. During a splice(2) the bulk thread does not hold the interpreter's lock, so the
main loop does not wait for the bulk thread.
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
            """True if the relay was closed, and must not be watched any more."""

        def is_small(self, since: float) -> bool:
            """Return True if the relay carries only small pieces now; see `Relay.is_small`."""

        def move_to(self, loop: Loop) -> None:
            """Let `loop` watch the sockets of the relay, from the next `watch` on."""

        def watch(self) -> None:
            """Begin to watch the sockets of the relay. The loop's thread calls this."""

        def unwatch(self) -> None:
            """Stop watching the sockets of the relay."""


# How often the bulk thread looks for relays that carry only small pieces again, and sends them back.
STAY_SECONDS = 1.0


class BulkLoop(Loop):
    """The loop of the bulk thread, for relays that come from the loop `home`. `end` must close it.

    Every handler is called with `lock` held: another thread that holds the lock finds no relay at work. Raises OSError
    if there is no descriptor left for the loop, and RuntimeError if no thread can be started.
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
        """Watch a relay from now on. The thread of `home` calls this, after it has stopped watching the relay."""
        self.call(partial(self._adopt, relay))

    def drop(self, relay: Movable) -> None:
        """Stop watching a relay. The caller holds `lock`."""
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

    def _adopt(self, relay: Movable) -> None:
        if relay.over:
            return
        self._relays.add(relay)
        relay.watch()
        self._plan_look()

    def _send_small_relays_back(self) -> None:
        """Send the relays that carry only small pieces again back to the loop `home`."""
        since = self.now - STAY_SECONDS
        with self.lock:
            for relay in [relay for relay in self._relays if relay.is_small(since)]:
                self.drop(relay)
                relay.move_to(self.home)
                self.home.call(relay.watch)
        self._is_look_planned = False
        self._plan_look()

    def _plan_look(self) -> None:
        if self._relays and not self._is_look_planned:
            self._is_look_planned = True
            self.after(STAY_SECONDS, self._send_small_relays_back)

    def _run(self) -> None:
        self.run()
        self.close()
