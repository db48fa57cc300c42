"""Sockets on which the queries of sealed programs arrive."""

from __future__ import annotations

import struct
from functools import partial
from socket import AF_INET, AF_INET6, CMSG_SPACE, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, inet_ntop

from socksify.routing.sockaddr import numeric
from socksify.seal.dns import message
from socksify.seal.dns.message import Incoming, framed
from socksify.server.core.calls import call_safely
from socksify.server.core.loop import PAUSE_SECONDS, READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify import _originals
    from socksify.seal.dns.answers import Answers
    from socksify.server.core.loop import Loop

    Ancillary = list[tuple[int, int, bytes]]
    # Takes the address of a client.
    Serves = Callable[[Any], bool]

# The number of datagrams that are answered before the loop sees to others.
_BATCH = 32
# Clients over TCP at one time.
_MOST_CLIENTS = 256
# The number of bytes that are read from a client at once.
_READ = 2048
# With so many questions without an answer, no more are read from a client.
_MOST_PENDING = 16
# A client that leaves so many bytes of responses unread loses its connection.
_MOST_UNREAD = 1 << 20
# A connection without a question is closed after so many seconds (RFC 7766 section 6.2.3).
_IDLE_SECONDS = 10.0
# <linux/in.h>; Python 3.11 does not have it.
_IP_PKTINFO = 8
# struct in_pktinfo (ip(7)): an interface, the source of what is sent, the destination of what has arrived.
_IN_PKTINFO = struct.Struct("=I4s4s")
# struct in6_pktinfo (RFC 3542 section 6.1): the source or the destination, and an interface.
_IN6_PKTINFO = struct.Struct("=16sI")
_ANCILLARY_SIZE = CMSG_SPACE(_IN6_PKTINFO.size)


class UdpResponder:
    """Answers the queries that arrive at a UDP socket.

    If the socket reports the address that was asked (IPV6_RECVPKTINFO or IP_PKTINFO), this is the name server that the
    client means. The response comes from the same address, because resolvers drop it otherwise.
    """

    def __init__(self, loop: Loop, sock: _originals.Socket, answers: Answers, serves: Serves = lambda _: True) -> None:
        """`serves` tells whether a client is answered."""
        self._loop = loop
        self._socket = sock
        self._answers = answers
        self._serves = serves
        self._is_closed = False
        sock.setblocking(False)
        loop.watch(sock.fileno(), READABLE, self._readable)

    def close(self) -> None:
        """Answer no more. The socket is closed."""
        self._is_closed = True
        self._loop.discard(self._socket)

    def _readable(self, _fd: int, _events: int) -> None:
        for _ in range(_BATCH):
            try:
                data, ancillary, _, peer = self._socket.recvmsg(message.QUERY_SIZE, _ANCILLARY_SIZE)
            except OSError:
                # Nothing is left, or the client of an earlier response is gone (ECONNREFUSED).
                return
            if not self._serves(peer):
                continue
            server, source = _asked(ancillary)
            # An error in one answer must not end all others.
            call_safely(partial(self._answers.answer, data, partial(self._reply, peer, source), server))

    def _reply(self, peer: Any, source: Ancillary, response: bytes) -> None:
        if self._is_closed:
            return
        try:
            self._socket.sendmsg((response,), source, 0, peer)
        except OSError:
            # The client is gone, or its buffer is full. It asks again, as after any lost datagram.
            pass


class TcpResponder:
    """Answers the queries that arrive on connections (RFC 7766) to a listening socket."""

    def __init__(
        self, loop: Loop, listener: _originals.Socket, answers: Answers, serves: Serves = lambda _: True
    ) -> None:
        """`serves` tells whether a client is answered. It is called once for each connection."""
        self._loop = loop
        self._listener = listener
        self._answers = answers
        self._serves = serves
        self._clients: set[_Client] = set()
        self._is_closed = False
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Answer no more. The listening socket and all connections are closed."""
        self._is_closed = True
        self._loop.discard(self._listener)
        for client in tuple(self._clients):
            client.close()

    def _listen(self) -> None:
        if not self._is_closed:
            self._loop.watch(self._listener.fileno(), READABLE, self._acceptable)

    def _acceptable(self, fd: int, _events: int) -> None:
        try:
            stream, client = self._loop.accept(self._listener)
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is left. The clients that wait would always wake the loop.
            self._loop.watch(fd, 0, self._acceptable)
            self._loop.after(PAUSE_SECONDS, self._listen)
            return
        if not self._serves(client) or len(self._clients) >= _MOST_CLIENTS:
            self._loop.discard(stream)
            return
        self._clients.add(_Client(self._loop, stream, self._answers, self._clients.discard))


class _Client:
    """A connection of a client. `ended` is called when it is closed."""

    def __init__(
        self, loop: Loop, stream: _originals.Socket, answers: Answers, ended: Callable[[_Client], object]
    ) -> None:
        self._loop = loop
        self._stream = stream
        self._answers = answers
        self._ended = ended
        self._incoming = Incoming()
        self._outgoing = bytearray()
        self._pending = 0
        # True when the client has sent all its queries. It may still read the responses.
        self._is_at_end = False
        self._is_closed = False
        self._timer = loop.after(_IDLE_SECONDS, self._idle)
        self._wait()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._timer.cancel()
        self._loop.discard(self._stream)
        self._ended(self)

    def _handle(self, _fd: int, events: int) -> None:
        try:
            if events & WRITABLE:
                self._write()
            else:
                self._read()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        self._wait()

    def _read(self) -> None:
        data = self._stream.recv(_READ)
        self._is_at_end = not data
        self._timer.cancel()
        self._timer = self._loop.after(_IDLE_SECONDS, self._idle)
        for query in self._incoming.feed(data):
            self._pending += 1
            if not self._answers.answer(query, self._reply, over_tcp=True):
                self.close()
                return

    def _reply(self, response: bytes) -> None:
        if self._is_closed:
            return
        self._pending -= 1
        self._outgoing += framed(response)
        if len(self._outgoing) > _MOST_UNREAD:
            self.close()
        else:
            self._handle(-1, WRITABLE)

    def _write(self) -> None:
        del self._outgoing[: self._stream.send(self._outgoing)]

    def _wait(self) -> None:
        """Wait for what comes next: room for responses, or queries."""
        if self._is_closed:
            return
        if self._is_at_end and not self._pending and not self._outgoing:
            self.close()
            return
        mask = WRITABLE if self._outgoing else 0 if self._is_at_end or self._pending >= _MOST_PENDING else READABLE
        self._loop.watch(self._stream.fileno(), mask, self._handle)

    def _idle(self) -> None:
        if self._pending:
            self._timer = self._loop.after(_IDLE_SECONDS, self._idle)
        else:
            self.close()


def _asked(ancillary: Ancillary) -> tuple[str | None, Ancillary]:
    """Return the address that was asked, and the ancillary data with which the response comes from there."""
    for level, kind, data in ancillary:
        if (level, kind) == (IPPROTO_IPV6, IPV6_PKTINFO):
            return numeric(inet_ntop(AF_INET6, data[:16])), ancillary
        if (level, kind) == (IPPROTO_IP, _IP_PKTINFO):
            _, _, address = _IN_PKTINFO.unpack(data)
            return inet_ntop(AF_INET, address), [(level, kind, _IN_PKTINFO.pack(0, address, b""))]
    return None, []
