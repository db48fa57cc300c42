"""Whether packets for an address stay on this machine, as the kernel's routes have it: rtnetlink(7).

That is more than the addresses of its interfaces. Whole networks may be routed to the machine (ip-route(8), "local"),
and a router answers to the first address of each of its subnets (RFC 4291 section 2.6.1, "Subnet-Router anycast").
"""

from __future__ import annotations

import _socket
import struct
from _socket import AF_INET, AF_INET6, MSG_DONTWAIT, SOCK_RAW, inet_pton

from socksify import _real

# Where there is no such family, there are no sockets of the other one either.
_AF_NETLINK = getattr(_socket, "AF_NETLINK", _socket.AF_UNSPEC)
_REQUEST, _GETROUTE, _NEWROUTE = 1, 26, 24
# Attributes of a question: the destination, the interface.
_DST, _OIF = 1, 4
# Types of a route.
_LOCAL, _ANYCAST = 2, 4
# struct nlmsghdr: length, type, flags, number and sender; struct rtmsg, the type as its eighth byte.
_HEADER = "=IHHII"
_ROUTE = "=BBBBBBBBI"


def stays_here(literal: str, interface: int = 0) -> bool:
    """Nothing is sent. A link-local address is of an `interface`. Raises OSError where the kernel does not tell."""
    family = AF_INET6 if ":" in literal else AF_INET
    destination = inet_pton(family, literal)
    size = len(destination)
    question = struct.pack(_ROUTE, family, 8 * size, 0, 0, 0, 0, 0, 0, 0)
    question += struct.pack(f"=HH{size}s", 4 + size, _DST, destination)
    if interface:
        question += struct.pack("=HHI", 8, _OIF, interface)
    answer = _asked(struct.pack(_HEADER, 16 + len(question), _GETROUTE, _REQUEST, 0, 0) + question)
    _, kind, *_ = struct.unpack_from(_HEADER, answer)
    if kind != _NEWROUTE:
        raise OSError("no route")
    return struct.unpack_from(_ROUTE, answer, 16)[7] in (_LOCAL, _ANYCAST)


def _asked(question: bytes) -> bytes:
    kernel = _real.Socket(_AF_NETLINK, SOCK_RAW)
    try:
        _real.send(kernel, question)
        # Where the answer is not there at once, it is no kernel that knows the question.
        return _real.recv(kernel, 4096, MSG_DONTWAIT)
    finally:
        _real.close(kernel)
