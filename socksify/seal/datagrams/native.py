"""Answers the calls of UDP sockets that belong to this network namespace: there is no pool, or UDP is direct.

Without a pool the sockets are bound to the loopback interface, and the kernel keeps their datagrams on this machine.
With the setting udp=direct they are not bound, and what goes past the proxy goes as the user says.

Either way, questions for name servers are led to our own responders. recvfrom(2), recvmsg(2) and getpeername(2) report
the name server that was asked. recvmmsg(2) does not: its caller hears nothing if it looks at the sender.
"""

from __future__ import annotations

import os
from errno import EPERM
from socket import AF_UNSPEC, MSG_ERRQUEUE, SOCK_DGRAM

from socksify import _originals
from socksify.routing.route import Blocked, Direct
from socksify.seal.datagrams.asked_name_servers import AskedNameServers
from socksify.seal.datagrams.messages import (
    Recvfrom,
    Recvmsg,
    note_sent,
    read_datagram,
    read_header,
    read_message,
    read_messages,
)
from socksify.seal.datagrams.reception import Reception
from socksify.seal.datagrams.routes import DOMAIN, destination
from socksify.seal.datagrams.sockets import bind_to_loopback, flags_of, give, is_datagram_socket
from socksify.seal.kernel import raw_sockaddr
from socksify.seal.kernel.libc import connect_raw
from socksify.seal.kernel.target import inode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.datagrams.messages import SentMessage
    from socksify.seal.datagrams.routes import DatagramRoutes
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.seal.streams.connections import Connections
    from socksify.server.core.loop import Loop

    Handler = Callable[..., None]

_NOT_LOOPBACK = "without a network namespace of its own for UDP, the seal lets it reach this machine alone"


class NativeDatagrams:
    """Answers socket(2), connect(2), sendto(2), sendmsg(2), sendmmsg(2), recvfrom(2) and recvmsg(2).

    `responders` are the sockets on which name servers are asked. `handlers` are methods by the name of the call, but
    for `connect`, whose calls are sorted out before.
    """

    def __init__(
        self,
        loop: Loop,
        listener: Listener,
        target: Target,
        connections: Connections,
        routes: DatagramRoutes,
        *,
        are_direct: bool,
    ) -> None:
        """`are_direct` is the setting udp=direct. Raises OSError."""
        self._loop, self._listener, self._target, self._connections = loop, listener, target, connections
        self._routes, self._are_direct = routes, are_direct
        self._name_servers = AskedNameServers()
        self.responders = self._name_servers.responders
        for responder in self.responders:
            loop.keep(responder)
        self.handlers: Mapping[str, Handler] = {
            name: getattr(self, name) for name in ("socket", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg")
        }

    def serves(self, client: SockAddress) -> bool:
        """Return True if a question from this address is to be answered."""
        return self._name_servers.serves(client)

    def close(self) -> None:
        """Do nothing: the kernel has the last datagrams of the tree."""

    def socket(self, id: int, _thread: int, domain: int, kind: int, protocol: int, *_: int) -> None:
        """Answer socket(2) of a UDP socket. Raises OSError if it fails."""
        if self._are_direct:
            self._listener.proceed(id)
            return
        flags = flags_of(kind)
        made = _originals.Socket(domain & 0xFFFFFFFF, SOCK_DGRAM, protocol & 0xFFFFFFFF)
        try:
            bind_to_loopback(made)
        except OSError:
            made.close()
            raise
        give(self._listener, id, flags, made)

    def connect(self, id: int, thread: int, sock: _originals.Socket, inode: int, raw: bytes) -> None:
        """Answer connect(2) of a UDP socket. Raises OSError if it fails."""
        self._connections.forget(inode)
        self._name_servers.forget(inode)
        if raw_sockaddr.family(raw) == AF_UNSPEC:
            error = connect_raw(sock.fileno(), raw)
            # The kernel has undone the binding, too (__udp_disconnect()).
            self._hold(sock)
            self._listener.answer(id, error=error)
            return
        # bind(2) with a link-local address has bound the socket to that interface.
        self._hold(sock)
        to = destination(raw)
        if to is None or to[1] != DOMAIN:
            if to is not None and self._are_direct:
                self._admit(thread, inode, to)
            self._listener.proceed(id)
            return
        self._connections.set_peer(inode, self._name_servers.connect(sock, inode, raw, to))
        self._listener.answer(id)

    def _hold(self, sock: _originals.Socket) -> None:
        if not self._are_direct:
            bind_to_loopback(sock)

    def sendto(
        self, id: int, thread: int, fd: int, data: int, size: int, flags: int, address: int, length: int, *_: int
    ) -> None:
        """Answer sendto(2) of any socket with an address. Raises OSError if it fails."""
        raw = self._target.read_all(thread, address, min(length & 0xFFFFFFFF, raw_sockaddr.LONGEST))
        if self._is_question(thread, fd, raw):
            content = read_datagram(self._target, thread, data, size)
            self._listener.answer(id, self._ask(id, thread, fd, raw, content, flags))
        else:
            self._listener.proceed(id)

    def sendmsg(self, id: int, thread: int, fd: int, header: int, flags: int, *_: int) -> None:
        """Answer sendmsg(2) of any socket. Raises OSError if it fails."""
        message = read_message(self._target, thread, header)
        if self._is_message_a_question(thread, fd, message):
            content = message.content(self._target, thread)
            self._listener.answer(id, self._ask(id, thread, fd, message.address, content, flags))
        else:
            self._listener.proceed(id)

    def sendmmsg(self, id: int, thread: int, fd: int, headers: int, count: int, flags: int, *_: int) -> None:
        """Answer sendmmsg(2) of any socket. Raises OSError if it fails.

        If the first message is a question, that one alone is sent. The caller goes on with the others, as sendmmsg(2)
        asks of it.
        """
        messages = read_messages(self._target, thread, headers, count)
        questions = [self._is_message_a_question(thread, fd, message) for message in messages]
        if not any(questions):
            self._listener.proceed(id)
            return
        if not questions[0]:
            raise OSError(EPERM, os.strerror(EPERM))
        content = messages[0].content(self._target, thread)
        sent = self._ask(id, thread, fd, messages[0].address, content, flags)
        note_sent(self._target, thread, messages[0], sent)
        self._listener.answer(id, 1)

    def recvfrom(
        self, id: int, thread: int, fd: int, data: int, size: int, flags: int, address: int, length: int, *_: int
    ) -> None:
        """Answer recvfrom(2) of any socket with room for an address. Raises OSError if it fails."""
        if self._has_asked(thread, fd, flags):
            self._receive(fd, Recvfrom(id, thread, flags & 0xFFFFFFFF, data, size, address, length))
        else:
            self._listener.proceed(id)

    def recvmsg(self, id: int, thread: int, fd: int, at: int, flags: int, *_: int) -> None:
        """Answer recvmsg(2) of any socket. Raises OSError if it fails."""
        header = read_header(self._target, thread, at) if self._has_asked(thread, fd, flags) else None
        if header is not None and header.name:
            self._receive(fd, Recvmsg(id, thread, flags & 0xFFFFFFFF, header))
        else:
            self._listener.proceed(id)

    def _has_asked(self, thread: int, fd: int, flags: int) -> bool:
        """Return True if a socket has asked a name server, and the call may receive the answer."""
        return bool(self._name_servers) and not flags & MSG_ERRQUEUE and inode(thread, fd) in self._name_servers

    def _receive(self, fd: int, call: Recvfrom | Recvmsg) -> None:
        sock = self._target.take_socket(call.thread, fd)
        number = os.fstat(sock.fileno()).st_ino
        Reception(
            self._loop, self._listener, self._target, call, sock,
            lambda sender: self._name_servers.sender(sock, number, sender),
        ).start()  # fmt: skip

    def _is_message_a_question(self, thread: int, fd: int, message: SentMessage) -> bool:
        if message.names_interface and not self._are_direct:
            # ip(7), IP_PKTINFO: it would leave by that interface, although the socket is bound to loopback.
            raise OSError(EPERM, os.strerror(EPERM))
        return self._is_question(thread, fd, message.address)

    def _is_question(self, thread: int, fd: int, raw: bytes) -> bool:
        """Return True if a datagram to an address is for a name server.

        Raises OSError (EACCES) for a datagram that is refused, and OSError (EINVAL) for an address that is too short.
        """
        to = destination(raw) if raw else None
        if to is None or not is_datagram_socket(self._target, thread, fd):
            return False
        if to[1] != DOMAIN:
            self._admit(thread, None, to)
        return to[1] == DOMAIN

    def _admit(self, thread: int, inode: int | None, to: tuple[str, int]) -> None:
        """Raise OSError (EACCES) for a datagram that must not leave, or that would not arrive."""
        route = self._routes.decide(thread, inode, to)
        if self._are_direct:
            if isinstance(route, Blocked):
                self._routes.refuse(route, to)
        elif not isinstance(route, Direct):
            self._routes.refuse(route, to)
        elif not self._routes.router_of(thread, inode).is_own(to[0]):
            self._routes.refuse(Blocked(_NOT_LOOPBACK), to)

    def _ask(self, id: int, thread: int, fd: int, raw: bytes, content: bytes, flags: int) -> int:
        """Send a question. Return the number of bytes. Raises OSError."""
        to = destination(raw)
        sock = self._target.take_socket(thread, fd)
        try:
            # Before that, the socket may be one of another process.
            if to is None or not self._listener.is_valid(id):
                return 0
            return self._name_servers.ask(sock, raw, to, content, flags & 0xFFFFFFFF)
        finally:
            sock.close()
