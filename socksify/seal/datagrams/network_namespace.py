"""An empty network namespace: nothing leads out of it, and every address is an address of the namespace itself.

A datagram to any address arrives at a socket of the namespace, or nowhere. So a responder in the namespace answers in
the place of every name server, from the address that was asked.
"""

from __future__ import annotations

import os
import struct
from errno import EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM
from socket import AF_INET, AF_INET6, AF_NETLINK, MSG_DONTWAIT, SOCK_RAW, inet_pton

from socksify import _originals
from socksify.routing import local_host
from socksify.seal.kernel.libc import unshare

# <linux/sched.h>
_NEWNET, _NEWUSER = 0x40000000, 0x10000000
# IPv6 is off: for the interface (sysctl disable_ipv6), or for the kernel (ipv6.disable=1).
_NO_IPV6 = (EACCES, EAFNOSUPPORT, EOPNOTSUPP)
_LOOPBACK_ADDRESSES: dict[int, str] = {AF_INET: "127.0.0.1", AF_INET6: "::1"}

# Types of a message of rtnetlink(7).
_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
# Flags of a message: NLM_F_REQUEST | NLM_F_ACK, and NLM_F_CREATE.
_REQUEST, _CREATE = 5, 0x400
# Loopback is the first interface of every namespace.
_LOOPBACK_INDEX = 1
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


def enter() -> None:
    """Move this process into an empty network namespace of its own.

    The process must have one thread. A process without CAP_SYS_ADMIN gets a user namespace, too. Raises OSError, which
    names the call that failed.
    """
    # connect(2) of a datagram socket is the usual way to ask for the own address. The answer stays that of the machine.
    sources = _LOOPBACK_ADDRESSES | {_family(literal): literal for literal in local_host.outgoing_addresses()}
    _leave()
    with Loopback() as loopback:
        loopback.start()
        _take_every_address(loopback, sources[AF_INET])
        try:
            _take_every_address(loopback, sources[AF_INET6])
        except OSError as error:
            # Without a route of IPv6, IPv6 is as it is on a machine without it.
            if error.errno not in _NO_IPV6:
                raise


def _leave() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(_NEWNET, "CLONE_NEWNET")
    except OSError as error:
        if error.errno != EPERM:
            raise
        # user_namespaces(7): whoever makes a user namespace has every capability in it.
        unshare(_NEWUSER | _NEWNET, "CLONE_NEWUSER|CLONE_NEWNET")
        _map_ids(user, group)


def _map_ids(user: int, group: int) -> None:
    """Let the own user and group have the same numbers in the new user namespace."""
    # user_namespaces(7): without CAP_SETGID outside, setgroups(2) has to be denied before the groups can be mapped.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _take_every_address(loopback: Loopback, source: str) -> None:
    if source not in _LOOPBACK_ADDRESSES.values():
        loopback.add_address(source)
    loopback.take_every_address(source)


class Loopback:
    """The loopback interface of this thread's network namespace. Each method raises OSError, which names the request.

    It needs CAP_NET_ADMIN in the namespace. It is a context manager.
    """

    def __init__(self) -> None:
        self._kernel = _originals.Socket(AF_NETLINK, SOCK_RAW)

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.close()

    def start(self) -> None:
        """Bring the interface up, as `ip link set lo up` does."""
        self._ask("RTM_NEWLINK", _NEWLINK, 0, _LINK.pack(0, 0, _LOOPBACK_INDEX, _IFF_UP, _IFF_UP))

    def add_address(self, literal: str) -> None:
        """Add an address, as `ip address add` does."""
        family, packed = _packed(literal)
        body = _INTERFACE_ADDRESS.pack(family, 8 * len(packed), _NO_DETECTION, 0, _LOOPBACK_INDEX)
        attributes = _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed)
        self._ask("RTM_NEWADDR", _NEWADDR, _CREATE, body + attributes)

    def take_every_address(self, source: str) -> None:
        """Make every address of a family one of this machine, as `ip route add local default dev lo src SOURCE` does.

        `source` is a literal of the family, and an address of the interface.
        """
        family, packed = _packed(source)
        body = _ROUTE.pack(family, 0, 0, 0, *_LOCAL_ROUTE, 0)
        attributes = _attribute(_OUTPUT, _NUMBER.pack(_LOOPBACK_INDEX)) + _attribute(_SOURCE, packed)
        self._ask("RTM_NEWROUTE", _NEWROUTE, _CREATE, body + attributes)

    def _ask(self, name: str, kind: int, flags: int, body: bytes) -> None:
        self._kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0) + body)
        # The kernel answers at once, with struct nlmsgerr: an errno below 0, or 0.
        answer = self._kernel.recv(4096, MSG_DONTWAIT)
        error = -_NUMBER.unpack_from(answer, _HEADER.size)[0]
        if error:
            raise OSError(error, f"{name}: {os.strerror(error)}")


def _packed(literal: str) -> tuple[int, bytes]:
    family = _family(literal)
    return family, inet_pton(family, literal)


def _family(literal: str) -> int:
    return AF_INET6 if ":" in literal else AF_INET


def _attribute(kind: int, value: bytes) -> bytes:
    # Each attribute begins at a multiple of 4 bytes; all values here have such a length.
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
