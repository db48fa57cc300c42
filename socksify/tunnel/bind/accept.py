"""accept() of a socket on whose behalf a proxy listens: wait for the second answer, and take over the connection.

The second answer tells that the peer has come. The proxy sends it on the same connection as the first answer. That
connection then leads to the peer, and the client gets it from accept().
"""

from __future__ import annotations

import os
from _thread import _count as thread_count
from errno import EAGAIN, EBADF, ECANCELED
from socket import SO_ACCEPTCONN, SOL_SOCKET

from socksify import _originals
from socksify._originals import monotonic
from socksify._signal_safety import ours
from socksify.protocol.address import NAME, Address
from socksify.protocol.errors import ProtocolError
from socksify.protocol.socks5 import CONNECT
from socksify.routing import log
from socksify.tunnel import connect, errors, external_addresses, readiness
from socksify.tunnel.bind.listener import failure, reset
from socksify.tunnel.handshake import read
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket

    from socksify.protocol.conversation import Conversation
    from socksify.tunnel.state import BindListener, Tunnel

# Seconds after which a waiting thread checks whether another thread has taken the peer.
_RECHECK = 0.1


def accept(sock: Socket) -> tuple[_originals.Socket, Tunnel]:
    """Wait for the peer, at most for the socket's timeout. Return the connection and its tunnel.

    The connection is an internal object, so an exception that interrupts the caller closes the connection. The caller
    must detach the object, make a socket object from the fd, and register the tunnel with that object. Raises OSError
    as accept(2) does, and the failure of the tunnel.
    """
    timeout = _originals.gettimeout(sock)
    end = None if timeout is None else monotonic() + timeout
    while True:
        tunnel = registry.find(sock)
        listener = tunnel.listener if tunnel is not None else None
        if tunnel is None or listener is None:
            raise OSError(EBADF, os.strerror(EBADF))
        connection = _step(sock, tunnel, listener)
        if connection is not None:
            return connection, tunnel
        left = None if end is None else end - monotonic()
        if timeout == 0:
            raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))
        if left is not None and left <= 0:
            raise TimeoutError("timed out")
        if thread_count():
            left = _RECHECK if left is None else min(left, _RECHECK)
        readiness.wait_readable(_originals.fileno(sock), left)


def _step(sock: Socket, tunnel: Tunnel, listener: BindListener) -> _originals.Socket | None:
    """Proceed as far as possible without waiting. Return the connection if the peer has come, otherwise None."""
    handshake = tunnel.handshake
    if handshake is not None and not handshake.waits:
        connect.advance(tunnel)
        connect.expire(tunnel, monotonic())
    if tunnel.error is not None:
        raise failure(sock, tunnel)
    if tunnel.handshake is not None:
        return None
    if listener.is_idle:
        listener.ask_again(tunnel)
        return None
    lock = tunnel.lock
    if not lock.acquire():
        return None
    try:
        if lock.was_broken:
            tunnel.fail(_interrupted())
            raise failure(sock, tunnel)
        return _collect(sock, tunnel, listener)
    except BaseException:
        # The exception may have lost a part of the second answer, so the tunnel cannot be used any longer.
        tunnel.fail(_interrupted())
        raise
    finally:
        lock.release()


def _interrupted() -> OSError:
    return OSError(ECANCELED, "accept() was interrupted")


def _collect(sock: Socket, tunnel: Tunnel, listener: BindListener) -> _originals.Socket | None:
    peer = listener.peer
    if peer is None or registry.find(sock) is not tunnel:
        # Another thread has taken the peer already.
        return None
    try:
        if not _hear(sock, peer):
            return None
    except ProtocolError as error:
        tunnel.fail(errors.wrong_peer(error, tunnel.route))
    except ours(OSError) as error:
        tunnel.fail(errors.broken(error, tunnel.route, len(tunnel.route.chain)))
    if tunnel.error is not None:
        raise failure(sock, tunnel)
    # One bytecode duplicates the fd and makes the object that closes it, so no signal handler can raise in between.
    duplicates = map(os.dup, map(_originals.fileno, (sock,)))
    connection = next(map(_originals.Socket, (-1,), (-1,), (-1,), duplicates))
    reset(sock, tunnel, listener)
    # Before reset(), both fds share one open file, so this would also make the listening socket blocking.
    connection.setblocking(True)
    _become_connection(tunnel, listener, peer.result.address.literal(), sock.family)
    return connection


def _hear(sock: Socket, peer: Conversation) -> bool:
    """Read more of the second answer; return whether the answer is complete."""
    while not peer.over:
        try:
            data = read(sock, peer.needs)
            if not data:
                peer.end()
            peer.receive(data)
        except ours(BlockingIOError):
            if not peer.nothing_more():
                return False
        except ours(OSError):
            # A connection reset may follow right after a refusal, and the refusal is the better error.
            peer.nothing_more()
            raise
    return True


def _become_connection(tunnel: Tunnel, listener: BindListener, peer: Address, family: int) -> None:
    """Turn the tunnel of the listening socket into the tunnel of a connection to the peer."""
    if peer.type == NAME or peer.host in ("0.0.0.0", "::"):
        # The proxy does not name the peer. It was told to accept the expected peer only.
        expected = listener.route.target.literal()
        peer = Address(expected.type, "" if expected.type == NAME else expected.host, peer.port)
    tunnel.options.pop((SOL_SOCKET, SO_ACCEPTCONN), None)
    sockaddr = external_addresses.sockaddr(family, peer.host, peer.port)
    tunnel.become_connection(listener.route.replace(target=peer, peer=sockaddr, command=CONNECT))
    log.accepted(tunnel.route)
