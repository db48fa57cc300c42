"""Landlock: the kernel refuses every connect(2) of TCP by the tree, whatever the filter lets through.

The supervisor is outside, and connects the tree's sockets. A restricted process cannot trace processes outside either
(landlock(7)).
"""

from __future__ import annotations

import ctypes
import errno
import os

from socksify.seal.kernel import system_calls
from socksify.seal.kernel.libc import system_call
from socksify.seal.kernel.seccomp import restrict

_LANDLOCK_CREATE_RULESET_VERSION = 1
# The first version of the interface that knows rules for networks, of Linux 6.7.
_NETWORK_VERSION = 4
_LANDLOCK_ACCESS_NET_CONNECT_TCP = 2
# ENOSYS: the kernel has no Landlock. EOPNOTSUPP: it was not enabled at boot. EPERM: a container's filter refuses it.
_MISSING = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = [("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64)]


def deny_tcp_connect() -> bool:
    """Deny connect(2) of TCP to this thread, and to every process that it will start, for ever.

    False: the kernel has no Landlock for networks, and nothing was denied. OSError: it has, and a call has failed.
    """
    if _version() < _NETWORK_VERSION:
        return False
    numbers = system_calls.here().numbers
    # An access that is handled is denied, unless a rule of the set allows it. The set has no rules.
    attributes = _Ruleset(0, _LANDLOCK_ACCESS_NET_CONNECT_TCP)
    ruleset = _create_ruleset(ctypes.addressof(attributes), ctypes.sizeof(attributes), 0)
    try:
        restrict(lambda: system_call("landlock_restrict_self", numbers["landlock_restrict_self"], ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _version() -> int:
    """Return the version of the kernel's Landlock; 0: it has none."""
    try:
        return _create_ruleset(0, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    except OSError as error:
        if error.errno in _MISSING:
            return 0
        raise


def _create_ruleset(attributes: int, size: int, flags: int) -> int:
    number = system_calls.here().numbers["landlock_create_ruleset"]
    return system_call("landlock_create_ruleset", number, attributes, size, flags)
