"""The installation of a seccomp filter in this process (seccomp(2), seccomp_unotify(2)).

With the bit `no_new_privs` set, execve(2) gives no privileges: sudo, su and the like fail. So the bit is set only where
the kernel refuses a restriction without it, which is in a process without CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes

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


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def install(program: bytes) -> int:
    """Put this thread, and every process that it will start, under a filter for ever. Return the listener's descriptor.

    The descriptor is closed on exec. OSError: EBUSY if there is a listener already; EINVAL if the kernel has none of
    this kind, or refuses the program; ENOSYS without seccomp(2).
    """
    number = system_calls.here().numbers["seccomp"]
    filter_ = _Program(len(program) // _INSTRUCTION_SIZE, program)
    address = ctypes.addressof(filter_)
    return restrict(lambda: system_call("seccomp", number, _SECCOMP_SET_MODE_FILTER, _NEW_LISTENER, address))


def restrict(restriction: Callable[[], int]) -> int:
    """Call `restriction`, with `no_new_privs` set if need be, and return its result. Raises what it raises."""
    try:
        return restriction()
    # EACCES from seccomp(2), EPERM from landlock_restrict_self(2).
    except PermissionError:
        system_call("prctl", system_calls.here().numbers["prctl"], _PR_SET_NO_NEW_PRIVS, 1)
        return restriction()
