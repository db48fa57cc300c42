"""Options of setsockopt(2) that can lead a packet round the proxy: by level and option, the errno of the refusal."""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SOL_SOCKET, _IPPROTO_IP, _IPPROTO_TCP, _IPPROTO_IPV6 = 1, 0, 6, 41
_SO_BINDTODEVICE, _SO_BINDTOIFINDEX = 25, 62
_IP_OPTIONS, _IP_FREEBIND, _IP_TRANSPARENT, _IP_ADD_MEMBERSHIP, _IP_ADD_SOURCE_MEMBERSHIP = 4, 15, 19, 35, 39
_MCAST_JOIN_GROUP, _MCAST_JOIN_SOURCE_GROUP = 42, 46
_TCP_REPAIR, _TCP_ULP = 19, 31
_IPV6_2292PKTOPTIONS, _IPV6_ADD_MEMBERSHIP, _IPV6_RTHDR, _IPV6_TRANSPARENT, _IPV6_FREEBIND = 6, 20, 57, 75, 78

# A host that joins a group says so to its routers, by IGMP or MLD. Without a multicast device, joining gives ENODEV.
# The kernel lets sockets of TCP join by these three, too.
_JOINING = {_MCAST_JOIN_GROUP: errno.ENODEV, _MCAST_JOIN_SOURCE_GROUP: errno.ENODEV}

REFUSED: Mapping[int, Mapping[int, int]] = {
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

REFUSED_ON_LOOPBACK = {level: {**options, **_ON_LOOPBACK.get(level, {})} for level, options in REFUSED.items()}
