"""A thread for the relays that have proven to be bulk.

In one thread with all others they hold those up, and for longer than they are at work: from a thread that never waits
the scheduler takes the processor away, for milliseconds, and gives it at once to one that mostly waits. So what is
small stays with the loop, which sleeps between events, and what is bulk is moved beside it. In splice(2) a thread does
not hold the interpreter's lock: the loop's is not kept waiting for that.
"""

from __future__ import annotations

import _thread
from functools import partial

from socksify.server.core.loop import Handler, Loop
from socksify.server.core.thread_pool import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.session.relay import Relay

# How often it is looked who is bulk no more, in seconds, and goes back.
STAY_SECONDS = 1.0


class Bulk(Loop):
    """The loop of a thread of its own, for relays of `home`'s; to be closed by `end`.

    Raises OSError or RuntimeError where there is no descriptor or no thread left for it.

    Whatever it calls it calls with `lock` held: who has that, in another thread, finds no relay at work.
    """

    def __init__(self, home: Loop) -> None:
        self.home = home
        self.lock = _thread.allocate_lock()
        self._relays: set[Relay] = set()
        self._looks = False
        super().__init__(home.is_guest)
        try:
            self._thread = Thread(self._run)
        except RuntimeError:
            self.close()
            raise

    @property
    def is_there(self) -> bool:
        # Whoever closes everything begins with the lower numbers.
        return self.home.is_there and super().is_there

    def take(self, relay: Relay) -> None:
        """Watches over a relay from now on. By the thread of `home`, where nobody watches it any more."""
        self.call(partial(self._settle, relay))

    def drop(self, relay: Relay) -> None:
        """Watches over it no more; with `lock` held."""
        self._relays.discard(relay)
        relay.unwatch()

    def end(self) -> None:
        """Ends the thread, from any other; its relays are the caller's to end before."""
        self.stop()
        self._thread.wait()

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        super().watch(fd, mask, partial(self._handle, handler))

    def _handle(self, handler: Handler, fd: int, events: int) -> None:
        with self.lock:
            # It may have been dropped while the lock was waited for.
            if self._masks[fd]:
                handler(fd, events)

    def _settle(self, relay: Relay) -> None:
        if relay.over:
            return
        self._relays.add(relay)
        relay.watch()
        self._look_later()

    def _look(self) -> None:
        """Sends home who is bulk no more."""
        since = self.now - STAY_SECONDS
        with self.lock:
            for relay in [relay for relay in self._relays if relay.is_small(since)]:
                self.drop(relay)
                relay.loop = self.home
                self.home.call(relay.watch)
        self._looks = False
        self._look_later()

    def _look_later(self) -> None:
        if self._relays and not self._looks:
            self._looks = True
            self.after(STAY_SECONDS, self._look)

    def _run(self) -> None:
        self.run()
        self.close()
