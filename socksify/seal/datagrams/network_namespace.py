"""An empty network namespace: nothing leads out of it, and every address is an address of the namespace itself.

A datagram to any address arrives at a socket of the namespace, or nowhere. So a responder in the namespace answers in
the place of every name server, from the address that was asked.
"""

from __future__ import annotations

import os
from errno import EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM
from socket import AF_INET, AF_INET6

from socksify.routing import local_host
from socksify.seal.datagrams.rtnetlink import Loopback
from socksify.seal.kernel.libc import unshare

# <linux/sched.h>
_NEWNET, _NEWUSER = 0x40000000, 0x10000000
# IPv6 is off: for the interface (sysctl disable_ipv6), or for the kernel (ipv6.disable=1).
_NO_IPV6 = (EACCES, EAFNOSUPPORT, EOPNOTSUPP)
_LOOPBACK: dict[int, str] = {AF_INET: "127.0.0.1", AF_INET6: "::1"}


def enter() -> None:
    """Move this process into an empty network namespace of its own.

    The process must have one thread. A process without CAP_SYS_ADMIN gets a user namespace, too. Raises OSError, which
    names the call that failed.
    """
    # connect(2) of a datagram socket is the usual way to ask for the own address. The answer stays that of the machine.
    sources = _LOOPBACK | {_family(literal): literal for literal in local_host.outgoing_addresses()}
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
    if source not in _LOOPBACK.values():
        loopback.add_address(source)
    loopback.take_every_address(source)


def _family(literal: str) -> int:
    return AF_INET6 if ":" in literal else AF_INET
