"""The sockets that the server listens on, and the sessions that came of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from sys import intern

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.server.core import tracebacks
from socksify.server.core.descriptor_reserve import SHORTAGES
from socksify.server.core.loop import READABLE, Loop
from socksify.server.core.thread_pool import Threads
from socksify.server.net.addresses import host_of
from socksify.server.net.listeners import addresses_of
from socksify.server.net.resolver import Resolver
from socksify.server.policy.limits import Counts
from socksify.server.policy.policy import Denied, Policy
from socksify.server.session.bulk_thread import Bulk
from socksify.server.session.report import Report
from socksify.server.session.session import Session

# How often the silent ones are looked for, as a part of the silence that is allowed, and at the most.
SWEEPS = 8
SWEEP_SECONDS = 60.0
# Threads that verify passwords, each of which takes 16 MiB for it and a processor.
VERIFIERS = 8
_SHORTAGES = (*SHORTAGES, errno.ENOBUFS, errno.ENOMEM)
# How long a client has to say what it wants when there are no descriptors left and others wait.
GRACE_SECONDS = 1.0


class Server:
    """A SOCKS server on `listeners`, which are the loop's; to be closed.

    `policy` may be replaced at any time. `ended` is called with the report of each session that is over, and `notice`
    with what whoever runs the server should know; both by the loop's thread, and must neither block nor raise.
    """

    def __init__(
        self,
        loop: Loop,
        listeners: Sequence[_originals.Socket],
        policy: Policy,
        ended: Callable[[Report], object] = lambda _: None,
        notice: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.loop = loop
        self.policy = policy
        self.counts = Counts()
        self.accepted = 0
        self.verifiers = Threads(loop, VERIFIERS)
        # Of their own: a silent name server is not to hold up who only wants to be let in.
        self._resolver_threads = Threads(loop)
        self.resolver = Resolver(loop, self._resolver_threads)
        self._ended = ended
        self._notice = notice
        # By number, which is the order in which they came; a set would take three times the memory.
        self._sessions: dict[int, Session] = {}
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._drained: Callable[[], object] | None = None
        self._starved = False
        self._bulk: Bulk | None = None
        for fd in self._listeners:
            loop.watch(fd, READABLE, self._accept)
        self._sweep()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, as `listeners.addresses_of` has it."""
        return addresses_of(self._listeners.values())

    def sessions(self) -> list[Report]:
        """The live ones, in the order in which they came."""
        return [session.report() for session in self._sessions.values()]

    def drain(self, done: Callable[[], object]) -> None:
        """Listens no more, and calls `done` when the last session has ended."""
        self._drained = done
        self._stop_listening()
        self._look_whether_drained()

    def close(self) -> None:
        """Ends the listening and every session."""
        self._drained = None
        self._stop_listening()
        for session in [*self._sessions.values()]:
            session.end("ended", "the server ends")
        self._sweeper.cancel()
        if self._bulk is not None:
            self._bulk.end()
        self.verifiers.close()
        self._resolver_threads.close()

    def abandon(self) -> None:
        """In a forked child: closes every descriptor, and leaves the parent's connections as they are."""
        if self._bulk is not None:
            self._bulk.abandon()
        self.loop.abandon()

    def give_up(self) -> None:
        """Forgets the descriptors that the program around the server has closed."""
        for loop in (self.loop, self._bulk):
            if loop is not None and not loop.is_there:
                loop.give_up()

    def bulk(self) -> Bulk | None:
        """Where bulk is moved; None while there is no descriptor or no thread left for that."""
        if self._bulk is None:
            try:
                self._bulk = Bulk(self.loop)
            except (OSError, RuntimeError):
                return None
        return self._bulk

    def over(self, session: Session) -> None:
        """A session tells that it has ended."""
        self._sessions.pop(session.number, None)
        self.counts.leave(session.host, session.user)
        self._ended(session.report())
        if self._starved:
            # Its descriptors are closed before the loop waits again, so somebody else can be accepted then.
            self._listen_again()
        if self._drained is not None:
            self._look_whether_drained()

    def _stop_listening(self) -> None:
        for listener in self._listeners.values():
            self.loop.discard(listener)
        self._listeners = {}

    def _look_whether_drained(self) -> None:
        if self._drained is not None and not self._sessions:
            done, self._drained = self._drained, None
            done()

    def _accept(self, fd: int, _events: int) -> None:
        """Takes one connection. Others wait until the sessions there are had their turn: no flood starves them."""
        listener = self._listeners[fd]
        if not self.loop.reserve.refill():
            self._starve(errno.EMFILE)
            return
        try:
            stream, peer = self.loop.accept(listener)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _SHORTAGES:
                # Linux accept() passes on errors that are the new connection's own (accept(2)): on to the next one.
                return
            self._starve(error.errno)
            return
        if self._starved:
            self._starved = False
            self._notice("new connections are taken again")
        self.accepted += 1
        # Nobody has an address on a Unix socket.
        host, port = (_host(host_of(peer)), peer[1]) if peer else ("", 0)
        session = Session(self, stream, self.accepted, host, port)
        try:
            self._admit(session)
        except Exception:
            # As the loop does: a mistake must not end the listening.
            tracebacks.tell()
            session.end("failed", "a mistake of this program")

    def _admit(self, session: Session) -> None:
        denied = self.counts.enter(self.policy.limits, session.host)
        if denied is not None:
            self.loop.discard(session.stream)
            self._ended(session.report("denied", denied.why))
            return
        self._sessions[session.number] = session
        admission = self.policy.admit(session.host)
        if isinstance(admission, Denied):
            session.end("denied", admission.why)
        else:
            session.start(admission)

    def _starve(self, number: int) -> None:
        """EMFILE, ENFILE, ENOBUFS, ENOMEM: accept(2) can only be tried again when something was given back.

        The oldest client that has not said what it wants gives way, so that silent ones keep nobody out.
        """
        if not self._starved:
            self._notice(f"no new connections for now: {os.strerror(number)}")
        self._starved = True
        for listener in self._listeners.values():
            self.loop.pause(listener, self._accept)
        for session in self._sessions.values():
            if session.has_waited(GRACE_SECONDS):
                session.end("timeout", "no request yet, and others wait for a descriptor")
                return

    def _listen_again(self) -> None:
        for fd in self._listeners:
            self.loop.watch(fd, READABLE, self._accept)

    def _sweep(self) -> None:
        """Ends who has been silent for too long: a timer for each of thousands, moved at each byte, would cost more."""
        limits = self.policy.limits
        for session in [*self._sessions.values()]:
            session.end_if_idle(limits)
        shortest = min(limits.idle_seconds or SWEEP_SECONDS, limits.associate_seconds or SWEEP_SECONDS)
        self._sweeper = self.loop.after(min(SWEEP_SECONDS, shortest / SWEEPS), self._sweep)


@lru_cache(1024)
def _host(text: str) -> str:
    """The address of a client; one text for all its connections."""
    return intern(unmapped(text))
