"""An assembler for classic BPF, the language of seccomp filters (<linux/filter.h>).

A program is a list of instructions with one register, A. It reads the 64 bytes of struct seccomp_data, jumps forwards
only, and ends with a return.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

# struct sock_filter: code, jump if true, jump if false, constant.
_INSTRUCTION = struct.Struct("=HBBI")
# BPF_LD | BPF_W | BPF_ABS; BPF_ALU | BPF_AND | BPF_K; BPF_RET | BPF_K.
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
# BPF_JMP | BPF_K with BPF_JEQ and BPF_JSET.
_IF_EQUAL, _IF_ANY_BIT = 0x15, 0x45
# The distance of a conditional jump is one byte.
_FARTHEST = 255

# Where a jump goes: a label, or the value that the program returns then.
Destination: TypeAlias = "str | int"


class Assembler:
    """A program in the making: one method call an instruction."""

    def __init__(self) -> None:
        self._code: list[tuple[int, Destination | None, int]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Name the next instruction. Jumps to it stand before it."""
        self._labels[name] = len(self._code)

    def load(self, offset: int) -> None:
        """Put the 32-bit word at `offset` of the data into A."""
        self._code.append((_LOAD, None, offset))

    def keep(self, bits: int) -> None:
        """Clear all bits of A but these."""
        self._code.append((_AND, None, bits))

    def if_equal(self, value: int, then: Destination) -> None:
        """Go to `then` if A is `value`, else on."""
        self._code.append((_IF_EQUAL, then, value))

    def if_any_bit(self, bits: int, then: Destination) -> None:
        """Go to `then` if A has any of these bits, else on."""
        self._code.append((_IF_ANY_BIT, then, bits))

    def end(self, value: int) -> None:
        """Return `value`."""
        self._code.append((_RETURN, None, value))

    def assemble(self) -> bytes:
        """Return the program, an array of struct sock_filter. Raises ValueError for a jump too far or backwards."""
        length = len(self._code)
        values = sorted({then for _, then, _ in self._code if isinstance(then, int)})
        places: dict[Destination, int] = {value: length + at for at, value in enumerate(values)}
        places.update(self._labels)
        body = (
            _INSTRUCTION.pack(code, 0 if then is None else _distance(at, places[then]), 0, constant)
            for at, (code, then, constant) in enumerate(self._code)
        )
        return b"".join([*body, *(_INSTRUCTION.pack(_RETURN, 0, 0, value) for value in values)])


def _distance(at: int, place: int) -> int:
    distance = place - at - 1
    if not 0 <= distance <= _FARTHEST:
        raise ValueError(f"a jump from instruction {at} to {place}")
    return distance
