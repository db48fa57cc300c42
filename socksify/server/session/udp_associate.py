"""UDP ASSOCIATE: datagrams between a client and whom it sends to, for as long as its TCP connection lasts.

RFC 1928 section 7: "A UDP-based client MUST send its datagrams to the UDP relay server at the UDP port indicated by
BND.PORT in the reply ... The relay server MUST drop any datagrams arriving from any source IP address other than the
one recorded for the particular association." Of datagrams that come from outside, those of hosts that the client has
sent to are passed on: an association is no way in for others.
"""

from __future__ import annotations

import os
import socket

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol import server as role
from socksify.protocol import socks5
from socksify.protocol.address import NAME, Address
from socksify.protocol.errnos import socks5_reply_of
from socksify.protocol.errors import ProtocolError
from socksify.protocol.socks5 import COMMAND_NOT_SUPPORTED, GENERAL_FAILURE, NOT_ALLOWED, SUCCEEDED, UDP_ASSOCIATE
from socksify.server.core.loop import READABLE
from socksify.server.net.addresses import address_of, host_of, normalize, to_sockaddr
from socksify.server.policy.policy import Denied, Permitted
from socksify.server.session.udp_destinations import BATCH, Outside, Ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.server import Request
    from socksify.server.session.session import Session


class Associate:
    """Serves one request, until the client closes its connection."""

    name = "associate"
    stage = "associated"

    def __init__(self, session: Session, request: Request) -> None:
        self._session = session
        self._loop = session.server.loop
        self._request = request
        self._inside: _originals.Socket | None = None
        self._outside = Outside(self._loop, self._back)
        self._ways = Ways(session)
        self._rates = Rate(self._loop.now), Rate(self._loop.now)
        # Where the client's datagrams come from and go to: the port of its first, unless it has said which.
        self._port = _declared_port(request, session.host)
        # Bytes of data, and when something last came through.
        self.up = self.down = 0
        self.stamp = self._loop.now

    def start(self) -> None:
        verdict = self._session.verdict(UDP_ASSOCIATE, None, None, 0)
        own = self._session.own[0]
        if isinstance(verdict, Denied):
            self._session.refuse(NOT_ALLOWED, "denied", verdict.why)
        elif isinstance(verdict, Permitted) and verdict.chain:
            # Other proxies would have to take the datagrams; sent from here, they would go round them.
            self._session.refuse(COMMAND_NOT_SUPPORTED, "unsupported", "UDP ASSOCIATE through a proxy")
        elif not own:
            self._session.refuse(GENERAL_FAILURE, "unsupported", "no datagrams from a Unix socket")
        else:
            self._open(own)

    def close(self) -> None:
        self._ways.close()
        self._outside.close()
        if self._inside is not None:
            self._loop.discard(self._inside)
            self._inside = None

    def _open(self, own: str) -> None:
        """Takes datagrams at the address by which the client has reached us."""
        try:
            self._inside = inside = self._loop.datagrams(socket.AF_INET6 if ":" in own else socket.AF_INET)
            _originals.bind(inside, to_sockaddr(own, 0))
        except OSError as error:
            self._session.refuse(socks5_reply_of(error.errno or 0), "failed", os.strerror(error.errno or 0))
            return
        bound = address_of(_originals.getsockname(inside))
        if self._session.tell(role.reply(self._request, SUCCEEDED, bound)):
            self._loop.watch(inside.fileno(), READABLE, self._receive)
            self._loop.watch(self._session.stream.fileno(), READABLE, self._look_whether_over)

    def _look_whether_over(self, _fd: int, _events: int) -> None:
        """There is nothing to be said on the TCP connection any more but its end."""
        try:
            over = not self._session.stream.recv_into(self._loop.pipes.scratch)
        except BlockingIOError:
            return
        except OSError:
            over = True
        if over:
            self._session.end("done")

    def _receive(self, _fd: int, _events: int) -> None:
        assert self._inside is not None
        scratch = self._loop.pipes.scratch
        for _ in range(BATCH):
            try:
                count, sender = self._inside.recvfrom_into(scratch)
            except BlockingIOError:
                return
            except OSError:
                # What an earlier datagram met with, told by ICMP.
                continue
            if unmapped(host_of(sender)) == self._session.host and self._port in (0, sender[1]):
                self._port = sender[1]
                self._out(bytes(scratch[:count]))

    def _out(self, message: bytes) -> None:
        """Sends on what the client sent, unless it is not to be."""
        try:
            address, fragment, begin = socks5.parse_udp_header(message)
        except ProtocolError:
            return
        data = memoryview(message)[begin:]
        # "An implementation that does not support fragmentation MUST drop any datagram whose FRAG field is other than
        # X'00'."
        if fragment or not self._within(len(data), 0):
            return
        self._ways.find(normalize(address), lambda host, port, source: self._send(data, host, port, source))

    def _send(self, data: memoryview, host: str, port: int, source: str | None) -> None:
        if self._outside.send(data, host, port, source):
            self.up += len(data)
            self.stamp = self._loop.now

    def _back(self, host: str, port: int, data: memoryview) -> None:
        """Passes on to the client what came from outside."""
        if self._inside is None or not self._within(len(data), 1):
            return
        header = socks5.encode_udp_header(address_of((host, port)))
        try:
            self._inside.sendto(header + data, to_sockaddr(self._session.host, self._port))
        except OSError:
            return
        self.down += len(data)
        self.stamp = self._loop.now

    def _within(self, size: int, direction: int) -> bool:
        limits = self._session.server.policy.limits
        if 0 < limits.datagram_bytes < size:
            return False
        return self._rates[direction].allows(limits.datagrams_per_second, self._loop.now)


def _declared_port(request: Request, host: str) -> int:
    """The port that the client says it will send from, 0 if it does not.

    "If the client is not in possesion of the information at the time of the UDP ASSOCIATE, the client MUST use a port
    number and address of all zeros." Behind a translator of addresses it is in possession of others than ours.
    """
    target: Address = normalize(request.target)
    known = target.type != NAME and target.host in (host, "0.0.0.0", "::")
    return target.port if known else 0


# How many a second: a token bucket, which lets a burst of one second's worth through.


class Rate:
    def __init__(self, now: float) -> None:
        self._tokens = 1.0
        self._then = now
        self._begun = False

    def allows(self, per_second: int, now: float) -> bool:
        """Whether one more is within `per_second` (0 is no limit), which may be another one each time."""
        if not per_second:
            return True
        full = float(per_second)
        self._tokens = full if not self._begun else min(full, self._tokens + (now - self._then) * per_second)
        self._begun, self._then = True, now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
