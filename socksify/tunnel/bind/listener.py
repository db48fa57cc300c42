"""BIND: ask a proxy to listen in place of a client's socket, and end the request again.

An essay on the kernel socket behind the fd of a listening socket. That kernel socket is a connection to the proxy. A
SOCKS proxy answers a BIND twice. The first answer has the address where the proxy listens. The second answer tells that
the peer has come; from then on the same connection leads to the peer. So a listening socket goes through these states:

  idle       an unconnected socket; the proxy has to be asked
  asking     a handshake like any other, up to the first answer; listen() waits for this answer
  listening  a connection to the proxy on which neither side speaks; the second answer makes the connection readable,
             so pollers see the same event as for a native listening socket whose peer has come
  accepted   the connection moves to a new fd, and an unconnected socket takes its place; then the listening socket is
             idle again (`accept`)

A proxy listens for one peer, and each time at another address. A client that wants only one peer does not have to wait
for a second request. The proxy is asked again when the client waits for the next peer, or asks for the address.
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
    """Return the listener that asks a proxy to listen in place of a socket of `family`.

    `connections` are the client's connections whose peer may come, at least one. The proxy of the latest connection is
    asked. `port` is the port to listen on, 0 for any. `limit` and `early` have the same meaning as for BindListener.
    """
    route = connections[-1].route.replace(target=_aim(connections, family, port), command=BIND)
    return BindListener(connections, route, limit, early, _ask_again)


def register(sock: Socket, listener: BindListener) -> Tunnel:
    """Register an idle tunnel for a socket that is to listen through a proxy; the proxy is not asked yet."""
    idle = Tunnel(listener.route, listener)
    registry.add(sock, idle)
    return idle


def ask(sock: Socket, tunnel: Tunnel, listener: BindListener) -> None:
    """Ask the proxy to listen, and wait for its first answer. If the proxy listens already, nothing is done.

    Raises OSError if the proxy cannot listen, EALREADY if another thread drives the tunnel for longer than `limit`.
    """
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
    """Return the tunnel for the next request, which is a fresh one if an exception has ended the last request.

    connect() also allows another attempt after an exception.
    """
    handshake = tunnel.handshake
    if handshake is not None and handshake.is_deserted:
        fail(tunnel, interrupted())
    if tunnel.error is None or tunnel.handshake is not None or listener.listens:
        return tunnel
    tunnel.take_report()
    return reset(sock, tunnel, listener)


def _ask_again(tunnel: Tunnel) -> int:
    """Begin to ask the proxy, because a client waits for an idle socket. Returns the events to wait for."""
    lock = tunnel.lock
    if not lock.acquire():
        # Another thread holds the lock, or the code that this signal handler has interrupted.
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
        # An exception has interrupted reset(), so the last connection to the proxy may still be on the fds.
        idle = reset(sock, idle, listener)

    def begun(tunnel: Tunnel) -> None:
        for other in idle.verified():
            registry.add(other, tunnel)

    return connect.start(sock, listener.route, listener.limit, begun, _granted, frame, forks(), idle, waits)


def _granted(tunnel: Tunnel) -> None:
    """Observe a request: when the first answer has come and is no failure, await the peer."""
    listener = tunnel.listener
    if listener is None or tunnel.error is not None or tunnel.bound is None or tunnel.handshake is None:
        return
    host, port = tunnel.bound
    # SOCKS4: "the value 0 in DSTIP means the SOCKS server's own address", which is the connection's other end.
    host = host or _proxys_address(tunnel)
    tunnel.be_known_at(host, port)
    registry.external_addresses.listens(listener.route.chain, host, listener.connections)
    v5 = listener.route.chain[-1].scheme.startswith("socks5")
    listener.await_peer(Conversation(client.socks5_peer() if v5 else client.socks4_peer()))
    tunnel.options[SOL_SOCKET, SO_ACCEPTCONN] = 1
    for fd in list(tunnel.holders):
        registry.epoll_masks.stand_in(tunnel, fd)


def failure(sock: Socket, tunnel: Tunnel) -> OSError:
    """Return the error of a failed request, for the caller to raise. The socket is reset, so it may ask again."""
    error = tunnel.error
    assert error is not None and tunnel.listener is not None
    tunnel.take_report()
    reset(sock, tunnel, tunnel.listener)
    return errors.to_raise(error)


def reset(sock: Socket, tunnel: Tunnel, listener: BindListener) -> Tunnel:
    """Replace the connection to the proxy by an unconnected socket, on every fd of the listening socket.

    Returns the tunnel that the listening socket has from now on. If an exception interrupts reset(), the next call that
    is about to ask the proxy repeats it.
    """
    listener.part()
    idle = Tunnel(listener.route, listener)
    if listener.listens:
        idle.options[SOL_SOCKET, SO_ACCEPTCONN] = 1
    others = [other for other in tunnel.verified() if other is not sock]
    fresh = socket_swap.renewed(sock, tunnel)
    # From now on another thread may find the new tunnel by the fd. The lock keeps that thread from driving it.
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
    # The next request finds the epoll objects of the socket again.
    idle.watchers.clear()
    listener.has_parted()
    return idle


def _move(sock: Socket, fresh: _originals.Socket, others: list[Socket]) -> None:
    fd = _originals.fileno(sock)
    # If a peer has come, the old connection stays open under another fd, so epoll objects must not watch it.
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
    """End the listening of a tunnel and shut down its connection. Every thread that waits for the peer wakes."""
    tunnel.fail(OSError(ECANCELED, "the listening socket was closed"))
    tunnel.take_report()
    for sock in tunnel.verified():
        try:
            _originals.shutdown(sock, SHUT_RDWR)
        except ours(OSError):  # an idle socket is not connected
            pass


def _aim(connections: list[Tunnel], family: int, port: int) -> Address:
    """Return the peer to expect. If the connections lead to several hosts, any peer may come: the wildcard address."""
    hosts = {connection.route.target.host for connection in connections}
    target = connections[-1].route.target
    if len(hosts) == 1:
        return Address(target.type, target.host, port)
    return Address(IPV6, "::", port) if family == AF_INET6 else Address(IPV4, "0.0.0.0", port)


def _proxys_address(tunnel: Tunnel) -> str:
    """Return the IP address of the proxy as a literal, or "" if it is not known.

    If the chain has one proxy, this is the address at the other end of the connection.
    """
    sock = tunnel.holder()
    try:
        name = _originals.getpeername(sock) if sock is not None and len(tunnel.route.chain) == 1 else None
    except ours(OSError):
        name = None
    known = registry.external_addresses.host
    return name[0].removeprefix("::ffff:") if isinstance(name, tuple) else known(tunnel)
