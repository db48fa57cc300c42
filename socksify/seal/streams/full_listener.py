"""A listening socket whose accept queue is full, so that connections to it stay in SYN_SENT.

Linux drops a SYN without an answer while the accept queue is full (tcp_conn_request() of the kernel). So a non-blocking
connect(2) to this listener returns EINPROGRESS, and its socket is not writable.

`open` ends the wait: a second socket with the listener's own address connects to the waiting socket. This is a
simultaneous open (RFC 9293 section 3.5), and both sockets are ESTABLISHED at once. No timer and no privilege is needed.

There is one listener for each family, because getsockname(2) of a waiting socket reports an address of loopback, which
should be one of the family that the program expects.
"""

from __future__ import annotations

import os
from errno import EADDRNOTAVAIL, EINPROGRESS
from select import POLLOUT, poll
from socket import AF_INET, AF_INET6, SO_ERROR, SO_REUSEPORT, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET

from socksify import _originals
from socksify.routing.local_host import is_own
from socksify.seal.kernel.raw_sockaddr import is_mapped, pack
from socksify.seal.streams.dial import families_of
from socksify.server.core.loop import WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify.routing.sockaddr import SockAddress
    from socksify.server.core.loop import Loop

    Done = Callable[[_originals.Socket | OSError | None], object]

# In milliseconds: a loopback interface that is up takes a SYN at once.
_PATIENCE = 1000


class FullListener:
    """A full listener on the loopback address of one family."""

    def __init__(self, family: int) -> None:
        """Raises OSError if the address is missing, or if the kernel does not drop SYNs."""
        self.family = family
        self._listener = _originals.Socket(family, SOCK_STREAM)
        self._first = _originals.Socket(family, SOCK_STREAM)
        try:
            self.address = self._fill()
            self._check()
        except OSError:
            self.close()
            raise

    def _fill(self) -> SockAddress:
        # The sockets of `open` share the address.
        self._listener.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        self._listener.bind(("127.0.0.1" if self.family == AF_INET else "::1", 0))
        # listen(2) with 0 leaves room for one connection.
        self._listener.listen(0)
        address: SockAddress = self._listener.getsockname()
        self._first.connect(address)
        return address

    def _check(self) -> None:
        """Make sure that the next connection waits."""
        poller = poll()
        poller.register(self._listener, 1)
        is_full = bool(poller.poll(_PATIENCE))
        second = _originals.Socket(self.family, SOCK_STREAM | SOCK_NONBLOCK)
        try:
            result = second.connect_ex(self.address)
            poller = poll()
            poller.register(second, POLLOUT)
            if not is_full or result != EINPROGRESS or poller.poll(0):
                raise OSError(EADDRNOTAVAIL, "connections to a full listener do not wait on this system")
        finally:
            second.close()

    def close(self) -> None:
        """Close the listener. The sockets that wait get ECONNREFUSED with their next SYN."""
        self._first.close()
        self._listener.close()


class FullListeners:
    """The full listeners of both families, and the connections that are opened through them."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._ipv4 = FullListener(AF_INET)
        try:
            self._ipv6: FullListener | None = FullListener(AF_INET6)
        except OSError:  # no IPv6 here, so no socket of AF_INET6 reaches anything
            self._ipv6 = None

    def address_for(self, sock: _originals.Socket, host: str) -> bytes:
        """Return the address of a full listener to which a socket can connect, as it lies in memory.

        It is of the family of the address `host` if possible, since getsockname(2) will report one of its family.
        Raises OSError (EADDRNOTAVAIL) if there is none.
        """
        takes = families_of(sock)
        is_ipv6 = AF_INET6 in takes and ":" in host and not is_mapped(host)
        if AF_INET in takes and not (is_ipv6 and self._ipv6 is not None):
            own, port = self._ipv4.address[:2]
            return pack(sock.family, (own if sock.family == AF_INET else f"::ffff:{own}", port))
        if self._ipv6 is None or AF_INET6 not in takes:
            raise OSError(EADDRNOTAVAIL, os.strerror(EADDRNOTAVAIL))
        return pack(AF_INET6, self._ipv6.address)

    def open(self, waiting: SockAddress, done: Done) -> None:
        """Open the connection of a socket that waits and has the local address `waiting`.

        `done` gets our end of the connection, None if the socket is gone, or an OSError if no descriptor is left.
        """
        host, port, *rest = waiting
        literal = host.removeprefix("::ffff:")
        is_ipv4 = ":" not in literal
        listener = self._ipv4 if is_ipv4 else self._ipv6
        # With IPV6_FREEBIND a socket has any address. Packets to one of another host would leave this machine.
        if listener is None or not (literal == listener.address[0] or is_own(literal)):
            done(None)
            return
        try:
            end = self._loop.stream(listener.family)
        except OSError as error:
            done(error)
            return
        try:
            end.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
            end.bind(listener.address)
            result = end.connect_ex((literal, port) if is_ipv4 else (literal, port, *rest))
        except OSError as error:
            result = error.errno or EADDRNOTAVAIL
        if result != EINPROGRESS:
            self._opened(end, result, done)
            return

        def handle(fd: int, _events: int) -> None:
            self._loop.watch(fd, 0, handle)
            self._opened(end, end.getsockopt(SOL_SOCKET, SO_ERROR), done)

        self._loop.watch(end.fileno(), WRITABLE, handle)

    def close(self) -> None:
        """Close both listeners."""
        self._ipv4.close()
        if self._ipv6 is not None:
            self._ipv6.close()

    def _opened(self, end: _originals.Socket, error: int, done: Done) -> None:
        if error:
            self._loop.discard(end)
            done(None)
        else:
            done(end)
