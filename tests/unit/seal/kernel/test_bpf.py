"""The assembler of classic BPF: what a program returns, and the jumps that it cannot make."""

from __future__ import annotations

import struct

import pytest

from socksify.seal.kernel.bpf import Assembler
from tests.support.classic_bpf import run

INSTRUCTION_SIZE = 8


def word(value: int) -> bytes:
    return struct.pack("=I", value)


def test_a_program_returns_a_value() -> None:
    code = Assembler()
    code.end(7)
    assert run(code.assemble(), b"") == 7


@pytest.mark.parametrize(("value", "result"), [(4, 1), (9, 0)])
def test_a_word_is_loaded_and_compared(value: int, result: int) -> None:
    code = Assembler()
    code.load(4)
    code.if_equal(value, 1)
    code.end(0)
    assert run(code.assemble(), word(9) + word(4)) == result


@pytest.mark.parametrize(("data", "result"), [(0b0100, 1), (0b0110, 1), (0b1011, 0), (0, 0)])
def test_any_bit_of_a_mask_suffices(data: int, result: int) -> None:
    code = Assembler()
    code.load(0)
    code.if_any_bit(0b0100, 1)
    code.end(0)
    assert run(code.assemble(), word(data)) == result


def test_bits_are_cleared() -> None:
    code = Assembler()
    code.load(0)
    code.keep(0xF)
    code.if_equal(2, 1)
    code.end(0)
    assert run(code.assemble(), word(0x80802)) == 1


@pytest.mark.parametrize(("data", "result"), [(1, 10), (2, 20), (3, 30)])
def test_labels_are_reached_from_before(data: int, result: int) -> None:
    code = Assembler()
    code.load(0)
    code.if_equal(1, "one")
    code.if_equal(2, "two")
    code.end(30)
    code.label("one")
    code.end(10)
    code.label("two")
    code.end(20)
    assert run(code.assemble(), word(data)) == result


def test_equal_results_share_an_instruction() -> None:
    code = Assembler()
    code.load(0)
    for value in range(10):
        code.if_equal(value, 1)
    code.end(0)
    assert len(code.assemble()) == (1 + 10 + 1 + 1) * INSTRUCTION_SIZE


def test_a_jump_backwards_is_refused() -> None:
    code = Assembler()
    code.label("before")
    code.load(0)
    code.if_equal(0, "before")
    code.end(0)
    with pytest.raises(ValueError, match="a jump from instruction 1 to 0"):
        code.assemble()


@pytest.mark.parametrize("between", [255, 256])
def test_a_jump_goes_over_255_instructions(between: int) -> None:
    code = Assembler()
    code.load(0)
    code.if_equal(0, "far")
    for _ in range(between):
        code.load(0)
    code.label("far")
    code.end(5)
    if between > 255:
        with pytest.raises(ValueError, match="a jump from instruction 1 to 258"):
            code.assemble()
    else:
        assert run(code.assemble(), word(0)) == 5
