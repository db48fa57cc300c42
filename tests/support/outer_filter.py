"""Runs a program under a seccomp filter of another author, as containers and sandboxes do.

    python -m tests.support.outer_filter REFUSAL... -- program arguments...

A REFUSAL is CALL=ERROR, such as pidfd_getfd=EPERM; ioctl@REQUEST=ERROR; or `listener`, for a filter that has a
supervisor already and refuses nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from socksify.seal.kernel import restrictions, system_calls
from socksify.seal.kernel.bpf import Assembler
from socksify.seal.kernel.filter import ALLOW, ERROR
from socksify.seal.kernel.libc import system_call

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2
# struct seccomp_data: the number of the call, and the lower half of its second argument.
_NUMBER, _SECOND = 0, 24


def install(refusals: list[str]) -> None:
    """Refuse these calls to this process and its children."""
    numbers = system_calls.here().numbers
    code = Assembler()
    code.load(_NUMBER)
    for refusal in refusals:
        code.if_equal(numbers[refusal.partition("=")[0].partition("@")[0]], refusal)
    code.end(ALLOW)
    for refusal in refusals:
        call, _, error = refusal.partition("=")
        request = call.partition("@")[2]
        code.label(refusal)
        if request:
            code.load(_SECOND)
            code.if_equal(int(request, 16), ERROR | getattr(errno, error))
        code.end(ALLOW if request else ERROR | getattr(errno, error))
    _install_without_listener(code.assemble())


def _install_without_listener(program: bytes) -> None:
    """Install by prctl(2), since seccomp(2) may be what is refused."""
    filter_ = restrictions._Program(len(program) // 8, program)
    prctl = system_calls.here().numbers["prctl"]
    system_call("prctl", prctl, _PR_SET_NO_NEW_PRIVS, 1)
    system_call("prctl", prctl, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filter_))


def _install_with_listener() -> None:
    code = Assembler()
    code.end(ALLOW)
    os.set_inheritable(restrictions.install_filter(code.assemble()), True)


def main() -> None:
    end = sys.argv.index("--")
    refusals, command = sys.argv[1:end], sys.argv[end + 1 :]
    if refusals == ["listener"]:
        _install_with_listener()
    else:
        install(refusals)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
