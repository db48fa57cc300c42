"""Connect the client's fd to the first proxy: with its own kernel socket if possible, otherwise with a fresh one.

An AF_INET6 socket reaches an IPv4 proxy by a mapped address (RFC 4291 section 2.5.5.2), for which IPV6_V6ONLY
must be off (RFC 3493 section 5.3). getsockopt() still returns the value that the client has set. The addresses of a
proxy are tried one after another, each for its share of the time.
"""

from __future__ import annotations

import os
import socket
from errno import EADDRNOTAVAIL, ECONNREFUSED, EOPNOTSUPP, ETIMEDOUT
from select import POLLOUT
from socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_IPV6, IPV6_V6ONLY, SO_DOMAIN, SOL_SOCKET

from socksify import _originals
from socksify._descriptors import at
from socksify._originals import monotonic
from socksify._signal_safety import ours
from socksify.tunnel import errors, proxy_addresses, settlement, socket_swap
from socksify.tunnel.registry import registry

# Only Linux has MSG_FASTOPEN.
_FAST_OPEN = int(socket.MSG_FASTOPEN | socket.MSG_NOSIGNAL) if hasattr(socket, "MSG_FASTOPEN") else 0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.proxy_addresses import Candidate
    from socksify.tunnel.state import Tunnel


def begin(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    """Connect, or begin to connect. Raises OSError if the proxy has no address that can be reached."""
    proxy = handshake.route.chain[0]
    handshake.try_addresses(registry.proxy_addresses.candidates(proxy, _originals.family(sock)))
    try:
        _reach(sock, tunnel, handshake)
    except ours(OSError) as error:
        _look_again(sock, handshake, error)
        _reach(sock, tunnel, handshake)
    if not handshake.reached:
        handshake.has_reached()


def try_next(sock: Socket, tunnel: Tunnel, handshake: Handshake, error: OSError, is_spent: bool = False) -> int:
    """Try the next address, because connect(2) has failed with `error`. Fail the tunnel if there is no next address.

    Returns the events to wait for, 0 if the tunnel has failed. `is_spent` tells that the socket still connects, or is
    connected, to another address, so a fresh socket has to take its place.
    """
    try:
        if not handshake.candidates:
            _look_again(sock, handshake, error)
        _reach(sock, tunnel, handshake, is_spent)
    except ours(OSError) as last:
        give_up(tunnel, handshake, last)
        return 0
    if not handshake.begun:
        handshake.expect(POLLOUT)
    registry.deadlines.attempted(tunnel, handshake)
    # A fresh socket has joined its epoll objects with the client's own masks.
    registry.epoll_masks.change(tunnel, handshake.events)
    return handshake.events


def give_up(tunnel: Tunnel, handshake: Handshake, error: OSError) -> None:
    """Fail the tunnel, because no address of the proxy can be reached."""
    registry.proxy_addresses.forget(handshake.route.chain[0])
    settlement.fail(tunnel, errors.unreachable(error, handshake.route))


def leave_silent(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    """Go on to the next address, because the present one did not answer within its share of the time."""
    if handshake.attempted is not None:
        registry.proxy_addresses.demote(handshake.route.chain[0], handshake.attempted)
    handshake.begin_again()
    try_next(sock, tunnel, handshake, OSError(ETIMEDOUT, os.strerror(ETIMEDOUT)), is_spent=True)


def _look_again(sock: Socket, handshake: Handshake, error: OSError) -> None:
    """Look up the proxy's addresses again, because none can be reached and the proxy may have moved.

    Raises `error` if there are no new addresses, or if no connect() waits.
    """
    if not handshake.waits:
        raise error
    proxy = handshake.route.chain[0]
    moved = registry.proxy_addresses.moved(proxy, _originals.family(sock), handshake.started)
    if not moved:
        raise error
    handshake.try_addresses(moved, shared=False)


def _reach(sock: Socket, tunnel: Tunnel, handshake: Handshake, is_spent: bool = False) -> None:
    """Connect to the first proxy, unless the tunnel has ended. If it fails meanwhile, the connection is shut down."""
    if not handshake.outcome:
        _connect_to_any(sock, tunnel, handshake, is_spent)
    # A signal handler may have opened the tunnel meanwhile. Then there is an outcome without an error.
    if handshake.outcome.get("error") is not None:
        settlement.silence(tunnel)


def _connect_to_any(sock: Socket, tunnel: Tunnel, handshake: Handshake, is_spent: bool) -> None:
    """Connect to the addresses in turn. If none can be reached, the OSError of the last address is raised."""
    while True:
        candidate = handshake.attempt()
        try:
            _connect(sock, tunnel, handshake, candidate, is_spent)
            return
        except ours(BlockingIOError):
            if _originals.gettimeout(sock) is None and not handshake.unblocked:
                # The fd is non-blocking although Python's timeout is None, so the client's connect() does not block.
                handshake.stop_waiting()
            return
        except ours(OSError):
            if not handshake.candidates or handshake.outcome or monotonic() >= handshake.until:
                raise


def _connect(sock: Socket, tunnel: Tunnel, handshake: Handshake, candidate: Candidate, is_spent: bool) -> None:
    family, address, is_local = candidate
    timeout = _originals.gettimeout(sock)
    blocks = timeout is None
    if blocks and not is_local:
        _unblock(sock, handshake)
    if (SOL_SOCKET, SO_DOMAIN) in tunnel.options:
        _connect_fresh(sock, tunnel, candidate)
    elif is_spent:
        _connect_anew(sock, tunnel, candidate)
    elif timeout and handshake.share < handshake.limit and family == _originals.family(sock):
        _begin_to_connect(sock, address)
    elif family == _originals.family(sock):
        _connect_own(sock, tunnel, address, handshake if blocks and is_local else None)
    elif family == AF_INET and _takes_mapped(sock, tunnel):
        _connect_own(sock, tunnel, proxy_addresses.mapped(address), None)
    else:
        _connect_fresh(sock, tunnel, candidate)


def _connect_own(sock: Socket, tunnel: Tunnel, address: Any, handshake: Handshake | None) -> None:
    """Connect the client's own socket. If `handshake` is given, its first message is sent along if possible."""
    try:
        if handshake is None or not _fast_open(sock, address, handshake):
            _connect_once_or_twice(sock, address)
    except ours(OSError) as error:
        if error.errno != EADDRNOTAVAIL or not _originals.getsockname(sock)[1]:
            raise
        _connect_from_another_port(sock, tunnel, address)


def _connect_once_or_twice(sock: Socket, address: Any) -> None:
    try:
        _originals.connect(sock, address)
    except ours(ConnectionAbortedError):
        # After a non-blocking connect has failed, Linux reports that failure again in the next connect(2).
        _originals.connect(sock, address)


def _begin_to_connect(sock: Socket, address: Any) -> None:
    """Begin to connect a socket that has a timeout, without waiting for that timeout.

    This is used if the proxy has other addresses. Python's own connect() would wait for the whole timeout, although
    each address has only a share of it. The fd of a socket with a timeout is non-blocking already.
    """
    nonblocking = _originals.Socket(_originals.family(sock), socket.SOCK_STREAM, 0, _originals.fileno(sock))
    try:
        # The process may have a default timeout.
        nonblocking.setblocking(False)
        nonblocking.connect(address)
    finally:
        nonblocking.detach()


def _connect_from_another_port(sock: Socket, tunnel: Tunnel, address: Any) -> None:
    """Connect from another port, because another connection to the proxy has, or just had, the client's chosen port.

    Without a proxy, a client may use one local port for many hosts, because the remote addresses differ. All
    connections to the proxy have the same remote address. So this connection gets a local port of its own, and the
    client still sees the port that it has chosen.
    """
    if tunnel.chosen_port and registry.is_taken(tunnel, tunnel.chosen_port):
        raise errors.taken(tunnel.chosen_port, tunnel.route)
    _connect_like(sock, tunnel, address)


def _connect_like(sock: Socket, tunnel: Tunnel, address: Any) -> None:
    """Connect a fresh socket of the same family."""
    family = _originals.family(sock)
    fresh = socket_swap.fresh_socket(sock, family)
    if family == AF_INET6:
        fresh.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, _originals.getsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY))
    _put_on(sock, tunnel, fresh, address)


def _connect_anew(sock: Socket, tunnel: Tunnel, candidate: Candidate) -> None:
    """Connect a fresh socket, because the client's own socket is already connecting to another address."""
    if candidate[0] == _originals.family(sock):
        _connect_like(sock, tunnel, candidate[1])
    else:
        _connect_fresh(sock, tunnel, candidate)


def _fast_open(sock: Socket, address: Any, handshake: Handshake) -> bool:
    """Connect and write at once (tcp(7), MSG_FASTOPEN), which saves a system call. Return whether that was done.

    Only a proxy on this machine is connected in this way. On the path to another machine, some middleboxes drop such
    packets. If the kernel does not offer MSG_FASTOPEN, or on a Unix socket, nothing is done.
    """
    if not _FAST_OPEN or handshake.begun:
        return False
    try:
        written = _originals.sendto(sock, handshake.conversation.outgoing, _FAST_OPEN, address)
    except ours(OSError) as error:
        if error.errno == EOPNOTSUPP:
            return False
        raise
    handshake.has_written(written)
    return True


def _unblock(sock: Socket, handshake: Handshake) -> None:
    """Make the fd non-blocking, because only the kernel limits the time that a blocking connect(2) takes.

    The caller does not do so for a proxy on this machine. A connect(2) to this machine takes no time, so two system
    calls are saved.
    """
    if not handshake.unblocked and at(os.get_blocking, sock):
        handshake.unblock()
        at(os.set_blocking, sock, False)


def _takes_mapped(sock: Socket, tunnel: Tunnel) -> bool:
    """Make an AF_INET6 socket accept mapped addresses. Return False if that is impossible.

    That is impossible for a socket of another family, for a socket that is bound to an IPv6 address, and for a socket
    with IPV6_V6ONLY that has a port already.
    """
    if _originals.family(sock) != AF_INET6 or _originals.getsockname(sock)[0] not in ("::", ""):
        return False
    if _originals.getsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY):
        try:
            _originals.setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, 0)
        except ours(OSError):  # the socket has a port already
            return False
        tunnel.options[IPPROTO_IPV6, IPV6_V6ONLY] = 1
    return True


def _connect_fresh(sock: Socket, tunnel: Tunnel, candidate: Candidate) -> None:
    family, address, _ = candidate
    socket_swap.remember_options(sock, tunnel)
    _put_on(sock, tunnel, socket_swap.fresh_socket(sock, family), address)


def _put_on(sock: Socket, tunnel: Tunnel, fresh: _originals.Socket, address: Any) -> None:
    """Connect a fresh socket and move it onto the client's fd. A local host that the client has chosen is kept."""
    try:
        if fresh.family == _originals.family(sock):
            socket_swap.bind_host(fresh, registry.chosen_address(sock))
        fresh.connect(address)
    except ours(BlockingIOError):
        if fresh.family == AF_UNIX:
            # connect(2), EAGAIN: "the socket is nonblocking, and the connection cannot be completed immediately".
            fresh.close()
            why = "the proxy's Unix socket has no room for another connection"
            raise ConnectionRefusedError(ECONNREFUSED, why) from None
    except BaseException:
        fresh.close()
        raise
    registry.moving(tunnel, fresh.fileno())
    socket_swap.move(fresh, sock)
