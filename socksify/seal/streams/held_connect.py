"""connect(2) of a non-blocking socket: the target's socket waits in SYN_SENT while the supervisor dials.

The program gets EINPROGRESS, and its pollers see a socket that is connecting. If the tunnel opens, the socket is opened
from the other side, and relayed. If the tunnel fails, the socket is shut down, which wakes the pollers, and SO_ERROR
reports the true error. The supervisor keeps no descriptor of the socket, so close(2) ends it as natively.

A blocking socket takes this way as well, if it cannot be connected to the proxy itself: its address family is another
one. Then the call waits.
"""

from __future__ import annotations

import os
from errno import EALREADY, ECONNABORTED, EHOSTUNREACH, EINPROGRESS
from socket import SHUT_RDWR

from socksify.seal.streams.connections import WaitingCalls
from socksify.seal.streams.dial import clear_error, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify import _originals
    from socksify.routing.route import Via
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.seal.streams.connections import Connections
    from socksify.seal.streams.dial import Dialer
    from socksify.seal.streams.full_listener import FullListeners
    from socksify.seal.streams.relays import Relays


class HeldConnects:
    """The means by which the supervisor serves sockets that wait in SYN_SENT."""

    def __init__(
        self,
        listener: Listener,
        target: Target,
        connections: Connections,
        dialer: Dialer,
        full_listeners: FullListeners,
        relays: Relays,
    ) -> None:
        self.listener, self.target, self.connections = listener, target, connections
        self.dialer, self.full_listeners, self.relays = dialer, full_listeners, relays


class HeldConnect:
    """A pending connect(2) of a socket in SYN_SENT, which has the local address `local`.

    `place` is the inode of the socket, and the thread and the descriptor that were used.
    """

    def __init__(self, connects: HeldConnects, place: tuple[int, int, int], local: SockAddress) -> None:
        self._connects = connects
        self._inode, self._thread, self._fd = place
        self._local = local
        # The calls of threads, while the socket is blocking.
        self._waiting: WaitingCalls | None = None

    def dial(self, route: Via, seconds: float) -> None:
        """Begin to open the tunnel, within so many seconds."""
        self._dial = self._connects.dialer.fresh(route, seconds, self._end)
        self._dial.start()

    def wait(self, id: int, sock: _originals.Socket, late: int = EINPROGRESS) -> None:
        """Let a connect(2) wait for the outcome. If it waits too long, it fails with the errno `late`."""
        if self._waiting is None:
            connects = self._connects
            self._waiting = WaitingCalls(connects.dialer.loop, connects.listener, connects.target, sock)
        self._waiting.join(id, late)

    def join(self, id: int, sock: _originals.Socket) -> None:
        """Answer another connect(2) of the same socket, which may be blocking by now."""
        if os.get_blocking(sock.fileno()):
            self.wait(id, sock, EALREADY)
        else:
            self._connects.listener.answer(id, error=EALREADY)

    def cancel(self) -> None:
        """Give the connect(2) up: the program disconnects the socket."""
        self._dial.cancel()
        self._connects.connections.forget(self._inode)
        if self._waiting is not None:
            self._waiting.end(ECONNABORTED)

    def tell_outcome(self, id: int, _thread: int, _value: int, _length: int) -> None:
        """Answer getsockopt(2) of SO_ERROR: there is no error yet."""
        self._connects.listener.proceed(id)

    def _end(self, error: OSError | None) -> None:
        if error is None:
            # Before the socket is open: its pollers wake up at once, and ask for SO_ERROR.
            self._connects.connections.succeed(self._inode)
            self._connects.full_listeners.open(self._local, self._opened)
        else:
            self._fail(error.errno or EHOSTUNREACH)

    def _opened(self, near: _originals.Socket | OSError | None) -> None:
        connects, far = self._connects, self._dial.sock
        if far is None:
            return
        if near is None or isinstance(near, OSError):
            connects.dialer.loop.discard(far)
            if near is None:
                # The program has closed its socket.
                connects.connections.forget(self._inode)
            else:
                self._fail(near.errno or EHOSTUNREACH)
            return
        connects.relays.start(near, far, lambda: connects.connections.forget(self._inode))
        if self._waiting is not None:
            self._tell_success(self._waiting)

    def _tell_success(self, waiting: WaitingCalls) -> None:
        if waiting.is_waited_for:
            sock = self._connects.target.find_socket(self._inode, self._thread, self._fd)
            if sock is not None:
                settle(sock)
                sock.close()
        waiting.end(0)

    def _fail(self, error: int) -> None:
        connections = self._connects.connections
        connections.fail(self._inode, error)
        sock = self._connects.target.find_socket(self._inode, self._thread, self._fd)
        if sock is None:
            connections.forget(self._inode)
            return
        try:
            sock.shutdown(SHUT_RDWR)
        except OSError:  # its SYN has run out of time
            pass
        if self._waiting is not None:
            clear_error(sock)
            if self._waiting.end(error):
                connections.forget(self._inode)
        sock.close()
