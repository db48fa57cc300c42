"""The outer side of an association: the sockets that datagrams leave from, and the hosts that may answer."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable

from socksify import _real
from socksify.server.loop import READABLE, Loop
from socksify.server.sockaddr import sockaddr

# Hosts that a client has sent to, and that may therefore send to it; the one that was sent to longest ago is forgotten.
HOSTS = 1024
# Datagrams taken at one event.
BATCH = 32

# Called with the sender's host and port, and what it sent, which is overwritten afterwards.
Arrived = Callable[[str, int, memoryview], None]


class Outside:
    """A socket for each family and source address, made when it is first needed."""

    def __init__(self, loop: Loop, arrived: Arrived) -> None:
        self._loop = loop
        self._arrived = arrived
        self._sockets: dict[str, _real.Socket] = {}
        self._hosts: OrderedDict[str, None] = OrderedDict()

    def send(self, data: memoryview, host: str, port: int, source: str | None) -> bool:
        """Sends a datagram, unless there is no room for it or no way; whether it was sent."""
        try:
            sender = self._sender(source or ("::" if ":" in host else "0.0.0.0"))
            sender.sendto(data, sockaddr(host, port))
        except OSError:
            # As on any network, where datagrams are lost.
            return False
        plain = host.partition("%")[0]
        self._hosts[plain] = None
        self._hosts.move_to_end(plain)
        if len(self._hosts) > HOSTS:
            self._hosts.popitem(last=False)
        return True

    def close(self) -> None:
        for stream in self._sockets.values():
            self._loop.discard(stream)
        self._sockets.clear()

    def _sender(self, source: str) -> _real.Socket:
        sender = self._sockets.get(source)
        if sender is None:
            sender = self._loop.datagrams(socket.AF_INET6 if ":" in source else socket.AF_INET)
            try:
                if ":" in source:
                    _real.setsockopt(sender, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                _real.bind(sender, sockaddr(source, 0))
            except OSError:
                self._loop.discard(sender)
                raise
            self._sockets[source] = sender
            self._loop.watch(sender.fileno(), READABLE, lambda *_: self._receive(sender))
        return sender

    def _receive(self, sender: _real.Socket) -> None:
        scratch = self._loop.pipes.scratch
        for _ in range(BATCH):
            try:
                count, (host, port, *_rest) = sender.recvfrom_into(scratch)
            except BlockingIOError:
                return
            except OSError:
                # What an earlier datagram met with, told by ICMP.
                continue
            host = host.partition("%")[0]
            if host in self._hosts:
                self._arrived(host, port, scratch[:count])
