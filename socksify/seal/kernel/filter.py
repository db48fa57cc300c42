"""The seccomp filter: what the tree may do by itself, what it is refused, and what the supervisor is asked.

A filter sees the number of a call and its arguments, and no memory behind them. So it decides where numbers suffice:

- No socket reaches a network but those of TCP, whose connect(2) is the supervisor's, and those of UDP, which the
  supervisor makes. A call that could do the same without connect(2) or socket(2) is refused.
- Where a refusal has a usual error ("this kernel cannot do that"), programs get that error, and do without.
- Everything else goes on at once. The kernel does not even run the filter for a call that it always allows.

What takes a privilege (CAP_NET_ADMIN and the like) over the system itself is not refused: such a process can leave any
seal, for example by a command that it gives to another process.
"""

from __future__ import annotations

import errno

from socksify._supervision import PRIVATE_LEVEL
from socksify.seal.kernel.bpf import Assembler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify.seal.kernel.system_calls import Architecture

# What a filter returns (SECCOMP_RET_*).
KILL, ERROR, NOTIFY, ALLOW = 0x80000000, 0x00050000, 0x7FC00000, 0x7FFF0000

# struct seccomp_data: the call's number, its architecture, an address, six arguments of 64 bits.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _AF_ALG = 1, 2, 10, 16, 38
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_RAW, _SOCK_PACKET = 1, 2, 3, 10
# The type is in the lowest four bits, below SOCK_NONBLOCK and SOCK_CLOEXEC.
_SOCK_TYPE_MASK = 0xF
_IPPROTO_IP, _IPPROTO_ICMP, _IPPROTO_TCP, _IPPROTO_UDP, _IPPROTO_IPV6, _IPPROTO_ICMPV6 = 0, 1, 6, 17, 41, 58
_SOL_SOCKET, _SO_ERROR = 1, 4
_MSG_FASTOPEN = 0x20000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# Options of setsockopt(2) that can lead a packet round the proxy: by level and option, the errno of the refusal.
_SO_BINDTODEVICE, _SO_BINDTOIFINDEX = 25, 62
_IP_OPTIONS, _IP_FREEBIND, _IP_TRANSPARENT, _IP_ADD_MEMBERSHIP, _IP_ADD_SOURCE_MEMBERSHIP = 4, 15, 19, 35, 39
_MCAST_JOIN_GROUP, _MCAST_JOIN_SOURCE_GROUP = 42, 46
_TCP_REPAIR, _TCP_ULP = 19, 31
_IPV6_2292PKTOPTIONS, _IPV6_ADD_MEMBERSHIP, _IPV6_RTHDR, _IPV6_TRANSPARENT, _IPV6_FREEBIND = 6, 20, 57, 75, 78

# A host that joins a group says so to its routers, by IGMP or MLD. Without a multicast device, joining gives ENODEV.
# The kernel lets sockets of TCP join by these three, too.
_JOINING = {_MCAST_JOIN_GROUP: errno.ENODEV, _MCAST_JOIN_SOURCE_GROUP: errno.ENODEV}

_REFUSED_OPTIONS: Mapping[int, Mapping[int, int]] = {
    # A socket that is bound to a device sends by it even what is for a loopback address. Linux before 5.7 refused this
    # to all but root, so programs bind to the address of the device then.
    _SOL_SOCKET: {_SO_BINDTODEVICE: errno.EPERM, _SO_BINDTOIFINDEX: errno.EPERM},
    _IPPROTO_TCP: {
        # A socket under repair is connected without connect(2)'s packets, or sends any.
        _TCP_REPAIR: errno.EPERM,
        # Another protocol on top (SMC, for example) takes over connect(2). ENOENT: there is no such protocol. The
        # kernel's TLS is another one; libraries then do without.
        _TCP_ULP: errno.ENOENT,
    },
    _IPPROTO_IP: {
        # Source routes: the packets go to the hosts of the route first, even those to a loopback address.
        _IP_OPTIONS: errno.EPERM,
        # A socket with the address of another host: what answers it on this machine sends packets to that host.
        _IP_FREEBIND: errno.EPERM,
        _IP_TRANSPARENT: errno.EPERM,
        _IP_ADD_SOURCE_MEMBERSHIP: errno.ENODEV,
        **_JOINING,
    },
    _IPPROTO_IPV6: {
        # The same for IPv6: a routing header. It needs no privilege.
        _IPV6_RTHDR: errno.EPERM,
        _IPV6_2292PKTOPTIONS: errno.EPERM,
        _IPV6_FREEBIND: errno.EPERM,
        _IPV6_TRANSPARENT: errno.EPERM,
        **_JOINING,
    },
}

# Besides, where the sockets of UDP are bound to the loopback interface: a group can be joined on any interface.
_ON_LOOPBACK: Mapping[int, Mapping[int, int]] = {
    _IPPROTO_IP: {_IP_ADD_MEMBERSHIP: errno.ENODEV},
    _IPPROTO_IPV6: {_IPV6_ADD_MEMBERSHIP: errno.ENODEV},
}

_REFUSED_OPTIONS_ON_LOOPBACK = {
    level: {**options, **_ON_LOOPBACK.get(level, {})} for level, options in _REFUSED_OPTIONS.items()
}

# Calls of another architecture's programs. Its sockets cannot be told apart: socketcall(2) has its arguments in memory.
_SOCKET_CALLS = (
    "socketcall", "socket", "socketpair", "connect", "sendto", "sendmsg", "sendmmsg", "setsockopt", "request_key",
)  # fmt: skip
# io_uring makes and connects sockets without these system calls.
_IO_URING = ("io_uring_setup", "io_uring_enter", "io_uring_register")


def filter_program(architecture: Architecture, *, pooled: bool) -> bytes:
    """Return the filter for this architecture, an array of struct sock_filter.

    `pooled`: the UDP sockets of the tree are in an empty network namespace. Otherwise they are bound to the loopback
    interface, and the supervisor is asked for each datagram that has, or may have, an address.
    """
    code = Assembler()
    _begin(code, architecture)
    decisions = _decisions(pooled)
    for name in decisions:
        code.if_equal(architecture.numbers[name], name)
    for name in _IO_URING:
        code.if_equal(architecture.numbers[name], _refusal(errno.ENOSYS))
    code.end(ALLOW)
    for name, decide in decisions.items():
        code.label(name)
        decide(code)
    return code.assemble()


def _begin(code: Assembler, architecture: Architecture) -> None:
    """Sort out the calls of other architectures, and put the number of the call into A."""
    code.load(_ARCHITECTURE)
    code.if_equal(architecture.audit, "native")
    for index, table in enumerate(architecture.compatible):
        code.if_equal(table.audit, f"compatible {index}")
    code.end(KILL)
    for index, table in enumerate(architecture.compatible):
        code.label(f"compatible {index}")
        _without_network(code, table.numbers)
    code.label("native")
    code.load(_NUMBER)
    if architecture.x32:
        code.if_any_bit(architecture.x32, _refusal(errno.ENOSYS))


def _without_network(code: Assembler, numbers: Mapping[str, int]) -> None:
    """Programs of another architecture run, and have no sockets of their own."""
    code.load(_NUMBER)
    code.if_equal(numbers["ioctl"], "ioctl")
    for name in _SOCKET_CALLS:
        if name in numbers:
            code.if_equal(numbers[name], _refusal(errno.EPERM))
    for name in _IO_URING:
        code.if_equal(numbers[name], _refusal(errno.ENOSYS))
    code.end(ALLOW)


def _decisions(pooled: bool) -> Mapping[str, Callable[[Assembler], None]]:
    """The calls that depend on their arguments, and those that the supervisor always sees. Frequent ones are first."""
    return {
        "sendto": _sendto,
        **({} if pooled else {"recvfrom": _recvfrom_on_loopback, "recvmsg": _notify}),
        "sendmsg": _sendmsg if pooled else _sendmsg_on_loopback,
        "ioctl": _ioctl,
        "sendmmsg": _sendmmsg if pooled else _sendmmsg_on_loopback,
        "getsockopt": _getsockopt,
        "setsockopt": _setsockopt if pooled else _setsockopt_on_loopback,
        "socket": _socket,
        "connect": _notify,
        "getpeername": _notify,
        "socketpair": _socketpair,
        "request_key": _request_key,
    }


def _refusal(error: int) -> int:
    """The call fails with this errno."""
    return ERROR | error


def _load_argument(code: Assembler, index: int) -> None:
    """Put an argument of 32 bits into A. The kernel ignores the upper half of such an argument."""
    code.load(_ARGUMENTS + 8 * index)


def _unless_null(code: Assembler, index: int, then: int) -> None:
    """Return `then` if the argument, a pointer, is not NULL in one of its halves."""
    for half in (0, 4):
        code.load(_ARGUMENTS + 8 * index + half)
        code.if_any_bit(0xFFFFFFFF, then)


def _notify(code: Assembler) -> None:
    code.end(NOTIFY)


def _socket(code: Assembler) -> None:
    _load_argument(code, 0)
    for domain in (_AF_UNIX, _AF_NETLINK, _AF_ALG):
        code.if_equal(domain, ALLOW)
    for domain in (_AF_INET, _AF_INET6):
        code.if_equal(domain, "socket of the internet")
    code.end(_refusal(errno.EAFNOSUPPORT))
    code.label("socket of the internet")
    _load_argument(code, 1)
    code.keep(_SOCK_TYPE_MASK)
    code.if_equal(_SOCK_STREAM, "stream socket")
    code.if_equal(_SOCK_DGRAM, "datagram socket")
    # The kernel takes SOCK_PACKET of AF_INET for a socket of AF_PACKET.
    for kind in (_SOCK_RAW, _SOCK_PACKET):
        code.if_equal(kind, _refusal(errno.EPERM))
    code.end(_refusal(errno.ESOCKTNOSUPPORT))
    _protocol(code, "stream socket", {_IPPROTO_IP: ALLOW, _IPPROTO_TCP: ALLOW})
    # Who may not use ping sockets gets EACCES (icmp(7)).
    ping = _refusal(errno.EACCES)
    datagrams = {_IPPROTO_IP: NOTIFY, _IPPROTO_UDP: NOTIFY, _IPPROTO_ICMP: ping, _IPPROTO_ICMPV6: ping}
    _protocol(code, "datagram socket", datagrams)


def _protocol(code: Assembler, label: str, results: Mapping[int, int]) -> None:
    """Decide by the protocol. MPTCP, SCTP, SMC and UDP-Lite have connections and addresses in ways of their own."""
    code.label(label)
    _load_argument(code, 2)
    for protocol, result in results.items():
        code.if_equal(protocol, result)
    code.end(_refusal(errno.EPROTONOSUPPORT))


def _socketpair(code: Assembler) -> None:
    # A pair of TIPC is two sockets that can send to any node.
    _load_argument(code, 0)
    code.if_equal(_AF_UNIX, ALLOW)
    code.end(_refusal(errno.EOPNOTSUPP))


def _sendto(code: Assembler) -> None:
    _without_fast_open(code, 3)
    _unless_null(code, 4, NOTIFY)
    code.end(ALLOW)


def _recvfrom_on_loopback(code: Assembler) -> None:
    _unless_null(code, 4, NOTIFY)
    code.end(ALLOW)


def _sendmsg(code: Assembler) -> None:
    _without_fast_open(code, 2)
    code.end(ALLOW)


def _sendmsg_on_loopback(code: Assembler) -> None:
    # The address is in memory, and so is the interface that ancillary data may name.
    _without_fast_open(code, 2)
    code.end(NOTIFY)


def _sendmmsg(code: Assembler) -> None:
    _without_fast_open(code, 3)
    code.end(ALLOW)


def _sendmmsg_on_loopback(code: Assembler) -> None:
    _without_fast_open(code, 3)
    code.end(NOTIFY)


def _without_fast_open(code: Assembler, index: int) -> None:
    """Refuse MSG_FASTOPEN in the flags: it connects a socket of TCP."""
    _load_argument(code, index)
    code.if_any_bit(_MSG_FASTOPEN, _refusal(errno.EOPNOTSUPP))


def _getsockopt(code: Assembler) -> None:
    _load_argument(code, 1)
    code.if_equal(_SOL_SOCKET, "getsockopt of a socket")
    code.end(ALLOW)
    code.label("getsockopt of a socket")
    _load_argument(code, 2)
    code.if_equal(_SO_ERROR, NOTIFY)
    code.end(ALLOW)


def _setsockopt(code: Assembler) -> None:
    _set_option(code, _REFUSED_OPTIONS)


def _setsockopt_on_loopback(code: Assembler) -> None:
    _set_option(code, _REFUSED_OPTIONS_ON_LOOPBACK)


def _set_option(code: Assembler, refused: Mapping[int, Mapping[int, int]]) -> None:
    _load_argument(code, 1)
    code.if_equal(PRIVATE_LEVEL, NOTIFY)
    for level in refused:
        code.if_equal(level, f"option of {level}")
    code.end(ALLOW)
    for level, options in refused.items():
        code.label(f"option of {level}")
        _load_argument(code, 2)
        for option, error in options.items():
            code.if_equal(option, _refusal(error))
        code.end(ALLOW)


def _request_key(code: Assembler) -> None:
    # With information for a call-out, the kernel starts a program outside of the tree, which may ask a name server.
    _unless_null(code, 2, _refusal(errno.ENOKEY))
    code.end(ALLOW)


def _ioctl(code: Assembler) -> None:
    # These type into the terminal, and so into a shell that is not sealed.
    _load_argument(code, 1)
    for command in (_TIOCSTI, _TIOCLINUX):
        code.if_equal(command, _refusal(errno.EPERM))
    code.end(ALLOW)
