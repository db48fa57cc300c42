"""A server inside the process that uses it. With `--embedded`, socksify can be tried and tested without any proxy.

The server runs in one thread beside the program. The thread is started with `_thread`, so that `threading.enumerate()`
does not list the thread, and the program does not wait for the thread when it exits. The thread ends with the process.

Like `ssh -D`, the server serves every user of this machine unless `verify` is given.

fork(2) does not copy threads. So the server does not run in a forked child, and the child closes its copies of the
server's descriptors. Connections of the child use the parent's server as long as the parent lives. After the parent's
end they are refused.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from signal import SIG_BLOCK, SIGPIPE, pthread_sigmask

from socksify.server.core.calls import note_embedding
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
    """A running server. `host` and `port` are its address, `url` is the proxy URL for clients.

    `policy` decides what is permitted. `ended` is called with the report of each session that is over, in the server's
    thread. close() ends the server and all its sessions. Raises OSError if no port is free, and RuntimeError if no
    thread can be started.
    """

    def __init__(self, policy: Policy, ended: Callable[[Report], object]) -> None:
        note_embedding()
        self._loop = Loop(is_embedded=True)
        try:
            self._server = Server(self._loop, [listen(self._loop, "127.0.0.1", 0)], policy, ended)
        except BaseException:
            self._loop.close()
            raise
        [(self.host, self.port)] = self._server.addresses
        self._thread = Thread(self._run)
        services = weakref.ref(self._server.services)
        os.register_at_fork(after_in_child=lambda: _abandon(services()))
        atexit.register(lambda: _forget_descriptors(services()))

    @property
    def url(self) -> str:
        """The URL of the proxy for clients. The server resolves names."""
        return f"socks5h://{self.host}:{self.port}"

    def close(self) -> None:
        """End the server, and return when the port is free again. A second call does nothing."""
        if not self._loop.has_descriptors:
            # In a forked child, and after the end of the loop, there is no thread that could stop the loop.
            self._loop.forget_descriptors()
            return
        self._loop.stop()
        self._thread.wait()

    def _run(self) -> None:
        # splice(2) has no flag like MSG_NOSIGNAL, and the program may have restored the default action of SIGPIPE.
        pthread_sigmask(SIG_BLOCK, [SIGPIPE])
        self._loop.run()
        if self._loop.has_descriptors:
            self._server.close()
        self._loop.close()


class _Verifier:
    """Checks passwords by calling `verify`. Nothing is remembered, so each password is checked again."""

    def __init__(self, verify: Verify) -> None:
        self.verify = verify

    def remembers(self, _user: bytes, _password: bytes) -> bool:
        return False


def policy_of(verify: Verify | None) -> Policy:
    """Return a policy that permits everything to clients of this machine.

    With `verify`, clients must first give a user and a password for which `verify` returns True.
    """
    return Policy() if verify is None else Policy((LOCAL.replace(verified=True),), _Verifier(verify))


def start(verify: Verify | None = None, log: Callable[[str], None] | None = None) -> Embedded:
    """Start a server on a free port of 127.0.0.1.

    `verify` is called with the user and the password as bytes, and returns True if they are correct. Without `verify`
    no password is asked for. `log` is called with one line for each session that is over. Both are called in threads of
    the server. Raises OSError and RuntimeError as `Embedded` does.
    """
    return Embedded(policy_of(verify), (lambda report: log(line(report))) if log else (lambda _: None))


def _abandon(services: Services | None) -> None:
    if services is not None:
        services.abandon()


def _forget_descriptors(services: Services | None) -> None:
    """At the end of the program, forget the descriptors: some may be closed, and their numbers may be used again."""
    if services is not None:
        services.forget_descriptors()
