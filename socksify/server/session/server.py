"""The listening sockets, and the sessions of the clients that connect to them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from sys import intern

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.server.core.calls import report_error
from socksify.server.core.descriptors import SHORTAGES
from socksify.server.core.loop import READABLE, Loop
from socksify.server.net.addresses import host_of
from socksify.server.net.listeners import addresses_of
from socksify.server.policy.policy import Denied, Policy
from socksify.server.session.report import Report
from socksify.server.session.services import Services
from socksify.server.session.session import Session

# Idle sessions are searched for SWEEPS times within the shortest time that a session may be idle, and at least every
# SWEEP_SECONDS.
SWEEPS = 8
SWEEP_SECONDS = 60.0
_SHORTAGES = (*SHORTAGES, errno.ENOBUFS, errno.ENOMEM)
# How long a client has for its request when others wait for a descriptor.
GRACE_SECONDS = 1.0


class Server:
    """A SOCKS server on `listeners`, which are listening sockets of `loop`. Must be closed.

    `policy` is the policy at the start. `ended` is called with the report of each session that is over, `notice` with a
    line for the person who runs the server. The loop's thread calls both, and they must neither block nor raise.
    """

    def __init__(
        self,
        loop: Loop,
        listeners: Sequence[_originals.Socket],
        policy: Policy,
        ended: Callable[[Report], object] = lambda _: None,
        notice: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.accepted = 0
        self.services = Services(loop, policy)
        self._loop = loop
        self._ended = ended
        self._notice = notice
        # The live sessions by number, in the order of arrival. A set would take three times the memory.
        self._sessions: dict[int, Session] = {}
        self._on_end = self._session_ended
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._drained: Callable[[], object] | None = None
        # True while there are no descriptors, or no memory, for new connections.
        self._starved = False
        for fd in self._listeners:
            loop.watch(fd, READABLE, self._accept)
        self._sweep()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports on which the server listens; see `listeners.addresses_of`."""
        return addresses_of(self._listeners.values())

    def sessions(self) -> list[Report]:
        """Return the reports of the live sessions, in the order of arrival."""
        return [session.report() for session in self._sessions.values()]

    def drain(self, done: Callable[[], object]) -> None:
        """Stop listening, and call `done` when the last session has ended."""
        self._drained = done
        self._stop_listening()
        self._finish_if_drained()

    def close(self) -> None:
        """Stop listening, and end every session."""
        self._drained = None
        self._stop_listening()
        for session in [*self._sessions.values()]:
            session.end("ended", "the server ends")
        self._sweeper.cancel()
        self.services.close()

    def replace_policy(self, policy: Policy) -> None:
        """Put another policy in force; see `Services.replace_policy`."""
        self.services.replace_policy(policy)

    def _stop_listening(self) -> None:
        for listener in self._listeners.values():
            self._loop.discard(listener)
        self._listeners = {}

    def _finish_if_drained(self) -> None:
        if self._drained is not None and not self._sessions:
            done, self._drained = self._drained, None
            done()

    def _accept(self, fd: int, _events: int) -> None:
        """Take one connection. The next one has to wait for a turn of the loop, so that a flood starves no session."""
        listener = self._listeners[fd]
        if not self._loop.reserve.refill():
            self._starve(errno.EMFILE)
            return
        try:
            stream, peer = self._loop.accept(listener)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _SHORTAGES:
                # accept(2): Linux passes errors of the new connection on. The next connection may have none.
                return
            self._starve(error.errno)
            return
        if self._starved:
            self._starved = False
            self._notice("new connections are taken again")
        self.accepted += 1
        # The clients of a Unix socket have no address.
        host, port = (_client_host(host_of(peer)), peer[1]) if peer else ("", 0)
        session = Session(self.services, stream, self.accepted, host, port, self._on_end)
        try:
            self._admit(session)
        except Exception:
            # If the exception reached the loop, the loop would stop watching the listener.
            report_error()
            session.end("failed", "a mistake of this program")

    def _admit(self, session: Session) -> None:
        policy = self.services.policy
        denied = self.services.counts.enter(policy.limits, session.host)
        if denied is not None:
            self._loop.discard(session.stream)
            self._ended(session.report("denied", denied.why))
            return
        self._sessions[session.number] = session
        admission = policy.admit(session.host)
        if isinstance(admission, Denied):
            session.end("denied", admission.why)
        else:
            session.start(admission)

    def _session_ended(self, session: Session) -> None:
        self._sessions.pop(session.number, None)
        self.services.counts.leave(session.host, session.user)
        self._ended(session.report())
        if self._starved:
            # The loop closes the session's descriptors before it waits again, so there will be room for another.
            self._listen_again()
        if self._drained is not None:
            self._finish_if_drained()

    def _starve(self, number: int) -> None:
        """Pause the listeners after EMFILE, ENFILE, ENOBUFS or ENOMEM: accept(2) fails until something is given back.

        The oldest client that has not sent its request is ended, so that silent clients keep nobody out.
        """
        if not self._starved:
            self._notice(f"no new connections for now: {os.strerror(number)}")
        self._starved = True
        for listener in self._listeners.values():
            self._loop.pause(listener, self._accept)
        for session in self._sessions.values():
            if session.has_waited(GRACE_SECONDS):
                session.end("timeout", "no request yet, and others wait for a descriptor")
                return

    def _listen_again(self) -> None:
        for fd in self._listeners:
            self._loop.watch(fd, READABLE, self._accept)

    def _sweep(self) -> None:
        """End idle sessions, now and regularly. A timer per session, moved at each byte, would cost more."""
        limits = self.services.policy.limits
        for session in [*self._sessions.values()]:
            session.end_if_idle(limits)
        shortest = min(limits.idle_seconds or SWEEP_SECONDS, limits.associate_seconds or SWEEP_SECONDS)
        self._sweeper = self._loop.after(min(SWEEP_SECONDS, shortest / SWEEPS), self._sweep)


@lru_cache(1024)
def _client_host(literal: str) -> str:
    """Return the address of a client. All sessions of the client share one string."""
    return intern(unmapped(literal))
