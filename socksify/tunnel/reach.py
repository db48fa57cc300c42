"""Connect the client's fd to the first proxy: its own kernel socket where that can serve, else a fresh one.

An AF_INET6 socket reaches an IPv4 proxy by a mapped address (RFC 4291 section 2.5.5.2), for which IPV6_V6ONLY
must be off (RFC 3493 section 5.3); the client goes on seeing what it set.
"""

from __future__ import annotations

import os
from socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_IPV6, IPV6_V6ONLY, SO_DOMAIN, SOL_SOCKET
from time import monotonic

from socksify import _real
from socksify.tunnel import gateway, transplant, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify.tunnel.gateway import Candidate
    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.registry import Tunnel


def begin(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    """Connect, or begin to, to one of the proxy's addresses; raises the OSError of the last if none can be reached."""
    while True:
        candidate, *handshake.candidates = handshake.candidates
        try:
            _connect(sock, tunnel, handshake, candidate)
            return
        except BlockingIOError:
            if _real.gettimeout(sock) is None and not handshake.unblocked:
                # The fd is non-blocking, whatever Python thinks of it: so is the client's connect().
                handshake.waits = False
            return
        except OSError:
            if not handshake.candidates or monotonic() >= handshake.deadline:
                raise


def _connect(sock: Socket, tunnel: Tunnel, handshake: Handshake, candidate: Candidate) -> None:
    family, address = candidate
    _prepare_blocking(sock, handshake, candidate)
    if (SOL_SOCKET, SO_DOMAIN) not in tunnel.options:
        if family == sock.family:
            _connect_own(sock, address)
            return
        if family == AF_INET and _takes_mapped(sock, tunnel):
            _connect_own(sock, gateway.mapped(address))
            return
    _connect_fresh(sock, tunnel, candidate)


def _connect_own(sock: Socket, address: Any) -> None:
    try:
        _real.connect(sock, address)
    except ConnectionAbortedError:
        # After a non-blocking connect has failed, Linux says so once more before it takes another address.
        _real.connect(sock, address)


def _prepare_blocking(sock: Socket, handshake: Handshake, candidate: Candidate) -> None:
    """A connect(2) that blocks is bounded by the kernel's patience, not by ours.

    On the machine itself it takes no time, and the two system calls are saved.
    """
    if _real.gettimeout(sock) is not None or handshake.unblocked or gateway.is_loopback(candidate):
        return
    fd = _real.fileno(sock)
    if os.get_blocking(fd):
        os.set_blocking(fd, False)
        handshake.unblocked = True


def _takes_mapped(sock: Socket, tunnel: Tunnel) -> bool:
    """Make an AF_INET6 socket take mapped addresses; one that is bound to an IPv6 address cannot."""
    if sock.family != AF_INET6 or _real.getsockname(sock)[0] not in ("::", ""):
        return False
    if _real.getsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY):
        try:
            _real.setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, 0)
        except OSError:  # it has a port already
            return False
        tunnel.options[IPPROTO_IPV6, IPV6_V6ONLY] = 1
    return True


def _connect_fresh(sock: Socket, tunnel: Tunnel, candidate: Candidate) -> None:
    family, address = candidate
    transplant.remember_options(sock, tunnel)
    fresh = transplant.fresh_socket(sock, family)
    try:
        fresh.connect(address)
    except BlockingIOError:
        if family == AF_UNIX:
            # connect(2), EAGAIN: "the socket is nonblocking, and the connection cannot be completed immediately".
            fresh.close()
            raise ConnectionRefusedError("the proxy's Unix socket has no room for another connection") from None
    except BaseException:
        fresh.close()
        raise
    transplant.move(fresh, sock)
    watch.moved(_real.fileno(sock))
