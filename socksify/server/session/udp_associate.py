"""UDP ASSOCIATE: datagrams between a client and its targets, for as long as the client's TCP connection lasts.

RFC 1928 section 7: "A UDP-based client MUST send its datagrams to the UDP relay server at the UDP port indicated by
BND.PORT in the reply ... The relay server MUST drop any datagrams arriving from any source IP address other than the
one recorded for the particular association." Of the datagrams from outside, only those from hosts that the client has
sent to are passed on: an association lets nobody else in.
"""

from __future__ import annotations

import os
import socket

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol import socks5
from socksify.protocol.address import NAME, Address
from socksify.protocol.errnos import socks5_reply_of
from socksify.protocol.errors import ProtocolError
from socksify.protocol.server import Request, reply
from socksify.protocol.socks5 import COMMAND_NOT_SUPPORTED, GENERAL_FAILURE, NOT_ALLOWED, SUCCEEDED, UDP_ASSOCIATE
from socksify.server.core.loop import READABLE
from socksify.server.net.addresses import address_of, host_of, normalize, to_sockaddr
from socksify.server.policy.policy import Denied, Permitted
from socksify.server.session.udp_destinations import BATCH, UdpDestinations, UdpSockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.session.stage import SessionContext


class UdpAssociate:
    """Serves one UDP ASSOCIATE request, until the client closes its TCP connection.

    `last_active` is the loop's time of the last datagram that was passed on.
    """

    name = "associated"

    def __init__(self, context: SessionContext, request: Request) -> None:
        self._context = context
        self._loop = context.loop
        self._request = request
        # The socket on the client's side.
        self._inner: _originals.Socket | None = None
        self._outer = UdpSockets(self._loop, self._pass_to_client)
        self._destinations = UdpDestinations(context)
        self._rate_up, self._rate_down = TokenBucket(), TokenBucket()
        # The port from which the client sends. It is the port of the first datagram, unless the request declares it.
        self._client_port = _declared_port(request, context.host)
        # Bytes of data, without headers.
        self.up = self.down = 0
        self.last_active = self._loop.now

    def start(self) -> None:
        context = self._context
        verdict = context.verdict(UDP_ASSOCIATE, None, None, 0)
        own = context.own[0]
        if isinstance(verdict, Denied):
            context.refuse(NOT_ALLOWED, "denied", verdict.why)
        elif isinstance(verdict, Permitted) and verdict.chain:
            # The proxies of the chain would have to relay the datagrams: a socket here would bypass them.
            context.refuse(COMMAND_NOT_SUPPORTED, "unsupported", "UDP ASSOCIATE through a proxy")
        elif not own:
            context.refuse(GENERAL_FAILURE, "unsupported", "no datagrams from a Unix socket")
        else:
            self._open(own)

    def close(self) -> None:
        self._destinations.close()
        self._outer.close()
        if self._inner is not None:
            self._loop.discard(self._inner)
            self._inner = None

    def _open(self, own: str) -> None:
        """Receive datagrams at the address that the client has connected to."""
        try:
            self._inner = inner = self._loop.datagrams(socket.AF_INET6 if ":" in own else socket.AF_INET)
            _originals.bind(inner, to_sockaddr(own, 0))
        except OSError as error:
            self._context.refuse(socks5_reply_of(error.errno or 0), "failed", os.strerror(error.errno or 0))
            return
        bound = address_of(_originals.getsockname(inner))
        if self._context.tell(reply(self._request, SUCCEEDED, bound)):
            self._loop.watch(inner.fileno(), READABLE, self._receive_from_client)
            self._loop.watch(self._context.stream.fileno(), READABLE, self._await_end)

    def _await_end(self, _fd: int, _events: int) -> None:
        """End the session if the TCP connection has ended. Data on it has no meaning, and is dropped."""
        try:
            is_over = not self._context.stream.recv_into(self._loop.pipes.scratch)
        except BlockingIOError:
            return
        except OSError:
            is_over = True
        if is_over:
            self._context.end("done")

    def _receive_from_client(self, _fd: int, _events: int) -> None:
        assert self._inner is not None
        scratch = self._loop.pipes.scratch
        for _ in range(BATCH):
            try:
                count, sender = self._inner.recvfrom_into(scratch)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error about an earlier datagram.
                continue
            if unmapped(host_of(sender)) == self._context.host and self._client_port in (0, sender[1]):
                self._client_port = sender[1]
                self._pass_to_target(bytes(scratch[:count]))

    def _pass_to_target(self, message: bytes) -> None:
        """Send the client's datagram on. It is dropped if it is malformed, over the limits, or not permitted."""
        try:
            address, fragment, begin = socks5.parse_udp_header(message)
        except ProtocolError:
            return
        data = memoryview(message)[begin:]
        # "An implementation that does not support fragmentation MUST drop any datagram whose FRAG field is other than
        # X'00'."
        if fragment or not self._is_within_limits(len(data), self._rate_up):
            return
        self._destinations.find(normalize(address), lambda host, port, source: self._send(data, host, port, source))

    def _send(self, data: memoryview, host: str, port: int, source: str | None) -> None:
        if self._outer.send(data, host, port, source):
            self.up += len(data)
            self.last_active = self._loop.now

    def _pass_to_client(self, host: str, port: int, data: memoryview) -> None:
        if self._inner is None or not self._is_within_limits(len(data), self._rate_down):
            return
        header = socks5.encode_udp_header(address_of((host, port)))
        try:
            self._inner.sendto(header + data, to_sockaddr(self._context.host, self._client_port))
        except OSError:
            return
        self.down += len(data)
        self.last_active = self._loop.now

    def _is_within_limits(self, size: int, rate: TokenBucket) -> bool:
        limits = self._context.policy.limits
        if 0 < limits.datagram_bytes < size:
            return False
        return rate.allows(limits.datagrams_per_second, self._loop.now)


def _declared_port(request: Request, host: str) -> int:
    """Return the port that the client says it will send from, 0 if it does not say one.

    "If the client is not in possesion of the information at the time of the UDP ASSOCIATE, the client MUST use a port
    number and address of all zeros." Behind NAT the client knows only its inner address, so the port is
    ignored if the address is not `host`.
    """
    target: Address = normalize(request.target)
    is_known = target.type != NAME and target.host in (host, "0.0.0.0", "::")
    return target.port if is_known else 0


class TokenBucket:
    """Limits the rate of datagrams. A burst may be as large as one second's worth."""

    def __init__(self) -> None:
        self._tokens = 0.0
        # When the tokens were counted last.
        self._counted_at: float | None = None

    def allows(self, per_second: int, now: float) -> bool:
        """Return True if one more datagram is within `per_second`; 0 is no limit.

        `now` is the loop's time. The limit may be another one at each call, since a reload changes it.
        """
        if not per_second:
            return True
        full = float(per_second)
        if self._counted_at is None:
            self._tokens = full
        else:
            self._tokens = min(full, self._tokens + (now - self._counted_at) * per_second)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
