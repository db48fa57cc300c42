"""The port that the server listens on, and the sessions that came of it."""

from __future__ import annotations

import socket
from collections.abc import Callable

from socksify import _real
from socksify.server.loop import READABLE, Loop
from socksify.server.resolver import Resolver
from socksify.server.session import Session, Verify

# Connections taken at one event, so that a flood of them does not starve the sessions there are.
BATCH = 64
# How long to leave the queue alone when there are no descriptors left; until then it would wake the loop for ever.
PAUSE_SECONDS = 0.2


class NotLoopbackError(ValueError):
    """Without rules, a port that a network can reach would be an open proxy."""


class Server:
    """A SOCKS server on `host`:`port`, which must be a loopback address; port 0 is any free one.

    Nobody is asked for credentials unless `verify(user, password)` is given. `log` is called with one line for each
    session that has ended, by the thread that runs the loop. Raises NotLoopbackError, ValueError for what is no
    address, and OSError when the address cannot be bound.
    """

    def __init__(
        self,
        loop: Loop,
        host: str = "127.0.0.1",
        port: int = 0,
        verify: Verify | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._loop = loop
        self._verify = verify
        self._log = log
        self._sessions: set[Session] = set()
        self._resolver = Resolver(loop)
        self._listener = _listen(loop, host, port)
        self.host: str = host
        self.port: int = _real.getsockname(self._listener)[1]
        self._open()

    def close(self) -> None:
        """Ends the listening and every session."""
        self._loop.discard(self._listener)
        for session in [*self._sessions]:
            session.close()
        self._resolver.close()

    def _open(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.watch(self._listener.fileno(), READABLE, self._accept)

    def _accept(self) -> None:
        try:
            for _ in range(BATCH):
                fd, peer = self._listener._accept()  # type: ignore[attr-defined]  # typeshed has it on the subclass alone
                self._serve(fd, peer)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # EMFILE, ENFILE, ENOBUFS, ENOMEM, says accept(2): waiting is all that helps.
            self._loop.watch(self._listener.fileno(), 0, self._accept)
            self._loop.after(PAUSE_SECONDS, self._open)

    def _serve(self, fd: int, peer: tuple[str, int]) -> None:
        client = self._loop.stream(self._listener.family, fd)
        name = f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
        self._sessions.add(Session(self._loop, self._resolver, client, name, self._verify, self._over))

    def _over(self, session: Session, line: str) -> None:
        self._sessions.discard(session)
        if self._log is not None:
            self._log(line)


def _listen(loop: Loop, host: str, port: int) -> _real.Socket:
    from ipaddress import ip_address

    address = ip_address(host)
    if not address.is_loopback:
        raise NotLoopbackError(f"{host} is not a loopback address, and no other is listened on")
    listener = loop.stream(socket.AF_INET if address.version == 4 else socket.AF_INET6)
    try:
        _real.setsockopt(listener, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _real.bind(listener, (host, port))
        listener.listen(socket.SOMAXCONN)
    except BaseException:
        loop.discard(listener)
        raise
    return listener
