"""BIND: a listening socket is a connection to the proxy, which listens in its place; asking it, and letting it go.

An essay on what is on the fd. SOCKS answers a BIND twice: with the address where it listens, and when the peer has
come; from then on the same connection is the one to the peer. So a listening socket goes round in a circle:

  idle       an unconnected socket; the proxy has to be asked
  asking     a handshake like any other, up to the first answer: listen() waits for it
  listening  a connection to the proxy on which nothing is to be said; the second answer makes it readable, which
             is what a poller is told of a listening socket whose peer has come
  accepted   the connection moves to a new fd, an unconnected socket takes its place, and it is idle again (`accept`)

A proxy listens for one peer, and at another address each time. A client that wants one peer only is not made to wait
for the question about the next: the proxy is asked again when somebody waits for the next peer, or wants to know the
address.
"""

from __future__ import annotations

import os
import sys
from errno import EALREADY, ECANCELED
from select import POLLOUT
from socket import AF_INET6, SHUT_RDWR, SO_ACCEPTCONN, SOL_SOCKET

from socksify import _originals
from socksify._signal_safety import forks, ours
from socksify.protocol import client
from socksify.protocol.address import IPV4, IPV6, Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.socks5 import BIND
from socksify.tunnel import connect, errors, readiness, socket_swap
from socksify.tunnel.registry import registry
from socksify.tunnel.settlement import fail, interrupted
from socksify.tunnel.state import BindListener, Tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from types import FrameType


def listener_for(connections: list[Tunnel], family: int, port: int, limit: float, early: bool) -> BindListener:
    """Return what a proxy is to be asked for in place of a socket of `family`.

    `connections` are those whose peer is to come, at least one; the proxy is that of the latest. `port` is the
    port to listen on, 0 for any. `limit` and `early` are those of a BindListener.
    """
    route = connections[-1].route.replace(target=_aim(connections, family, port), command=BIND)
    return BindListener(connections, route, limit, early, _ask_again)


def register(sock: Socket, listener: BindListener) -> Tunnel:
    """From now on a socket is to listen through a proxy, which has not been asked yet."""
    idle = Tunnel(listener.route, listener)
    registry.add(sock, idle)
    return idle


def ask(sock: Socket, tunnel: Tunnel, listener: BindListener) -> None:
    """Have the proxy listen, and wait until it does; does nothing if it does already. Raises OSError."""
    tunnel = _begun_anew(sock, tunnel, listener)
    before = listener.listens
    listener.set_listening(True)
    lock = tunnel.lock
    try:
        if not lock.acquire(listener.limit):
            raise OSError(EALREADY, os.strerror(EALREADY))
        try:
            if tunnel.handshake is None and tunnel.error is None and listener.is_idle:
                tunnel = _start(sock, tunnel, sys._getframe(), waits=True)
        finally:
            lock.release()
        connect.finish(tunnel)
    except BaseException:
        listener.set_listening(before)
        raise
    if tunnel.error is not None:
        listener.set_listening(before)
        raise failure(sock, tunnel)


def _begun_anew(sock: Socket, tunnel: Tunnel, listener: BindListener) -> Tunnel:
    """The tunnel of a socket whose last question an exception has ended: as with connect(), the next one may ask."""
    handshake = tunnel.handshake
    if handshake is not None and handshake.is_deserted:
        fail(tunnel, interrupted())
    if tunnel.error is None or tunnel.handshake is not None or listener.listens:
        return tunnel
    tunnel.take_report()
    return reset(sock, tunnel, listener)


def _ask_again(tunnel: Tunnel) -> int:
    """Somebody waits for an idle socket: begin to ask. Returns the events to wait for."""
    lock = tunnel.lock
    if not lock.acquire():
        # Another thread is at it, or the code beneath this signal handler.
        return POLLOUT
    try:
        sock, listener = tunnel.holder(), tunnel.listener
        if sock is None or listener is None or not listener.is_idle or registry.find(sock) is not tunnel:
            return POLLOUT
        asked = _start(sock, tunnel, sys._getframe(), waits=False)
    finally:
        lock.release()
    for fd in list(asked.holders):
        readiness.hand_to_pollers(fd, asked)
    return asked.awaited(0)


def _start(sock: Socket, idle: Tunnel, frame: FrameType, *, waits: bool) -> Tunnel:
    listener = idle.listener
    assert listener is not None
    if listener.is_parting:
        # An exception has ended reset(): the last connection to the proxy is still there.
        idle = reset(sock, idle, listener)

    def begun(tunnel: Tunnel) -> None:
        for other in idle.verified():
            registry.add(other, tunnel)

    return connect.start(sock, listener.route, listener.limit, begun, _granted, frame, forks(), idle, waits)


def _granted(tunnel: Tunnel) -> None:
    """Observe a question: if the first answer has come, and is no failure, the peer is awaited."""
    listener = tunnel.listener
    if listener is None or tunnel.error is not None or tunnel.bound is None or tunnel.handshake is None:
        return
    host, port = tunnel.bound
    # "the value 0 in DSTIP means the SOCKS server's own address": that to which we are connected.
    host = host or _proxys_address(tunnel)
    tunnel.be_known_at(host, port)
    registry.external_addresses.listens(listener.route.chain, host, listener.connections)
    v5 = listener.route.chain[-1].scheme.startswith("socks5")
    listener.await_peer(Conversation(client.socks5_peer() if v5 else client.socks4_peer()))
    tunnel.options[SOL_SOCKET, SO_ACCEPTCONN] = 1
    for fd in list(tunnel.holders):
        registry.epoll_masks.stand_in(tunnel, fd)


def failure(sock: Socket, tunnel: Tunnel) -> OSError:
    """Return the failure of a question, to be raised; the socket is as good as new, and the next may ask again."""
    error = tunnel.error
    assert error is not None and tunnel.listener is not None
    tunnel.take_report()
    reset(sock, tunnel, tunnel.listener)
    return errors.to_raise(error)


def reset(sock: Socket, tunnel: Tunnel, listener: BindListener) -> Tunnel:
    """Put an unconnected socket in the place of the connection to the proxy, on every fd of the listening one.

    Returns the tunnel that the listening socket has from now on. Where an exception ends this halfway, the next call
    that is about to ask the proxy does it again.
    """
    listener.part()
    idle = Tunnel(listener.route, listener)
    if listener.listens:
        idle.options[SOL_SOCKET, SO_ACCEPTCONN] = 1
    others = [other for other in tunnel.verified() if other is not sock]
    fresh = socket_swap.renewed(sock, tunnel)
    # Another thread finds it under this number from now on, and leaves it alone.
    lock = idle.lock
    lock.acquire()
    try:
        idle.take_identities(tunnel.identities)
        for holder in (sock, *others):
            registry.add(holder, idle)
        registry.moving(idle, fresh.fileno())
        _move(sock, fresh, others)
        registry.has_moved(idle)
        for holder in (sock, *others):
            registry.epoll_masks.stand_in(idle, _originals.fileno(holder))
    finally:
        lock.release()
    # Its epoll objects are found again when it is asked for.
    idle.watchers.clear()
    listener.has_parted()
    return idle


def _move(sock: Socket, fresh: _originals.Socket, others: list[Socket]) -> None:
    fd = _originals.fileno(sock)
    # The connection goes on under another number, if a peer has come.
    for other in others:
        registry.epoll_masks.leaving(_originals.fileno(other))
    socket_swap.move(fresh, sock)
    for other in others:
        os.dup2(fd, _originals.fileno(other), inheritable=os.get_inheritable(_originals.fileno(other)))
        registry.epoll_masks.moved(_originals.fileno(other))


def everyone() -> list[Tunnel]:
    """Return the tunnels of all listening sockets."""
    return [tunnel for tunnel in registry.everyone() if tunnel.listener is not None]


def end(tunnel: Tunnel) -> None:
    """The proxy need not listen any longer: every thread that waits for the peer wakes."""
    tunnel.fail(OSError(ECANCELED, "the listening socket was closed"))
    tunnel.take_report()
    for sock in tunnel.verified():
        try:
            _originals.shutdown(sock, SHUT_RDWR)
        except ours(OSError):  # idle
            pass


def _aim(connections: list[Tunnel], family: int, port: int) -> Address:
    """Return the peer that is to come. If the connections have several peers, any may come: "0" stands for that."""
    hosts = {connection.route.target.host for connection in connections}
    target = connections[-1].route.target
    if len(hosts) == 1:
        return Address(target.type, target.host, port)
    return Address(IPV6, "::", port) if family == AF_INET6 else Address(IPV4, "0.0.0.0", port)


def _proxys_address(tunnel: Tunnel) -> str:
    """Return the address to which a tunnel's connection leads, "" on a Unix socket."""
    sock = tunnel.holder()
    try:
        name = _originals.getpeername(sock) if sock is not None and len(tunnel.route.chain) == 1 else None
    except ours(OSError):
        name = None
    known = registry.external_addresses.host
    return name[0].removeprefix("::ffff:") if isinstance(name, tuple) else known(tunnel)
