"""The two restrictions that a process puts on itself and on every process that it will start, for ever.

A seccomp filter with a listener decides about each system call (seccomp(2), seccomp_unotify(2)). Under it, Landlock
refuses every connect(2) of TCP, whatever the filter lets through. The supervisor is outside, and connects the tree's
sockets. A restricted process cannot trace processes outside either (landlock(7)).

With the bit `no_new_privs` set, execve(2) gives no privileges: sudo, su and the like fail. So the bit is set only where
the kernel refuses a restriction without it, which is in a process without CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import errno
import os

from socksify.seal.kernel import system_calls
from socksify.seal.kernel.libc import system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SECCOMP_SET_MODE_FILTER = 1
# SECCOMP_FILTER_FLAG_NEW_LISTENER. The flag WAIT_KILLABLE_RECV is left out: a signal must end connect(2), as it does
# without a filter.
_NEW_LISTENER = 8
_INSTRUCTION_SIZE = 8
_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET_VERSION = 1
# The first version of the interface that knows rules for networks, of Linux 6.7.
_NETWORK_VERSION = 4
_LANDLOCK_ACCESS_NET_CONNECT_TCP = 2
# ENOSYS: the kernel has no Landlock. EOPNOTSUPP: it was not enabled at boot. EPERM: a container's filter refuses it.
_MISSING = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = [("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64)]


def install_filter(program: bytes) -> int:
    """Put this thread, and every process that it will start, under a filter for ever. Return the listener's descriptor.

    The descriptor is closed on exec. OSError: EBUSY if there is a listener already; EINVAL if the kernel has none of
    this kind, or refuses the program; ENOSYS without seccomp(2).
    """
    number = system_calls.here().numbers["seccomp"]
    filter_ = _Program(len(program) // _INSTRUCTION_SIZE, program)
    address = ctypes.addressof(filter_)
    return _restrict(lambda: system_call("seccomp", number, _SECCOMP_SET_MODE_FILTER, _NEW_LISTENER, address))


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
        _restrict(lambda: system_call("landlock_restrict_self", numbers["landlock_restrict_self"], ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _restrict(restriction: Callable[[], int]) -> int:
    """Call `restriction`, with `no_new_privs` set if need be, and return its result. Raises what it raises."""
    try:
        return restriction()
    # EACCES from seccomp(2), EPERM from landlock_restrict_self(2).
    except PermissionError:
        system_call("prctl", system_calls.here().numbers["prctl"], _PR_SET_NO_NEW_PRIVS, 1)
        return restriction()


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
