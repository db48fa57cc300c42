"""The services that all sessions of one server share."""

from __future__ import annotations

from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import Threads
from socksify.server.net.resolver import Resolver
from socksify.server.policy.limits import Counts
from socksify.server.policy.policy import Policy
from socksify.server.session.bulk_thread import BulkLoop

# How many threads verify passwords. Each verification takes 16 MiB and a processor.
VERIFIERS = 8


class Services:
    """The loop, the policy in force, the counts, and the threads for work that would block the loop. Must be closed."""

    def __init__(self, loop: Loop, policy: Policy) -> None:
        self.loop = loop
        self.policy = policy
        self.counts = Counts()
        self.verifiers = Threads(loop, VERIFIERS)
        # The resolver has its own threads: a silent name server must not delay the verification of passwords.
        self._resolver_threads = Threads(loop)
        self.resolver = Resolver(loop, self._resolver_threads)
        self._bulk_loop: BulkLoop | None = None

    def replace_policy(self, policy: Policy) -> None:
        """Put another policy in force, for new sessions and for new demands of live sessions."""
        self.policy = policy

    def bulk_loop(self) -> BulkLoop | None:
        """Return the loop that relays bulk, and start its thread if necessary.

        Return None if there is no descriptor or no thread left for it; the next call tries again.
        """
        if self._bulk_loop is None:
            try:
                self._bulk_loop = BulkLoop(self.loop)
            except (OSError, RuntimeError):
                return None
        return self._bulk_loop

    def close(self) -> None:
        """End the threads. The sessions have ended before."""
        if self._bulk_loop is not None:
            self._bulk_loop.end()
        self.verifiers.close()
        self._resolver_threads.close()

    def abandon(self) -> None:
        """In a forked child, close every descriptor of the loops. The parent's connections stay as they are."""
        if self._bulk_loop is not None:
            self._bulk_loop.abandon()
        self.loop.abandon()

    def forget_descriptors(self) -> None:
        """Forget descriptors that the program around the server has closed."""
        for loop in (self.loop, self._bulk_loop):
            if loop is not None and not loop.has_descriptors:
                loop.forget_descriptors()
