"""An interpreter for classic BPF programs that filter system calls (<linux/filter.h>, seccomp(2))."""

from __future__ import annotations

import struct
from collections.abc import Callable

# struct sock_filter: code, jump if true, jump if false, constant.
_INSTRUCTION = struct.Struct("=HBBI")
# struct seccomp_data: number, architecture, instruction pointer, six arguments.
_DATA = struct.Struct("=iIQ6Q")
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMPS: dict[int, Callable[[int, int], bool]] = {
    0x15: lambda a, k: a == k,
    0x25: lambda a, k: a > k,
    0x35: lambda a, k: a >= k,
    0x45: lambda a, k: a & k != 0,
}
# BPF_MAXINSNS.
_LONGEST = 4096


def system_call_data(number: int, architecture: int, *arguments: int) -> bytes:
    """Return what a filter sees of a call. Arguments that are left out are 0."""
    return _DATA.pack(number, architecture, 0, *arguments, *(0,) * (6 - len(arguments)))


def run(program: bytes, data: bytes) -> int:
    """Return what the program returns. Raises ValueError for a program that the kernel would not install."""
    code: list[tuple[int, int, int, int]] = list(_INSTRUCTION.iter_unpack(program))
    if not 0 < len(code) <= _LONGEST:
        raise ValueError(f"{len(code)} instructions")
    register, at = 0, 0
    while at < len(code):
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == _RETURN:
            return constant
        if operation == _LOAD:
            register = _word(data, constant)
        elif operation == _AND:
            register &= constant
        elif operation in _JUMPS:
            at += if_true if _JUMPS[operation](register, constant) else if_false
        else:
            raise ValueError(f"instruction {operation:#x} is not known")
    raise ValueError("the program does not end with a return")


def _word(data: bytes, offset: int) -> int:
    if offset % 4 or offset + 4 > len(data):
        raise ValueError(f"no word at {offset}")
    return int(struct.unpack_from("=I", data, offset)[0])
