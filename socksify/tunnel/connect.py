"""One connect() through a chain of proxies: the connection to the first proxy, then the handshake with each hop.

    start()    connect to the proxy; the handshake is pending
    advance()  as far as the socket allows now
    finish()   until it is settled, waiting in between

`first_hop` makes the connection, `handshake` holds the conversations, and `settlement` does what follows from the
outcome. This module decides which call drives the handshake, and for how long.
"""

from __future__ import annotations

import os
from _thread import _count as thread_count
from _thread import get_ident
from errno import EBADF

from socksify import _originals
from socksify._originals import monotonic
from socksify._signal_safety import forks, ours
from socksify.protocol.errors import ProtocolError
from socksify.protocol.socks5 import BIND
from socksify.routing import log
from socksify.routing.sockaddr import no_such_name
from socksify.tunnel import errors, first_hop
from socksify.tunnel.handshake import Handshake
from socksify.tunnel.registry import registry
from socksify.tunnel.settlement import PATIENCE, fail, fail_in_child, interrupted, settle, write_line
from socksify.tunnel.state import Tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from types import FrameType

    from socksify.routing.route import Via
    from socksify.tunnel.state import Observer

# Milliseconds after which a waiting thread looks whether another one has settled the tunnel: the thread that reads
# the last answer leaves nothing for poll(2) to tell the others.
_RECHECK = 100
# The same for a signal handler, which may have settled it in the middle of this wait.
_RECHECK_ALONE = 250


def start(
    sock: Socket,
    route: Via,
    connect_timeout: float,
    begun: Callable[[Tunnel], object],
    observer: Observer,
    frame: FrameType,
    forks_before: int,
    instead_of: Tunnel | None = None,
    waits: bool | None = None,
) -> Tunnel:
    """Begin: when this returns, the socket is connected, or connecting, to the first proxy, or the tunnel has failed.

    The socket's own timeout bounds everything; without one, on a non-blocking socket, and for BIND `connect_timeout`.
    `begun` is called with the tunnel before the first byte goes out, and `observer` when the tunnel is settled.
    `frame` is the frame of the call that is responsible for the tunnel: it calls `finish`, or pollers take over.
    `forks_before` is the number that forks() returned when the socket was given to us: in a child of a fork since then
    the kernel's socket is the parent's. The socket belongs to no tunnel, or to `instead_of`. `waits` is whether the
    call waits for the outcome; None: as the mode of the socket says.
    Raises what the stdlib would for a target that cannot be written (a name over 255 bytes), before anything is
    sent; EALREADY or EISCONN where a signal handler or another thread was faster.
    """
    if _originals.fileno(sock) < 0:
        raise OSError(EBADF, os.strerror(EBADF))
    timeout = _originals.gettimeout(sock)
    # listen() has no timeout of its own; that of the socket is for accept().
    limit = connect_timeout if route.command == BIND else timeout or connect_timeout
    handshake = _handshake(route, limit, timeout != 0 if waits is None else waits, frame)
    tunnel = _tunnel(route, observer, instead_of)
    registry.begin(sock, tunnel, handshake, instead_of)
    try:
        if forks() != forks_before:
            fail_in_child(tunnel, handshake)
        begun(tunnel)
        first_hop.begin(sock, tunnel, handshake)
    except ours(OSError) as error:
        first_hop.give_up(tunnel, handshake, error)
    except BaseException:
        fail(tunnel, interrupted())
        raise
    return tunnel


def _handshake(route: Via, limit: float, waits: bool, frame: FrameType) -> Handshake:
    try:
        return Handshake(route, monotonic(), limit, waits, frame)
    except ProtocolError as error:
        raise errors.unsayable(error, route) from error
    except ours(ValueError):
        raise no_such_name() from None


def _tunnel(route: Via, observer: Observer, instead_of: Tunnel | None) -> Tunnel:
    # The last observer is called first.
    observers: tuple[Observer, ...] = (registry.settled, observer)
    if log.is_open():
        observers = write_line, *observers
    if instead_of is None:
        return Tunnel(route, observers=observers)
    return Tunnel(route, instead_of.listener, observers=observers, options=instead_of.options)


def advance(tunnel: Tunnel) -> int:
    """Go as far as the socket allows without waiting; returns the events to wait for, 0 when it is settled.

    A tunnel for which a connect() waits is driven by that call alone, which would wait for what was read here.
    """
    handshake = tunnel.handshake
    if handshake is not None and handshake.connect_frame is not None and not handshake.outcome:
        if not handshake.is_deserted:
            return handshake.events
        fail(tunnel, interrupted())
    return _advance(tunnel)


def _advance(tunnel: Tunnel) -> int:
    handshake = tunnel.handshake
    if handshake is None:
        return 0
    if handshake.outcome:
        settle(tunnel)
        return 0
    lock = tunnel.lock
    if not handshake.reached or not lock.acquire():
        # Another thread, or the code beneath this signal handler, drives the handshake.
        return handshake.events
    try:
        if lock.was_broken:
            fail(tunnel, interrupted())
        if handshake.outcome:
            settle(tunnel)
            return 0
        sock = tunnel.holder()
        return _drive(tunnel, handshake, sock) if sock is not None else _drive_detached(tunnel, handshake)
    except BaseException:
        fail(tunnel, interrupted())
        raise
    finally:
        lock.release()


def _drive_detached(tunnel: Tunnel, handshake: Handshake) -> int:
    sock = tunnel.borrow()
    if sock is None:
        # The descriptor was closed without the socket object.
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
        fail(tunnel, errors.refused(error, handshake.route, handshake.hop_number))
        return 0
    except ours(OSError) as error:
        if not handshake.begun:
            return first_hop.try_next(sock, tunnel, handshake, error)
        fail(tunnel, errors.broken(error, handshake.route, handshake.hop_number))
        return 0
    if events == 0:
        settle(tunnel)
    elif events != handshake.events:
        handshake.expect(events)
        registry.epoll_masks.change(tunnel, events)
    return events


def finish(tunnel: Tunnel, seconds: float | None = None) -> None:
    """Advance and wait, until the tunnel is settled, at the longest until its deadline or for `seconds`.

    This is for the call that began the tunnel. If the tunnel is still pending, that call is to hand it over to pollers.
    """
    try:
        _wait_until_settled(tunnel, seconds, _advance)
    except BaseException:
        fail(tunnel, interrupted())
        raise
    _check_released(tunnel)


def wait_for(tunnel: Tunnel, seconds: float | None = None) -> None:
    """Advance and wait, until the tunnel is settled, or for `seconds`: for all other calls.

    A signal handler does not wait for a step that the code beneath it is in the middle of, but returns at once.
    """
    handshake = tunnel.handshake
    if handshake is not None and handshake.is_deserted:
        fail(tunnel, interrupted())
    own = handshake is not None and handshake.thread == get_ident()
    _wait_until_settled(tunnel, seconds, _advance if own else advance)
    _check_released(tunnel)


def _wait_until_settled(tunnel: Tunnel, seconds: float | None, step: Callable[[Tunnel], int]) -> None:
    handshake = tunnel.handshake
    if handshake is None:
        return
    until = handshake.until if seconds is None else min(handshake.until, monotonic() + seconds)
    # Where the first message has gone out already, there is nothing to do before its answer comes.
    events = handshake.events if handshake.begun and not handshake.outcome else step(tunnel)
    while events and not tunnel.released:
        now = monotonic()
        if now >= handshake.deadline and expire(tunnel, now) and tunnel.handshake is None:
            return
        left = min(handshake.deadline, until) - now
        if now >= until:
            return
        if _is_beneath(tunnel, handshake):
            return
        _wait(tunnel, handshake.events, max(left, 0))
        events = step(tunnel)


def _is_beneath(tunnel: Tunnel, handshake: Handshake) -> bool:
    """Return True if this signal handler interrupts a step, which cannot go on before the handler returns."""
    if not handshake.reached:
        return handshake.thread == get_ident()
    return tunnel.lock.is_held() and tunnel.lock.is_mine()


def _check_released(tunnel: Tunnel) -> None:
    if tunnel.released:
        raise OSError(EBADF, "the socket was closed while its connect() was pending")


def _wait(tunnel: Tunnel, events: int, seconds: float) -> None:
    """Wait until the fd is ready or a closing thread has shut it down."""
    poller = _originals.poll()
    fds = tuple(tunnel.holders)
    for fd in fds:
        poller.register(fd, events)
    if not fds:
        return
    # Rounded up, because a wait that ends too early would have to be repeated.
    milliseconds = int(seconds * 1000) + 1
    poller.poll(min(milliseconds, _RECHECK if thread_count() else _RECHECK_ALONE))


def expire(tunnel: Tunnel, now: float) -> bool:
    """Fail a handshake whose time is over, or go on to the next address where one has had its share of the time.

    `now` is the time of monotonic(). Returns whether the deadline has passed.
    """
    handshake = tunnel.handshake
    if handshake is None or now < handshake.deadline:
        return False
    if handshake.deadline < handshake.until:
        _attempt_next(tunnel, handshake)
        return True
    if not handshake.begun or (handshake.hop_number == 1 and not handshake.conversation.heard):
        registry.proxy_addresses.forget(handshake.route.chain[0])
    stage = "the connection to it" if not handshake.begun else "its answer"
    fail(tunnel, errors.silent(handshake.route, handshake.hop_number, handshake.limit, stage))
    return True


def _attempt_next(tunnel: Tunnel, handshake: Handshake) -> None:
    """Try the next address of the proxy, because the current address did not answer in its share of the time."""
    lock = tunnel.lock
    if not handshake.reached or not lock.acquire():
        # Another thread, or the code beneath this signal handler, drives the handshake.
        handshake.postpone(PATIENCE)
        return
    try:
        if handshake.outcome or lock.was_broken:
            fail(tunnel, interrupted())
        elif not handshake.may_begin_again():
            handshake.keep_to_address()
            registry.deadlines.attempted(tunnel, handshake)
        else:
            _leave_silent(tunnel, handshake)
    except BaseException:
        fail(tunnel, interrupted())
        raise
    finally:
        lock.release()


def _leave_silent(tunnel: Tunnel, handshake: Handshake) -> None:
    if (sock := tunnel.holder()) is not None:
        first_hop.leave_silent(sock, tunnel, handshake)
    elif (sock := tunnel.borrow()) is not None:
        try:
            first_hop.leave_silent(sock, tunnel, handshake)
        finally:
            sock.detach()
    else:
        handshake.keep_to_address()
