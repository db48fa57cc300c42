"""The tables of system calls: they agree with the kernel's headers, and this machine's is chosen."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from socksify.seal.errors import SealUnavailableError
from socksify.seal.kernel import system_calls
from socksify.seal.kernel.system_calls import AARCH64, X86_64, CallTable
from tests.support.processes import unavailable

GENERIC = "asm-generic/unistd.h"
DEFINITION = re.compile(r"^#define __NR(?:3264)?_(\w+) (\d+)$", re.MULTILINE)
HEADERS = [(X86_64, "asm/unistd_64.h"), (X86_64.compatible[0], "asm/unistd_32.h"), (AARCH64, GENERIC)]


def header(name: str) -> str:
    """The text of a header of the kernel, of Debian's package linux-libc-dev."""
    for directory in (Path("/usr/include"), Path("/usr/include/x86_64-linux-gnu")):
        if (directory / name).exists():
            return (directory / name).read_text()
    return unavailable(f"{name}, a header of the kernel, is not installed")


@pytest.mark.parametrize(("table", "name"), HEADERS, ids=["x86-64", "i386", "aarch64"])
def test_the_numbers_are_those_of_the_headers(table: CallTable, name: str) -> None:
    numbers = {call: int(number) for call, number in DEFINITION.findall(header(name))}
    assert table.numbers.items() <= numbers.items()


@pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=["x86-64", "aarch64"])
def test_no_number_has_two_names(architecture: system_calls.Architecture) -> None:
    for table in (architecture, *architecture.compatible):
        assert len(set(table.numbers.values())) == len(table.numbers)


def test_both_architectures_know_the_same_calls() -> None:
    assert X86_64.numbers.keys() == AARCH64.numbers.keys()


def system_of(monkeypatch: pytest.MonkeyPatch, machine: str, maxsize: int = 2**63 - 1, platform: str = "linux") -> None:
    uname = os.uname_result(("Linux", "host", "6.1", "#1", machine))
    monkeypatch.setattr(os, "uname", lambda: uname)
    monkeypatch.setattr(sys, "maxsize", maxsize)
    monkeypatch.setattr(sys, "platform", platform)


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", X86_64), ("aarch64", AARCH64)])
def test_the_machine_decides(
    monkeypatch: pytest.MonkeyPatch, machine: str, architecture: system_calls.Architecture
) -> None:
    system_of(monkeypatch, machine)
    assert system_calls.here() is architecture


@pytest.mark.parametrize(
    ("machine", "maxsize", "message"),
    [
        ("riscv64", 2**63 - 1, "this Python is a 64-bit program on riscv64"),
        ("x86_64", 2**31 - 1, "this Python is a 32-bit program on x86_64"),
        ("i686", 2**31 - 1, "this Python is a 32-bit program on i686"),
    ],
)
def test_another_machine_is_named(monkeypatch: pytest.MonkeyPatch, machine: str, maxsize: int, message: str) -> None:
    system_of(monkeypatch, machine, maxsize)
    with pytest.raises(SealUnavailableError, match=message):
        system_calls.here()


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    system_of(monkeypatch, "arm64", platform="darwin")
    with pytest.raises(SealUnavailableError, match="this system is darwin"):
        system_calls.here()
