"""Runs a command as some sandboxes do: unshare(2) is refused, so there is no network namespace to be had.

without_namespaces.py COMMAND [ARGUMENT]...
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from socksify.seal.kernel.bpf import Assembler
from socksify.seal.kernel.filter import ALLOW, ERROR

UNSHARE = 97 if os.uname().machine == "aarch64" else 272
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def refuse_namespaces() -> None:
    code = Assembler()
    code.load(0)
    code.if_equal(UNSHARE, ERROR | errno.EPERM)
    code.end(ALLOW)
    program = code.assemble()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    filter_ = Program(len(program) // 8, program)
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_)):
        raise OSError(ctypes.get_errno(), "prctl")


refuse_namespaces()
os.execv(sys.argv[1], sys.argv[1:])
