"""BIND: a listening socket is a connection to the proxy, which listens in its place; asking it, and letting it go.

An essay on what is on the fd. SOCKS answers a BIND twice: with the address where it listens, and when the peer has
come; from then on the same connection is the one to the peer. So a listening socket goes round in a circle:

  idle       an unconnected socket; the proxy has to be asked
  asking     a handshake like any other, up to the first answer: listen() waits for it
  listening  a connection to the proxy on which nothing is to be said; the second answer makes it readable, which
             is what a poller is told of a listening socket whose peer has come
  accepted   the connection moves to a new fd, an unconnected socket takes its place, and it is idle again (`accepting`)

A proxy listens for one peer, and at another address each time. Who only wants one is not made to pay for the
question about the next: that is asked when somebody waits for it again, or wants to know its address.
"""

from __future__ import annotations

import os
import sys
from errno import EALREADY, ECANCELED
from select import POLLOUT, POLLWRNORM
from socket import AF_INET6, SHUT_RDWR, SO_ACCEPTCONN, SOL_SOCKET

from socksify import _originals
from socksify._signal_safety import forks, ours
from socksify.protocol import client
from socksify.protocol.address import IPV4, IPV6, Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.socks5 import BIND
from socksify.tunnel import connect, epoll_masks, errors, readiness, registry, socket_swap
from socksify.tunnel.bind import external
from socksify.tunnel.state import Tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from types import FrameType

    from socksify.routing.route import Via

_WRITABLE = POLLOUT | POLLWRNORM


class Rendezvous:
    """What a proxy is asked for, again and again, in place of one listening socket.

    `callers` are the connections whose peer is to come, at least one; `wanted` is the port to listen on, 0 for any;
    `limit` bounds the question, in seconds; `early` is whether getsockname() asks it before listen() was called.
    """

    __slots__ = ("callers", "early", "is_parting", "limit", "listens", "peer", "route")

    def __init__(self, callers: list[Tunnel], family: int, wanted: int, limit: float, early: bool) -> None:
        self.callers = callers
        self.limit = limit
        self.early = early
        # Whether the client has asked for it, by listen() or early.
        self.listens = False
        # Whether the last connection to the proxy may still be on its descriptors.
        self.is_parting = False
        # The second answer, while it is awaited.
        self.peer: Conversation | None = None
        latest = callers[-1].route
        self.route: Via = latest.replace(target=_aim(callers, family, wanted), command=BIND)

    @property
    def is_idle(self) -> bool:
        """Whether the proxy has to be asked."""
        return self.peer is None

    def awaited(self, mask: int) -> int:
        """The poll(2) events that stand in for a client's. An idle socket is reported at once: somebody waits."""
        return POLLOUT if self.peer is None else mask & ~_WRITABLE

    def ask_again(self, tunnel: Tunnel) -> int:
        """Somebody waits for an idle socket: begin to ask. Returns the events to wait for."""
        lock = tunnel.lock
        if not lock.acquire():
            # Another thread is at it, or the code beneath this signal handler.
            return POLLOUT
        try:
            sock = tunnel.holder()
            if sock is None or not self.is_idle or registry.find(sock) is not tunnel:
                return POLLOUT
            asked = _start(sock, tunnel, sys._getframe(), waits=False)
        finally:
            lock.release()
        for fd in list(asked.holders):
            readiness.begin_watching(fd, asked)
        return asked.awaited(0)

    def granted(self, tunnel: Tunnel) -> None:
        """The first answer has come, if it is no failure."""
        if tunnel.error is not None or tunnel.bound is None:
            return
        host, port = tunnel.bound
        # "the value 0 in DSTIP means the SOCKS server's own address": that to which we are connected.
        host = host or _proxys_address(tunnel)
        tunnel.bound = host, port
        external.listens(self.route.chain, host, self.callers)
        v5 = self.route.chain[-1].scheme.startswith("socks5")
        self.peer = Conversation(client.socks5_peer() if v5 else client.socks4_peer())
        tunnel.options[SOL_SOCKET, SO_ACCEPTCONN] = 1
        for fd in list(tunnel.holders):
            epoll_masks.stand_in(tunnel, fd)


def register(sock: Socket, rendezvous: Rendezvous) -> Tunnel:
    """From now on a socket is to listen through a proxy, which has not been asked yet."""
    idle = Tunnel(rendezvous.route)
    idle.rendezvous = rendezvous
    registry.add(sock, idle)
    return idle


def ask(sock: Socket, tunnel: Tunnel, rendezvous: Rendezvous) -> None:
    """Have the proxy listen, and wait until it does; does nothing if it does already. Raises OSError."""
    tunnel = _begun_anew(sock, tunnel, rendezvous)
    before, rendezvous.listens = rendezvous.listens, True
    lock = tunnel.lock
    try:
        if not lock.acquire(rendezvous.limit):
            raise OSError(EALREADY, os.strerror(EALREADY))
        try:
            if tunnel.handshake is None and tunnel.error is None and rendezvous.is_idle:
                tunnel = _start(sock, tunnel, sys._getframe(), waits=True)
        finally:
            lock.release()
        connect.finish(tunnel)
    except BaseException:
        rendezvous.listens = before
        raise
    if tunnel.error is not None:
        rendezvous.listens = before
        raise failure(sock, tunnel)


def _begun_anew(sock: Socket, tunnel: Tunnel, rendezvous: Rendezvous) -> Tunnel:
    """The tunnel of a socket whose last question an exception has ended: as with connect(), the next one may ask."""
    handshake = tunnel.handshake
    if handshake is not None and handshake.is_deserted:
        connect.fail(tunnel, connect.interrupted())
    if tunnel.error is None or tunnel.handshake is not None or rendezvous.listens:
        return tunnel
    registry.settle(tunnel)
    return rest(sock, tunnel, rendezvous)


def failure(sock: Socket, tunnel: Tunnel) -> OSError:
    """The failure of a question, to be raised; the socket is as good as new, and the next may ask again."""
    error = tunnel.error
    assert error is not None and tunnel.rendezvous is not None
    registry.settle(tunnel)
    rest(sock, tunnel, tunnel.rendezvous)
    return errors.to_raise(error)


def rest(sock: Socket, tunnel: Tunnel, rendezvous: Rendezvous) -> Tunnel:
    """Put an unconnected socket in the place of the connection to the proxy, on every fd of the listening one.

    Returns the tunnel that the listening socket has from now on. Where an exception ends this halfway, whoever is about
    to ask the proxy does it again.
    """
    rendezvous.is_parting = True
    rendezvous.peer = None
    idle = Tunnel(rendezvous.route)
    idle.rendezvous = rendezvous
    if rendezvous.listens:
        idle.options[SOL_SOCKET, SO_ACCEPTCONN] = 1
    others = [other for other in tunnel.verified() if other is not sock]
    fresh = socket_swap.renewed(sock, tunnel)
    # Another thread finds it under this number from now on, and leaves it alone.
    lock = idle.lock
    lock.acquire()
    try:
        idle.identities = tunnel.identities
        for holder in (sock, *others):
            registry.add(holder, idle)
        registry.moving(idle, fresh.fileno())
        _put_to_rest(sock, fresh, others)
        registry.has_moved(idle)
        for holder in (sock, *others):
            epoll_masks.stand_in(idle, _originals.fileno(holder))
    finally:
        lock.release()
    # Its epoll objects are found again when it is asked for.
    idle.watchers.clear()
    rendezvous.is_parting = False
    return idle


def _put_to_rest(sock: Socket, fresh: _originals.Socket, others: list[Socket]) -> None:
    fd = _originals.fileno(sock)
    # The connection goes on under another number, if a peer has come.
    for other in others:
        epoll_masks.leaving(_originals.fileno(other))
    socket_swap.move(fresh, sock)
    for other in others:
        os.dup2(fd, _originals.fileno(other), inheritable=os.get_inheritable(_originals.fileno(other)))
        epoll_masks.moved(_originals.fileno(other))


def everyone() -> list[Tunnel]:
    """All listening sockets."""
    return [tunnel for tunnel in dict.fromkeys(list(registry.by_fd.values())) if tunnel.rendezvous is not None]


def end(tunnel: Tunnel) -> None:
    """The proxy need not listen any longer: whoever waits for the peer wakes."""
    tunnel.error = OSError(ECANCELED, "the listening socket was closed")
    registry.settle(tunnel)
    for sock in tunnel.verified():
        try:
            _originals.shutdown(sock, SHUT_RDWR)
        except ours(OSError):  # idle
            pass


def _start(sock: Socket, idle: Tunnel, caller: FrameType, *, waits: bool) -> Tunnel:
    rendezvous = idle.rendezvous
    assert rendezvous is not None
    if rendezvous.is_parting:
        # An exception has ended rest(): the last connection to the proxy is still there.
        idle = rest(sock, idle, rendezvous)

    def begun(tunnel: Tunnel) -> None:
        tunnel.settled.append(lambda: rendezvous.granted(tunnel))
        if tunnel.handshake is not None:
            tunnel.handshake.waits = waits
        for other in idle.verified():
            registry.add(other, tunnel)

    return connect.start(sock, rendezvous.route, rendezvous.limit, begun, caller, forks(), idle)


def _aim(callers: list[Tunnel], family: int, wanted: int) -> Address:
    """Who is to come: the peer of the callers. Where these have several, anybody may: "0" stands for that."""
    hosts = {caller.route.target.host for caller in callers}
    target = callers[-1].route.target
    if len(hosts) == 1:
        return Address(target.type, target.host, wanted)
    return Address(IPV6, "::", wanted) if family == AF_INET6 else Address(IPV4, "0.0.0.0", wanted)


def _proxys_address(tunnel: Tunnel) -> str:
    """The address to which a tunnel's connection leads, "" on a Unix socket."""
    sock = tunnel.holder()
    try:
        name = _originals.getpeername(sock) if sock is not None and len(tunnel.route.chain) == 1 else None
    except ours(OSError):
        name = None
    return name[0].removeprefix("::ffff:") if isinstance(name, tuple) else external.host(tunnel)
