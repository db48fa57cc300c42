"""Requests of rtnetlink(7) that set up the loopback interface of a network namespace."""

from __future__ import annotations

import os
import socket
import struct

from socksify import _originals

# Types of a message.
_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
# Flags of a message: NLM_F_REQUEST | NLM_F_ACK, and NLM_F_CREATE.
_REQUEST, _CREATE = 5, 0x400
# Loopback is the first interface of every namespace.
_LOOPBACK = 1
_IFF_UP = 1
# IFA_F_NODAD: until duplicates are looked for (RFC 4862 section 5.4), an IPv6 address cannot be used.
_NO_DETECTION = 2
# Attributes: of an address IFA_ADDRESS and IFA_LOCAL, of a route RTA_OIF and RTA_PREFSRC.
_ADDRESS, _LOCAL = 1, 2
_OUTPUT, _SOURCE = 4, 7
# RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL.
_LOCAL_ROUTE = 255, 3, 254, 2

# struct nlmsghdr (length, type, flags, number, sender), struct ifinfomsg, struct ifaddrmsg, struct rtmsg, and struct
# rtattr (length, type).
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_INTERFACE_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=i")


class Loopback:
    """The loopback interface of this thread's network namespace. Each method raises OSError, which names the request.

    It needs CAP_NET_ADMIN in the namespace. It is a context manager.
    """

    def __init__(self) -> None:
        self._kernel = _originals.Socket(socket.AF_NETLINK, socket.SOCK_RAW)

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.close()

    def start(self) -> None:
        """Bring the interface up, as `ip link set lo up` does."""
        self._ask("RTM_NEWLINK", _NEWLINK, 0, _LINK.pack(0, 0, _LOOPBACK, _IFF_UP, _IFF_UP))

    def add_address(self, literal: str) -> None:
        """Add an address, as `ip address add` does."""
        family, packed = _packed(literal)
        body = _INTERFACE_ADDRESS.pack(family, 8 * len(packed), _NO_DETECTION, 0, _LOOPBACK)
        attributes = _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed)
        self._ask("RTM_NEWADDR", _NEWADDR, _CREATE, body + attributes)

    def take_every_address(self, source: str) -> None:
        """Make every address of a family one of this machine, as `ip route add local default dev lo src SOURCE` does.

        `source` is a literal of the family, and an address of the interface.
        """
        family, packed = _packed(source)
        body = _ROUTE.pack(family, 0, 0, 0, *_LOCAL_ROUTE, 0)
        attributes = _attribute(_OUTPUT, _NUMBER.pack(_LOOPBACK)) + _attribute(_SOURCE, packed)
        self._ask("RTM_NEWROUTE", _NEWROUTE, _CREATE, body + attributes)

    def _ask(self, name: str, kind: int, flags: int, body: bytes) -> None:
        self._kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0) + body)
        # The kernel answers at once, with struct nlmsgerr: an errno below 0, or 0.
        answer = self._kernel.recv(4096, socket.MSG_DONTWAIT)
        error = -_NUMBER.unpack_from(answer, _HEADER.size)[0]
        if error:
            raise OSError(error, f"{name}: {os.strerror(error)}")


def _packed(literal: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in literal else socket.AF_INET
    return family, socket.inet_pton(family, literal)


def _attribute(kind: int, value: bytes) -> bytes:
    # Each attribute begins at a multiple of 4 bytes; all values here have such a length.
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
