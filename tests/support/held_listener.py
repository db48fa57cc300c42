"""A listening socket that does not answer until it is told to: natively, a connect to it stays pending.

Linux drops a SYN without a word while the accept queue is full (listen(2): "if the underlying protocol supports
retransmission, the request may be ignored so that a later reattempt at connection succeeds"). The client's kernel sends
the SYN again after a second.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Callable, Iterator

from tests.support.bad_proxy import Session

END_SECONDS = 5.0
Step = Callable[[Session], None]


class HeldListener:
    """Listens on a port of `host`. Each connection that is accepted is given to `step`, in a thread of its own."""

    def __init__(self, host: str, step: Step) -> None:
        self._step = step
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind((host, 0))
        self._listener.listen(0)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        # One connection fills a queue that has no room for waiting ones.
        self._filler = socket.create_connection(self.address)
        self._threads: list[threading.Thread] = []
        self._streams: list[socket.socket] = []

    def open(self) -> None:
        """Accept all connections from now on."""
        self._listener.listen(4096)
        self._run(self._accept)

    def refuse(self) -> None:
        """Refuse all connections from now on."""
        self._listener.close()

    def close(self) -> None:
        # shutdown() wakes accept() and recv(), close() does not.
        for sock in (self._listener, *self._streams, self._filler):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(END_SECONDS)
        for sock in (self._listener, *self._streams, self._filler):
            sock.close()
        assert not any(thread.is_alive() for thread in self._threads)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, peer = self._listener.accept()
                self._streams.append(stream)
                if peer != self._filler.getsockname():
                    self._run(functools.partial(self._serve, stream))

    def _serve(self, stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            self._step(Session(stream))

    def _run(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()


@contextlib.contextmanager
def held_listener(host: str, step: Step) -> Iterator[HeldListener]:
    listener = HeldListener(host, step)
    try:
        yield listener
    finally:
        listener.close()
