"""Connect the client's fd to the first proxy: by its own kernel socket where that is possible, else by a fresh one.

An AF_INET6 socket reaches an IPv4 proxy by a mapped address (RFC 4291 section 2.5.5.2), for which IPV6_V6ONLY
must be off (RFC 3493 section 5.3). getsockopt() goes on to tell the client the value that it has set. The addresses of
a proxy are tried one after another, each for its share of the time.
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

# Only Linux has it.
_FAST_OPEN = int(socket.MSG_FASTOPEN | socket.MSG_NOSIGNAL) if hasattr(socket, "MSG_FASTOPEN") else 0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.proxy_addresses import Candidate
    from socksify.tunnel.state import Tunnel


def begin(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    """Connect, or begin to. Raises OSError if the proxy has no address that can be reached."""
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
    """The connect itself has failed, with `error`: try the next address, or fail the tunnel if there is none.

    Returns the events to wait for, 0 if it has failed. A socket `is_spent` that still connects, or is connected, to
    another address: a fresh one takes its place.
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
    """No address of the proxy can be connected to: fail the tunnel."""
    registry.proxy_addresses.forget(handshake.route.chain[0])
    settlement.fail(tunnel, errors.unreachable(error, handshake.route))


def leave_silent(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    """The address at hand was silent for its share of the time: go on to the next one."""
    if handshake.attempted is not None:
        registry.proxy_addresses.demote(handshake.route.chain[0], handshake.attempted)
    handshake.begin_again()
    try_next(sock, tunnel, handshake, OSError(ETIMEDOUT, os.strerror(ETIMEDOUT)), is_spent=True)


def _look_again(sock: Socket, handshake: Handshake, error: OSError) -> None:
    """No address can be connected to: where a connect() waits, the proxy may have moved. Raises the error if not."""
    if not handshake.waits:
        raise error
    proxy = handshake.route.chain[0]
    moved = registry.proxy_addresses.moved(proxy, _originals.family(sock), handshake.started)
    if not moved:
        raise error
    handshake.try_addresses(moved, shared=False)


def _reach(sock: Socket, tunnel: Tunnel, handshake: Handshake, is_spent: bool = False) -> None:
    """Connect to the first proxy, unless the tunnel has ended; if it fails meanwhile, nothing is left connected."""
    if not handshake.outcome:
        _connect_to_any(sock, tunnel, handshake, is_spent)
    # A signal handler may have opened the tunnel meanwhile: that outcome is no error.
    if handshake.outcome.get("error") is not None:
        settlement.silence(tunnel)


def _connect_to_any(sock: Socket, tunnel: Tunnel, handshake: Handshake, is_spent: bool) -> None:
    """Connect to the addresses in turn; raises the OSError of the last if none can be reached."""
    while True:
        candidate = handshake.attempt()
        try:
            _connect(sock, tunnel, handshake, candidate, is_spent)
            return
        except ours(BlockingIOError):
            if _originals.gettimeout(sock) is None and not handshake.unblocked:
                # The fd is non-blocking, whatever Python thinks of it: so is the client's connect().
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
    """Connect. If `handshake` is given, the same system call sends its first message where that is possible."""
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
        # After a non-blocking connect has failed, Linux says so once more before it takes another address.
        _originals.connect(sock, address)


def _begin_to_connect(sock: Socket, address: Any) -> None:
    """Begin to connect a socket with a timeout, while there are other addresses: its connect() would wait too long.

    The fd of such a socket is non-blocking.
    """
    nonblocking = _originals.Socket(_originals.family(sock), socket.SOCK_STREAM, 0, _originals.fileno(sock))
    try:
        # The process may have a default timeout.
        nonblocking.setblocking(False)
        nonblocking.connect(address)
    finally:
        nonblocking.detach()


def _connect_from_another_port(sock: Socket, tunnel: Tunnel, address: Any) -> None:
    """The client chose a port that another connection to the proxy has, or had a moment ago.

    Without a proxy, one port may be used for many hosts, because each pair of addresses is another one. All
    connections to the proxy have the same pair. So this connection gets a port of its own there, and the client goes
    on to see the port that it has chosen.
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
    """Connect a fresh socket, because the client's own connects to another address already."""
    if candidate[0] == _originals.family(sock):
        _connect_like(sock, tunnel, candidate[1])
    else:
        _connect_fresh(sock, tunnel, candidate)


def _fast_open(sock: Socket, address: Any, handshake: Handshake) -> bool:
    """Connect and write at once (tcp(7), MSG_FASTOPEN), which saves a system call. Return whether that was done.

    This is for a proxy on this machine only: on the way to another machine, some middleboxes drop such packets. If
    the kernel does not offer it, and on a Unix socket, nothing is done.
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
    """Make the fd non-blocking: the time that a blocking connect(2) takes is bounded by the kernel alone.

    A connect(2) to this machine itself takes no time, so there the two system calls are saved.
    """
    if not handshake.unblocked and at(os.get_blocking, sock):
        handshake.unblock()
        at(os.set_blocking, sock, False)


def _takes_mapped(sock: Socket, tunnel: Tunnel) -> bool:
    """Make an AF_INET6 socket take mapped addresses; return False if it cannot, as it is bound to an IPv6 address."""
    if _originals.family(sock) != AF_INET6 or _originals.getsockname(sock)[0] not in ("::", ""):
        return False
    if _originals.getsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY):
        try:
            _originals.setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, 0)
        except ours(OSError):  # it has a port already
            return False
        tunnel.options[IPPROTO_IPV6, IPV6_V6ONLY] = 1
    return True


def _connect_fresh(sock: Socket, tunnel: Tunnel, candidate: Candidate) -> None:
    family, address, _ = candidate
    socket_swap.remember_options(sock, tunnel)
    _put_on(sock, tunnel, socket_swap.fresh_socket(sock, family), address)


def _put_on(sock: Socket, tunnel: Tunnel, fresh: _originals.Socket, address: Any) -> None:
    """Connect a fresh socket, from the host that the client chose, and move it onto the client's fd."""
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
