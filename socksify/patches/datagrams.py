"""sendto(), sendmsg() and connect() of datagrams, and of whatever else is no TCP, which no proxy is asked for.

What a rule routes through a proxy does not leave; a name is not even looked up. connect(2) of a datagram socket sends
nothing and stays the kernel's, since code that asks for its own address lives on it; muting.py sees to the rest.
"""

from __future__ import annotations

import socket as _module
from operator import index
from socket import AF_UNIX, SOCK_DGRAM

from socksify import _real
from socksify.patches import detours, muting, scope
from socksify.patches.journal import Replacement
from socksify.patches.muting import CONNECTIONLESS, LINK, NOWHERE
from socksify.tunnel import datagram_route, fence, handed_over, refusal, registry
from socksify.tunnel.datagram_route import is_tcp
from socksify.tunnel.route import Direct
from socksify.tunnel.sockaddr import ip_family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

# Only Linux has it.
_FAST_OPEN = int(getattr(_module, "MSG_FASTOPEN", 0))


def connect(sock: Socket, address: Any) -> None:
    """connect() of a socket that does not speak TCP."""
    family = _real.family(sock)
    route = datagram_route.decide(scope.current().router, family, address)
    if isinstance(route, Direct):
        if _real.kind(sock) != SOCK_DGRAM:
            detours.admit_connect(sock)
        _real.connect(sock, _direct(route, address))
        muting.release(sock)
    elif _real.kind(sock) in CONNECTIONLESS:
        muting.connect(sock, datagram_route.stand_in(family, address, route))
    else:
        refusal.refuse(sock, route, address)


def _sendto(self: Socket, /, *args: Any) -> int:
    # sendto(data[, flags], address)
    if not 2 <= len(args) <= 3:
        return _real.sendto(self, *args)
    data, flags, address = args if len(args) == 3 else (args[0], 0, args[1])
    flags = _number(flags)

    def check() -> object:
        return _real.sendto(NOWHERE, data, flags, ())

    if _connects(self, flags, address):
        _connect_first(self, address, check)
        return _real.send(self, data, flags & ~_FAST_OPEN)
    to = _admitted(self, address, check)
    if _real.kind(self) != SOCK_DGRAM:
        packet = detours.admit_packet(self, [data], address)
        data = data if packet is None else packet
    return _real.sendto(self, data, flags, to)


def _sendmsg(self: Socket, /, *args: Any) -> int:
    # sendmsg(buffers[, ancdata[, flags[, address]]])
    if len(args) > 1 and args[1]:
        args = (args[0], detours.admit_ancillary(args[1]), *args[2:])
        if registry.by_fd and _real.family(self) == AF_UNIX:
            # It may send descriptors (SCM_RIGHTS).
            handed_over.tell()
    if len(args) != 4 or args[3] is None:
        # Another object may have connected its socket; IP_PKTINFO would lead it round the fence.
        if fence.held and muting.guard_late(self):
            return self.sendmsg(*args)
        return _real.sendmsg(self, *args)
    buffers, ancdata, flags, address = args
    flags = _number(flags)

    def check() -> object:
        return _real.sendmsg(NOWHERE, buffers, ancdata, flags)

    if _connects(self, flags, address):
        _connect_first(self, address, check)
        return _real.sendmsg(self, buffers, ancdata, flags & ~_FAST_OPEN)
    to = _admitted(self, address, check)
    if _real.kind(self) != SOCK_DGRAM:
        buffers = list(buffers)
        packet = detours.admit_packet(self, buffers, address)
        buffers = buffers if packet is None else [packet]
    return _real.sendmsg(self, buffers, ancdata, flags, to)


def _number(flags: Any) -> Any:
    """Flags as the stdlib reads them: numpy's numbers are some, too. What is no number it refuses."""
    return index(flags) if hasattr(flags, "__index__") else flags


def _connects(sock: Socket, flags: Any, address: Any) -> bool:
    """tcp(7), MSG_FASTOPEN: with it, sending is a connect() first; a direct one is the kernel's."""
    if not isinstance(flags, int) or not flags & _FAST_OPEN or not is_tcp(sock):
        return False
    return not isinstance(scope.current().router.decide(_real.family(sock), address), Direct)


def _connect_first(sock: Socket, address: Any, check: Callable[[], object]) -> None:
    """Through the proxy; where that does not wait, the kernel's error for it says that nothing was sent."""
    muting.check(sock, check)
    _real.PythonSocket.connect(sock, address)


def _admitted(sock: Socket, address: Any, check: Callable[[], object]) -> Any:
    """The address to give to the kernel, if what is sent there may leave; `check` looks at the other arguments."""
    family = _real.family(sock)
    if family == LINK:
        muting.admit_frame(address, check)
    if not ip_family(family):
        return address
    route = datagram_route.decide(scope.current().router, family, address)
    if isinstance(route, Direct):
        return _direct(route, address)
    if not is_tcp(sock):
        muting.check(sock, check)
        refusal.refuse(sock, route, address)
    # It goes where the socket is connected to: the kernel does not look at the address, so a name is not looked up.
    return datagram_route.stand_in(family, address, route)


def _direct(route: Direct, address: Any) -> Any:
    """The address to give to the kernel; strict's audit hook knows one that we have found by its type."""
    return address if route.address is None else _real.SockAddress(route.address)


REPLACEMENTS = (
    Replacement(_real.PythonSocket, "sendto", _sendto),
    Replacement(_real.PythonSocket, "sendmsg", _sendmsg),
)
