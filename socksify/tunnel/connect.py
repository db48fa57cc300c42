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
from _thread import get_ident
from errno import EBADF, ECANCELED, ECONNRESET, ETIMEDOUT
from select import POLLOUT
from socket import SHUT_RDWR

from socksify import _originals
from socksify._descriptors import at, put_onto
from socksify._originals import monotonic
from socksify._signal_safety import forks, ours
from socksify.protocol.errors import ProtocolError
from socksify.protocol.socks5 import BIND
from socksify.routing import log
from socksify.routing.sockaddr import no_such_name
from socksify.tunnel import (
    deadlines,
    epoll_masks,
    errors,
    first_hop,
    proxy_address,
    registry,
    socket_swap,
    unattended,
)
from socksify.tunnel.handshake import Handshake
from socksify.tunnel.state import Tunnel, not_connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from types import FrameType

    from socksify.routing.route import Via

# Milliseconds after which a waiting thread looks whether another one has settled the tunnel: the thread that reads
# the last answer leaves nothing for poll(2) to tell the others.
_GLANCE = 100
# The same for a signal handler, which may have settled it in the middle of this wait.
_GLANCE_ALONE = 250

# Seconds for which a close() waits for another thread that is in the middle of a step.
_PATIENCE = 0.2

# In the place of an error.
_OPEN = OSError()

_LEFTOVER = 65536
_LEFTOVERS = 1024


def start(
    sock: Socket,
    route: Via,
    connect_timeout: float,
    begun: Callable[[Tunnel], object],
    caller: FrameType,
    before: int,
    instead_of: Tunnel | None = None,
) -> Tunnel:
    """Begin: when this returns, the socket is connected, or connecting, to the first proxy, or the tunnel has failed.

    The socket's own timeout bounds everything; without one, on a non-blocking socket, and for BIND `connect_timeout`.
    `begun` is called with the tunnel before the first byte goes out. `caller` is the frame that answers for the tunnel:
    it goes on to `finish`, or hands it over to pollers. `before` is what forks() told when the socket was given to us:
    in a child of a fork since then the kernel's socket is the parent's. The socket belongs to no tunnel, or to
    `instead_of`.
    Raises what the stdlib would for a target that cannot be written (a name over 255 bytes), before anything is
    sent; EALREADY or EISCONN where a signal handler or another thread was faster.
    """
    if _originals.fileno(sock) < 0:
        raise OSError(EBADF, os.strerror(EBADF))
    timeout = _originals.gettimeout(sock)
    try:
        # listen() has no timeout of its own; that of the socket is for accept().
        limit = connect_timeout if route.command == BIND else timeout or connect_timeout
        handshake = Handshake(route, monotonic(), limit)
    except ProtocolError as error:
        raise errors.unsayable(error, route) from error
    except ours(ValueError):
        raise no_such_name() from None
    handshake.waits = timeout != 0
    handshake.caller = caller
    tunnel = Tunnel(route)
    if instead_of is not None:
        tunnel.rendezvous = instead_of.rendezvous
        tunnel.options.update(instead_of.options)
    registry.begin(sock, tunnel, handshake, instead_of)
    try:
        if forks() != before:
            _fail_in_child(tunnel, handshake)
        begun(tunnel)
        handshake.candidates = proxy_address.candidates(route.chain[0], _originals.family(sock))
        if len(handshake.candidates) > 1:
            handshake.share = limit / len(handshake.candidates)
        _reach_or_look_again(sock, tunnel, handshake)
        handshake.reached = True
    except ours(OSError) as error:
        proxy_address.forget(route.chain[0])
        fail(tunnel, errors.unreachable(error, route))
    except BaseException:
        fail(tunnel, interrupted())
        raise
    return tunnel


def advance(tunnel: Tunnel) -> int:
    """Go as far as the socket allows without waiting; returns the events to wait for, 0 when it is settled.

    A connect() that waits for the tunnel goes on with it alone: it would wait for what was read here.
    """
    handshake = tunnel.handshake
    if handshake is not None and handshake.caller is not None and not handshake.outcome:
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
        # Another thread is at it, or the code beneath this signal handler.
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


def finish(tunnel: Tunnel, seconds: float | None = None) -> None:
    """Advance and wait, until the tunnel is settled, at the longest until its deadline or for `seconds`.

    For the one that began it, which is to hand it over to pollers if it is still pending.
    """
    try:
        _wait_until_settled(tunnel, seconds, _advance)
    except BaseException:
        fail(tunnel, interrupted())
        raise
    _check_released(tunnel)


def wait_for(tunnel: Tunnel, seconds: float | None = None) -> None:
    """Wait until the tunnel is settled, or for `seconds`, and go on with it: for all others.

    A signal handler does not wait for what the code beneath it is in the middle of, but returns at once.
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
    """Whether the code beneath this signal handler is in the middle of a step, and cannot take it before we return."""
    if not handshake.reached:
        return handshake.thread == get_ident()
    return tunnel.lock.is_held() and tunnel.lock.is_mine()


def _check_released(tunnel: Tunnel) -> None:
    if tunnel.released:
        raise OSError(EBADF, "the socket was closed while its connect() was pending")


def expire(tunnel: Tunnel, now: float) -> bool:
    """Fail a handshake whose time is over, or go on to the next address where one has had its share of the time."""
    handshake = tunnel.handshake
    if handshake is None or now < handshake.deadline:
        return False
    if handshake.deadline < handshake.until:
        _attempt_next(tunnel, handshake)
        return True
    if not handshake.begun or (handshake.hop_number == 1 and not handshake.conversation.heard):
        proxy_address.forget(handshake.route.chain[0])
    stage = "the connection to it" if not handshake.begun else "its answer"
    fail(tunnel, errors.silent(handshake.route, handshake.hop_number, handshake.limit, stage))
    return True


def _attempt_next(tunnel: Tunnel, handshake: Handshake) -> None:
    """The proxy's address at hand was silent for its share of the time."""
    lock = tunnel.lock
    if not handshake.reached or not lock.acquire():
        # Another thread is at it, or the code beneath this signal handler.
        handshake.deadline = min(handshake.until, monotonic() + _PATIENCE)
        return
    try:
        if handshake.outcome or lock.was_broken:
            fail(tunnel, interrupted())
        elif not handshake.may_begin_again():
            handshake.candidates = []
            handshake.deadline = handshake.until
            deadlines.attempted(tunnel, handshake)
        elif (sock := tunnel.holder()) is not None:
            _leave_silent(sock, tunnel, handshake)
        elif (sock := tunnel.borrow()) is not None:
            try:
                _leave_silent(sock, tunnel, handshake)
            finally:
                sock.detach()
        else:
            handshake.deadline = handshake.until
    except BaseException:
        fail(tunnel, interrupted())
        raise
    finally:
        lock.release()


def _leave_silent(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    if handshake.attempted is not None:
        proxy_address.demote(handshake.route.chain[0], handshake.attempted)
    handshake.begin_again()
    _reach_next(sock, tunnel, handshake, OSError(ETIMEDOUT, os.strerror(ETIMEDOUT)), is_spent=True)


def fail(tunnel: Tunnel, error: OSError) -> None:
    """Settle a tunnel as failed, unless it has ended already."""
    handshake = tunnel.handshake
    if handshake is not None:
        handshake.conclude(error)
        settle(tunnel)


def shut(sock: Socket, tunnel: Tunnel) -> None:
    """The client shuts a connecting socket down: it is unconnected then, and has ECONNRESET to tell."""
    handshake = tunnel.handshake
    waits = handshake is not None and handshake.waits
    error = ConnectionResetError(ECONNRESET, os.strerror(ECONNRESET))
    fail(tunnel, error)
    if waits or tunnel.error is not error:
        return
    fresh = socket_swap.renewed(sock, tunnel)
    registry.moving(tunnel, fresh.fileno())
    socket_swap.move(fresh, sock)
    socket_swap.bind(sock, registry.chosen_address(sock))


def cancel(tunnel: Tunnel) -> None:
    """The last holder of a pending tunnel is about to close: keep off the fd, and wake who waits."""
    handshake = tunnel.handshake
    if handshake is None:
        return
    tunnel.released = True
    handshake.conclude(OSError(EBADF, "the socket was closed while its connect() was pending"))
    # Who goes on with it in another thread is not to find another socket under the number that is given up.
    if tunnel.lock.acquire(_PATIENCE):
        tunnel.lock.release()
    settle(tunnel)


def settle(tunnel: Tunnel) -> None:
    """Do what follows from a handshake's outcome; does it again where an exception has interrupted that.

    What is left of a failed connection to the proxy is useless to anybody. The last step makes it a settled one.
    """
    handshake = tunnel.handshake
    if handshake is None or not handshake.outcome:
        return
    error = handshake.outcome["error"]
    if error is None:
        tunnel.bound = handshake.bound()
    else:
        tunnel.error = error
        if not tunnel.released:
            registry.failed(tunnel, error)
            tunnel.report = None if handshake.waits else error
        _silence(tunnel)
    if handshake.unblocked:
        for sock in tunnel.verified():
            at(os.set_blocking, sock, True)
    if tunnel.released:
        unattended.discard(tunnel)
        tunnel.watchers.clear()
    else:
        for call in list(tunnel.settled):
            call()
        if tunnel.watchers:
            epoll_masks.restore(tunnel)
    registry.end(tunnel)
    # The frame has the handshake among its variables.
    handshake.caller = None
    tunnel.settled.clear()
    if not tunnel.released and handshake.outcome.setdefault("told", error or _OPEN) is (error or _OPEN):
        log.connected(tunnel.route, handshake.started, error)


def _silence(tunnel: Tunnel) -> None:
    """Shut a connection to the proxy down; what it has said beyond its answer is not for the client."""
    for sock in tunnel.verified():
        try:
            _originals.shutdown(sock, SHUT_RDWR)
            # What arrives after the shutdown the kernel refuses, so this is no more than a receive buffer.
            for _ in range(_LEFTOVERS):
                if tunnel.released or not at(_originals.read, sock, _LEFTOVER):
                    break
        except ours(OSError):
            pass


def abandon() -> None:
    """Fail every pending handshake."""
    while (tunnel := deadlines.oldest()) is not None:
        fail(tunnel, OSError(ECANCELED, "socksify was uninstalled while the connect() was pending"))


def after_fork() -> None:
    """In a child, pending handshakes are the parent's: to the child they are failed connects, on fresh sockets.

    The epoll objects are shared as well, and not touched.
    """
    for tunnel in dict.fromkeys([*deadlines.everyone(), *registry.by_fd.values()]):
        handshake = tunnel.handshake
        if handshake is not None:
            _fail_in_child(tunnel, handshake)


def _fail_in_child(tunnel: Tunnel, handshake: Handshake) -> None:
    # Nothing is reported by SO_ERROR or in the log, and the guards stay: they tell that it is not connected.
    tunnel.watchers.clear()
    tunnel.settled.clear()
    handshake.waits = True
    handshake.outcome["told"] = None
    if handshake.conclude(not_connected()):
        _part_from_parent(tunnel)
    settle(tunnel)


def _part_from_parent(tunnel: Tunnel) -> None:
    shared, fresh = tunnel.verified(), None
    tunnel.identities = ()
    for sock in shared:
        try:
            fresh = fresh or socket_swap.fresh_socket(sock, _originals.family(sock))
            put_onto(fresh.fileno(), sock)
        except ours(OSError):  # no descriptors left
            return
    if fresh is not None:
        registry.moving(tunnel, fresh.fileno())
        fresh.close()


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
        fail(tunnel, errors.refused(error, handshake.route, handshake.hop_number))
        return 0
    except ours(OSError) as error:
        return _reach_next(sock, tunnel, handshake, error)
    if events == 0:
        handshake.conclude(None)
        settle(tunnel)
    elif events != handshake.events:
        handshake.events = events
        epoll_masks.change(tunnel, events)
    return events


def _reach_next(sock: Socket, tunnel: Tunnel, handshake: Handshake, error: OSError, is_spent: bool = False) -> int:
    """The socket failed: if that was the connect itself, the proxy may have another address."""
    if handshake.begun:
        fail(tunnel, errors.broken(error, handshake.route, handshake.hop_number))
        return 0
    try:
        if not handshake.candidates:
            _look_again(sock, handshake, error)
        _reach(sock, tunnel, handshake, is_spent)
    except ours(OSError) as last:
        proxy_address.forget(handshake.route.chain[0])
        fail(tunnel, errors.unreachable(last, handshake.route))
        return 0
    handshake.events = POLLOUT if not handshake.begun else handshake.events
    deadlines.attempted(tunnel, handshake)
    # A fresh socket has joined its epoll objects with the client's own masks.
    epoll_masks.change(tunnel, handshake.events)
    return handshake.events


def _reach_or_look_again(sock: Socket, tunnel: Tunnel, handshake: Handshake) -> None:
    try:
        _reach(sock, tunnel, handshake)
    except ours(OSError) as error:
        _look_again(sock, handshake, error)
        _reach(sock, tunnel, handshake)


def _look_again(sock: Socket, handshake: Handshake, error: OSError) -> None:
    """No address can be connected to: where a connect() waits, the proxy may have moved. Raises the error if not."""
    handshake.candidates = (
        []
        if not handshake.waits
        else proxy_address.moved(handshake.route.chain[0], _originals.family(sock), handshake.started)
    )
    if not handshake.candidates:
        raise error


def _reach(sock: Socket, tunnel: Tunnel, handshake: Handshake, is_spent: bool = False) -> None:
    """Connect to the first proxy, unless the tunnel has ended; if it ends meanwhile, nothing is left connected."""
    if not handshake.outcome:
        first_hop.begin(sock, tunnel, handshake, is_spent)
    if handshake.outcome:
        _silence(tunnel)


def _wait(tunnel: Tunnel, events: int, seconds: float) -> None:
    """Wait until the fd is ready or a closing thread has shut it down."""
    poller = _originals.poll()
    fds = tuple(tunnel.holders)
    for fd in fds:
        poller.register(fd, events)
    if not fds:
        return
    # Rounded up: waking a moment early would only mean to wait again.
    milliseconds = int(seconds * 1000) + 1
    poller.poll(min(milliseconds, _GLANCE if thread_count() else _GLANCE_ALONE))


def interrupted() -> OSError:
    """The outcome of a handshake that an exception of somebody else's has ended."""
    return OSError(ECANCELED, "connect() was interrupted")
