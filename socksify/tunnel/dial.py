"""Reach the first proxy on the client's own fd, run each hop's handshake, and settle what came of it.

    start()    connect to the proxy; the handshake is pending
    advance()  as far as the socket allows now
    finish()   until it is settled, waiting in between

A settled tunnel is either open, and the fd is from then on the kernel's own connection and no business of
ours, or failed: the connection to the proxy is shut down, so nothing that the client still writes can reach it.
"""

from __future__ import annotations

import os
from _thread import _count as thread_count
from errno import EBADF, ECANCELED
from select import POLLOUT
from socket import SHUT_RDWR

from socksify import _real
from socksify._real import monotonic
from socksify.protocol.errors import ProtocolError
from socksify.protocol.socks5 import BIND
from socksify.tunnel import errors, gateway, log, pending, reach, registry, watch
from socksify.tunnel.handshake import Handshake
from socksify.tunnel.sockaddr import no_such_name
from socksify.tunnel.tunnel import Tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket

    from socksify.tunnel.route import Via

# Milliseconds after which a waiting thread looks whether another one has settled the tunnel: the thread that reads
# the last answer leaves nothing for poll(2) to tell the others.
_GLANCE = 100

_LEFTOVER = 65536
_LEFTOVERS = 1024


def start(sock: Socket, route: Via, connect_timeout: float, begun: Callable[[Tunnel], object]) -> Tunnel:
    """Begin: when this returns, the socket is connected, or connecting, to the first proxy, or the tunnel has failed.

    The socket's own timeout bounds everything; without one, on a non-blocking socket, and for BIND `connect_timeout`.
    `begun` is called with the tunnel before the first byte goes out.
    Raises what the stdlib would for a target that cannot be written (a name over 255 bytes), before anything is
    sent.
    """
    if _real.fileno(sock) < 0:
        raise OSError(EBADF, os.strerror(EBADF))
    timeout = _real.gettimeout(sock)
    try:
        # listen() has no timeout of its own; that of the socket is for accept().
        limit = connect_timeout if route.command == BIND else timeout or connect_timeout
        handshake = Handshake(route, monotonic(), limit)
    except ProtocolError as error:
        raise errors.unsayable(error, route) from error
    except ValueError:
        raise no_such_name() from None
    handshake.waits = timeout != 0
    tunnel = Tunnel(route)
    registry.begin(sock, tunnel, handshake)
    try:
        begun(tunnel)
        handshake.candidates = gateway.candidates(route.chain[0], _real.family(sock))
        reach.begin(sock, tunnel, handshake)
        handshake.reached = True
    except OSError as error:
        fail(tunnel, errors.unreachable(error, route))
    except BaseException:
        _abandon(tunnel, _interrupted())
        raise
    return tunnel


def advance(tunnel: Tunnel) -> int:
    """Go as far as the socket allows without waiting; returns the events to wait for, 0 when it is settled."""
    # The same lock is released where a signal handler has forked meanwhile, and this is the child.
    lock = tunnel.lock
    if not lock.acquire(False):
        # Another thread is at it.
        handshake = tunnel.handshake
        return handshake.events if handshake is not None else 0
    try:
        handshake = tunnel.handshake
        if handshake is None:
            return 0
        if not handshake.reached:
            return handshake.events
        sock = tunnel.holder()
        return _drive(tunnel, handshake, sock) if sock is not None else _drive_detached(tunnel, handshake)
    finally:
        lock.release()


def finish(tunnel: Tunnel, seconds: float | None = None) -> None:
    """Advance and wait, until the tunnel is settled, at the longest until its deadline or for `seconds`."""
    handshake = tunnel.handshake
    if handshake is None:
        return
    until = handshake.deadline if seconds is None else min(handshake.deadline, monotonic() + seconds)
    # Where the first message has gone out already, there is nothing to do before its answer comes.
    events = handshake.events if handshake.begun else advance(tunnel)
    try:
        while events and not tunnel.released:
            left = until - monotonic()
            if left <= 0:
                expire(tunnel, monotonic())
                break
            _wait(tunnel, events, left)
            events = advance(tunnel)
    except BaseException:
        _abandon(tunnel, _interrupted())
        raise
    if tunnel.released:
        raise OSError(EBADF, "the socket was closed while its connect() was pending")


def expire(tunnel: Tunnel, now: float) -> bool:
    """Fail a handshake whose time is over."""
    handshake = tunnel.handshake
    if handshake is None or now < handshake.deadline:
        return False
    stage = "the connection to it" if not handshake.begun else "its answer"
    _abandon(tunnel, errors.silent(handshake.route, handshake.hop, handshake.limit, stage))
    return True


def fail(tunnel: Tunnel, error: OSError) -> None:
    """Settle a tunnel as failed: what is left of the connection to the proxy is useless to anybody."""
    handshake = tunnel.handshake
    if handshake is None:
        return
    registry.failed(tunnel, error)
    tunnel.report = None if handshake.waits else error
    for sock in tunnel.verified():
        try:
            _real.shutdown(sock, SHUT_RDWR)
            # What the proxy has said beyond its answer is not for the client. What arrives after the shutdown the
            # kernel refuses, so this is no more than a receive buffer.
            for _ in range(_LEFTOVERS):
                if not _real.read(_real.fileno(sock), _LEFTOVER):
                    break
        except OSError:
            pass
    _settle(tunnel, handshake)


def _abandon(tunnel: Tunnel, error: OSError) -> None:
    """Fail from outside: a thread that drives it would take the shutdown for the proxy's doing."""
    with tunnel.lock:
        fail(tunnel, error)


def cancel(tunnel: Tunnel) -> None:
    """The last holder of a pending tunnel is about to close: keep off the fd, and wake who waits."""
    with tunnel.lock:
        if tunnel.handshake is None:
            return
        tunnel.released = True
        tunnel.error = OSError(EBADF, "the socket was closed while its connect() was pending")
        tunnel.watchers.clear()
        registry.end(tunnel)
    for sock in tunnel.verified():
        try:
            _real.shutdown(sock, SHUT_RDWR)
        except OSError:
            pass


def abandon() -> None:
    """Fail every pending handshake."""
    while (tunnel := pending.oldest()) is not None:
        fail(tunnel, OSError(ECANCELED, "socksify was uninstalled while the connect() was pending"))


def _drive_detached(tunnel: Tunnel, handshake: Handshake) -> int:
    sock = tunnel.borrow()
    if sock is None:
        # Closed behind our back.
        for fd in list(tunnel.holders):
            registry.drop(fd, tunnel)
        return 0
    try:
        return _drive(tunnel, handshake, sock)
    finally:
        sock.detach()


def _drive(tunnel: Tunnel, handshake: Handshake, sock: Socket) -> int:
    try:
        events = handshake.advance(sock)
    except ProtocolError as error:
        fail(tunnel, errors.refused(error, handshake.route, handshake.hop))
        return 0
    except OSError as error:
        return _reach_next(sock, tunnel, handshake, error)
    if events == 0:
        _open(tunnel, handshake)
    elif events != handshake.events:
        handshake.events = events
        watch.change(tunnel, events)
    return events


def _reach_next(sock: Socket, tunnel: Tunnel, handshake: Handshake, error: OSError) -> int:
    """The socket failed: if that was the connect itself, the proxy may have another address."""
    if handshake.begun:
        fail(tunnel, errors.broken(error, handshake.route, handshake.hop))
        return 0
    try:
        if not handshake.candidates:
            raise error
        reach.begin(sock, tunnel, handshake)
    except OSError as last:
        gateway.forget(handshake.route.chain[0])
        fail(tunnel, errors.unreachable(last, handshake.route))
        return 0
    # A fresh socket has joined its epoll objects with the client's own masks.
    watch.change(tunnel, handshake.events)
    return POLLOUT


def _open(tunnel: Tunnel, handshake: Handshake) -> None:
    tunnel.bound = handshake.bound()
    _settle(tunnel, handshake)


def _settle(tunnel: Tunnel, handshake: Handshake) -> None:
    registry.end(tunnel)
    if handshake.unblocked:
        for sock in tunnel.verified():
            os.set_blocking(_real.fileno(sock), True)
    for call in tunnel.settled:
        call()
    tunnel.settled.clear()
    if tunnel.watchers:
        watch.restore(tunnel)
    log.settled(tunnel, handshake.started)


def _wait(tunnel: Tunnel, events: int, seconds: float) -> None:
    """Wait until the fd is ready or a closing thread has shut it down."""
    poller = _real.poll()
    fds = tuple(tunnel.holders)
    for fd in fds:
        poller.register(fd, events)
    if not fds:
        return
    # Rounded up: waking a moment early would only mean to wait again.
    milliseconds = int(seconds * 1000) + 1
    poller.poll(min(milliseconds, _GLANCE) if thread_count() else milliseconds)


def _interrupted() -> OSError:
    return OSError(ECANCELED, "connect() was interrupted")
