"""The numbers of the system calls that the seal makes or filters, on the architectures that it knows.

A program of an architecture may also make the calls of another one, for example those of i386 by `int 0x80` on x86-64.
The kernel tells a filter which one is meant by the constants AUDIT_ARCH_* of <linux/audit.h>. The numbers are those
of <asm/unistd_64.h> and <asm/unistd_32.h> on x86-64, of <asm-generic/unistd.h> on aarch64, and of <asm/unistd.h> on
ARM.
"""

from __future__ import annotations

import os
import sys

from socksify._record import Record
from socksify.seal.errors import SealUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class CallTable(Record):
    """What the kernel calls an architecture (`audit`), and its numbers of system calls by their names."""

    audit: int
    numbers: Mapping[str, int]


class Architecture(CallTable):
    """The calls of a 64-bit process.

    `compatible` are the tables of the architectures whose programs the kernel runs besides. `x32` is the bit that marks
    a call of the x32 ABI: its architecture is the same, its arguments are not. It is 0 where there is no such ABI.
    """

    compatible: tuple[CallTable, ...]
    x32: int


# Calls from Linux 5.1 on have the same number on every architecture.
_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "landlock_create_ruleset": 444,
    "landlock_restrict_self": 446,
}

_I386 = CallTable(
    audit=0x40000003,
    numbers={
        "ioctl": 54,
        "socketcall": 102,
        "request_key": 287,
        "sendmmsg": 345,
        "socket": 359,
        "socketpair": 360,
        "connect": 362,
        "setsockopt": 366,
        "sendto": 369,
        "sendmsg": 370,
        **_EVERYWHERE,
    },
)

_ARM = CallTable(
    audit=0x40000028,
    numbers={
        "ioctl": 54,
        "socket": 281,
        "connect": 283,
        "socketpair": 288,
        "sendto": 290,
        "setsockopt": 294,
        "sendmsg": 296,
        "request_key": 310,
        "sendmmsg": 374,
        **_EVERYWHERE,
    },
)

X86_64 = Architecture(
    audit=0xC000003E,
    numbers={
        "ioctl": 16,
        "socket": 41,
        "connect": 42,
        "sendto": 44,
        "recvfrom": 45,
        "sendmsg": 46,
        "recvmsg": 47,
        "getpeername": 52,
        "socketpair": 53,
        "setsockopt": 54,
        "getsockopt": 55,
        "prctl": 157,
        "request_key": 249,
        "sendmmsg": 307,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "seccomp": 317,
        **_EVERYWHERE,
    },
    compatible=(_I386,),
    x32=0x40000000,
)

AARCH64 = Architecture(
    audit=0xC00000B7,
    numbers={
        "ioctl": 29,
        "prctl": 167,
        "socket": 198,
        "socketpair": 199,
        "connect": 203,
        "getpeername": 205,
        "sendto": 206,
        "recvfrom": 207,
        "setsockopt": 208,
        "getsockopt": 209,
        "sendmsg": 211,
        "recvmsg": 212,
        "request_key": 218,
        "sendmmsg": 269,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "seccomp": 277,
        **_EVERYWHERE,
    },
    compatible=(_ARM,),
    x32=0,
)

# By what uname(2) calls the machine.
_BY_MACHINE = {"x86_64": X86_64, "aarch64": AARCH64}


def here() -> Architecture:
    """Return the architecture of this process. Raises SealUnavailableError where the seal does not know it."""
    if sys.platform != "linux":
        raise SealUnavailableError(f"seccomp: this system is {sys.platform}. The seal is a feature of Linux.")
    machine = os.uname().machine
    # A 32-bit interpreter may run on a 64-bit machine.
    if machine not in _BY_MACHINE or sys.maxsize < 2**32:
        bits = 64 if sys.maxsize > 2**32 else 32
        raise SealUnavailableError(
            f"seccomp: this Python is a {bits}-bit program on {machine}. "
            "The seal knows the system calls of 64-bit programs on x86_64 and aarch64. Run such a Python."
        )
    return _BY_MACHINE[machine]
