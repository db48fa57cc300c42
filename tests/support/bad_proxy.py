"""A scripted proxy, for behaviour that real servers do not show on demand.

A script is a list of steps from `tests.support.steps`. Each connection runs a script, in a thread of its own:

    with BadProxy([READ_GREETING, Send(b"\\x05\\x00"), READ_REQUEST, HANG]) as proxy:
        connect_through(proxy.url("socks5h"))
    assert proxy.sessions[0].received == b"..."

`good(scheme)` is the script of a proxy that works. A bad script is a good one that is cut short (`good("socks5")[:2]`
and `RESET`), slowed (`trickled`, `delayed`) or has another answer (`good("socks5", reply=5)`). With several scripts,
the n-th connection runs the n-th script, and later connections run the last one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.support.processes import free_port

# Taken before any test patches it: the proxy's threads must not take part in the client's handshakes.
_accept = socket.socket.accept

# Seconds that a thread may take to end after its sockets were shut down.
END_SECONDS = 5.0


@dataclass
class Session:
    """One connection to the proxy, the bytes received from the client, and the target that it asked for."""

    stream: socket.socket
    received: bytearray = field(default_factory=bytearray)
    target: tuple[str, int] | None = None
    outbound: socket.socket | None = None
    # The exception that ended the script early, if the client or the network caused it.
    error: OSError | None = None
    # Set when the proxy ends. Steps that wait, wait for this event.
    ended: threading.Event = field(default_factory=threading.Event)
    # Set when the script has ended, so that a test can wait for the end.
    over: threading.Event = field(default_factory=threading.Event)

    def read(self, count: int) -> bytes:
        """Read and record exactly `count` bytes. Raise ConnectionError if the client closes before."""
        data = b""
        while len(data) < count:
            piece = self.stream.recv(count - len(data))
            if not piece:
                raise ConnectionAbortedError("the client closed")
            self.received += piece
            data += piece
        return data

    def read_until(self, end: bytes) -> bytes:
        """Read up to `end`, and including it."""
        data = b""
        while not data.endswith(end):
            data += self.read(1)
        return data

    def end(self) -> None:
        """Wake the script, whatever it waits for."""
        self.ended.set()
        for stream in (self.stream, self.outbound):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)


Script = Sequence[Callable[[Session], None]]


class BadProxy:
    """Listens on 127.0.0.1, or on the Unix socket `path`, and runs `scripts` for its connections."""

    def __init__(self, *scripts: Script, path: Path | None = None) -> None:
        self.sessions: list[Session] = []
        self._scripts = scripts
        self._path = path
        self._failure: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._accepted = threading.Condition()

    def __enter__(self) -> Self:
        if self._path is None:
            self._listener = socket.create_server(("127.0.0.1", free_port()), backlog=4096)
            self.host, self.port = self._listener.getsockname()
        else:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self._path))
            self._listener.listen()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections and threads. Raise a script's exception, unless a client that closed caused it."""
        # On Linux, this wakes accept(); close() does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(END_SECONDS)
        self._listener.close()
        for session in self.sessions:
            session.end()
        for thread in self._threads:
            thread.join(END_SECONDS)
        alive = sum(thread.is_alive() for thread in [self._acceptor, *self._threads])
        assert not alive, f"{alive} threads of the scripted proxy did not end"
        if self._failure is not None:
            raise self._failure

    def url(self, scheme: str = "socks5h") -> str:
        return f"{scheme}://localhost{self._path}" if self._path else f"{scheme}://{self.host}:{self.port}"

    def finished(self, index: int = 0, timeout: float = 10.0) -> Session:
        """Wait until the script of the connection `index` has ended."""
        with self._accepted:
            assert self._accepted.wait_for(lambda: len(self.sessions) > index, timeout), "nobody connected"
        session = self.sessions[index]
        assert session.over.wait(timeout), "the script is not over"
        return session

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = _accept(self._listener)
            except OSError:
                return
            session = Session(stream)
            script = self._scripts[min(len(self.sessions), len(self._scripts) - 1)]
            with self._accepted:
                self.sessions.append(session)
                self._accepted.notify_all()
            thread = threading.Thread(target=self._play, args=(session, script), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, session: Session, script: Script) -> None:
        try:
            for step in script:
                step(session)
        except OSError as error:
            # The client closed, or the target could not be reached, as the test wanted.
            session.error = error
        except BaseException as error:
            self._failure = error
        finally:
            session.stream.close()
            if session.outbound is not None:
                session.outbound.close()
            session.over.set()
