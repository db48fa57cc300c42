"""The end of a handshake, and its consequences: the tunnel is open, or it has failed.

If a settled tunnel is open, the client uses the kernel's connection directly. If the tunnel has failed, the connection
to the proxy is shut down, so that no byte which the client still writes can reach the proxy.
"""

from __future__ import annotations

import os
from errno import EBADF, ECANCELED, ECONNRESET
from socket import SHUT_RDWR

from socksify import _originals
from socksify._descriptors import at, put_onto
from socksify._signal_safety import ours
from socksify.routing import log
from socksify.tunnel import socket_swap
from socksify.tunnel.registry import registry
from socksify.tunnel.state import not_connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket

    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.state import Tunnel

# Seconds for which others wait for another thread that is in the middle of a step.
PATIENCE = 0.2

_LEFTOVER = 65536
_LEFTOVERS = 1024


def fail(tunnel: Tunnel, error: OSError) -> None:
    """Settle a tunnel as failed, unless it has ended already."""
    handshake = tunnel.handshake
    if handshake is not None:
        handshake.conclude(error)
        settle(tunnel)


def settle(tunnel: Tunnel) -> None:
    """Carry out the consequences of a handshake's outcome. This may be repeated after an exception has interrupted it.

    Unread bytes of a failed connection to the proxy are discarded. The last step makes the tunnel settled.
    """
    handshake = tunnel.handshake
    if handshake is None or not handshake.outcome:
        return
    # tunnel.settle() below also removes the guards, so the connection must be silenced before that.
    if handshake.outcome["error"] is not None:
        silence(tunnel)
    if handshake.unblocked:
        for sock in tunnel.verified():
            at(os.set_blocking, sock, True)
    tunnel.settle(handshake)


def silence(tunnel: Tunnel) -> None:
    """Shut down a connection to the proxy, and discard its unread bytes, which are not for the client."""
    for sock in tunnel.verified():
        try:
            _originals.shutdown(sock, SHUT_RDWR)
            # The kernel refuses bytes that arrive after the shutdown, so the loop reads at most one receive buffer.
            for _ in range(_LEFTOVERS):
                if tunnel.released or not at(_originals.read, sock, _LEFTOVER):
                    break
        except ours(OSError):
            pass


def write_line(tunnel: Tunnel) -> None:
    """Observe a tunnel for the log: it gets one line when the handshake is over."""
    handshake = tunnel.handshake
    if handshake is not None and not tunnel.released and handshake.tell_once():
        log.connected(tunnel.route, handshake.started, tunnel.error)


def shut(sock: Socket, tunnel: Tunnel) -> None:
    """Shut down a connecting socket for the client. Then it is not connected, and SO_ERROR reports ECONNRESET."""
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
    """Cancel a pending tunnel whose last holder is about to close. Leave its fd alone, and wake waiting threads."""
    handshake = tunnel.handshake
    if handshake is None:
        return
    tunnel.release()
    handshake.conclude(OSError(EBADF, "the socket was closed while its connect() was pending"))
    # Another thread that drives the tunnel must not find another socket under the closed number.
    if tunnel.lock.acquire(PATIENCE):
        tunnel.lock.release()
    settle(tunnel)


def abandon() -> None:
    """Fail every pending handshake."""
    while (tunnel := registry.deadlines.oldest()) is not None:
        fail(tunnel, OSError(ECANCELED, "socksify was uninstalled while the connect() was pending"))


def after_fork() -> None:
    """In a child, pending handshakes are the parent's: to the child they are failed connects, on fresh sockets.

    The epoll objects are shared as well, and not touched.
    """
    for tunnel in dict.fromkeys([*registry.deadlines.everyone(), *registry.everyone()]):
        handshake = tunnel.handshake
        if handshake is not None:
            fail_in_child(tunnel, handshake)


def fail_in_child(tunnel: Tunnel, handshake: Handshake) -> None:
    """Fail a handshake in this child process, because it was pending when the parent forked."""
    # Neither SO_ERROR nor the log reports this. The guards stay, and their error is that the socket is not connected.
    tunnel.watchers.clear()
    tunnel.be_observed_by(registry.settled)
    if handshake.conclude_in_child(not_connected()):
        _part_from_parent(tunnel)
    settle(tunnel)


def _part_from_parent(tunnel: Tunnel) -> None:
    shared, fresh = tunnel.verified(), None
    tunnel.take_identities(())
    for sock in shared:
        try:
            fresh = fresh or socket_swap.fresh_socket(sock, _originals.family(sock))
            put_onto(fresh.fileno(), sock)
        except ours(OSError):  # no descriptors left
            return
    if fresh is not None:
        registry.moving(tunnel, fresh.fileno())
        fresh.close()


def interrupted() -> OSError:
    """Return the outcome of a handshake that was ended by an exception of other code, such as a signal handler."""
    return OSError(ECANCELED, "connect() was interrupted")
