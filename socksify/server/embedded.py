"""A server inside the process that uses it: `--embedded` tries, tests and shows everything without infrastructure.

It runs in one thread beside the program. The thread is started with `_thread`, so that the program neither finds it
in `threading.enumerate()` nor waits for it at its end; it ends with the process.

Like `ssh -D`, it serves every user of this machine unless `verify` is given.

fork(2) copies no threads: in a forked child nobody runs the server, and the child's copies of its descriptors are
closed. The child's own connections reach the parent's server as long as the parent lives, and are refused after.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from signal import SIG_BLOCK, SIGPIPE, pthread_sigmask

from socksify.server.core import tracebacks
from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import Thread
from socksify.server.net.listeners import listen
from socksify.server.policy.policy import Policy
from socksify.server.policy.rules import LOCAL
from socksify.server.session.report import Report, line
from socksify.server.session.server import Server
from socksify.server.session.services import Services

Verify = Callable[[bytes, bytes], bool]


class Embedded:
    """A running server: `host`, `port`, and `url` for a client. `close()` ends it and every connection through it."""

    def __init__(self, policy: Policy, ended: Callable[[Report], object]) -> None:
        tracebacks.become_guest()
        self._loop = Loop(is_guest=True)
        try:
            self._server = Server(self._loop, [listen(self._loop, "127.0.0.1", 0)], policy, ended)
        except BaseException:
            self._loop.close()
            raise
        [(self.host, self.port)] = self._server.addresses
        self._thread = Thread(self._run)
        services = weakref.ref(self._server.services)
        os.register_at_fork(after_in_child=lambda: _abandon(services()))
        atexit.register(lambda: _leave(services()))

    @property
    def url(self) -> str:
        """The proxy as a client names it; names are resolved by the server."""
        return f"socks5h://{self.host}:{self.port}"

    def close(self) -> None:
        """Returns when the port is free again. Calling it twice is harmless."""
        if not self._loop.is_there:
            # The thread waits for ever, or has ended.
            self._loop.give_up()
            return
        self._loop.stop()
        self._thread.wait()

    def _run(self) -> None:
        # splice(2) cannot be told MSG_NOSIGNAL, and the program may have given SIGPIPE back its meaning.
        pthread_sigmask(SIG_BLOCK, [SIGPIPE])
        self._loop.run()
        if self._loop.is_there:
            self._server.close()
        self._loop.close()


class _Verifier:
    def __init__(self, verify: Verify) -> None:
        self.verify = verify

    def remembers(self, _user: bytes, _password: bytes) -> bool:
        return False


def policy_of(verify: Verify | None) -> Policy:
    """Everything for clients of this machine, if `verify` lets them in."""
    return Policy() if verify is None else Policy((LOCAL.replace(verified=True),), _Verifier(verify))


def start(verify: Verify | None = None, log: Callable[[str], None] | None = None) -> Embedded:
    """Starts a server on a free port of 127.0.0.1. `verify` and `log` are called in threads of the server's."""
    return Embedded(policy_of(verify), (lambda report: log(line(report))) if log else (lambda _: None))


def _abandon(services: Services | None) -> None:
    if services is not None:
        services.abandon()


def _leave(services: Services | None) -> None:
    """At the end of the program: what was closed behind our back is not closed once more, by its number."""
    if services is not None:
        services.give_up()
