"""The judge of the mutants: which change is of which kind, and what a report says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import Mutant, Reason, Run


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ('raise ValueError("no port")', 'raise ValueError("XXno portXX")', "text"),
        ('raise ValueError("no port")', "raise ValueError(None)", ""),
        ('raise ValueError("no port")', 'raise KeyError("no port")', ""),
        ('raise garbled("a reply", got, 8)', 'raise garbled("A REPLY", got, 8)', "text"),
        ('raise garbled("a reply", got, 8)', 'raise garbled("a reply", got, 9)', ""),
        ('raise garbled("a reply", got, 8)', 'raise garbled("a reply", got, )', ""),
        ('raise Refused("no", 5, "http")', 'raise Refused("no", 5, "HTTP")', ""),
        ('raise _error(text, "flag", "expected")', 'raise _error(text, "flag", "EXPECTED")', "text"),
        ('raise _error(text, "flag", "expected")', 'raise _error(text, "FLAG", "expected")', ""),
        ('self.failure = protocol.Closed("no")', 'self.failure = protocol.Closed("XXnoXX")', "text"),
        ('return "no port"', 'return "XXno portXX"', ""),
        ('return host.encode("ascii")', 'return host.encode("ASCII")', "codec"),
        ('return host.encode("ascii")', 'return host.encode("XXasciiXX")', ""),
        ('return host.startswith("a")', 'return host.startswith("A")', ""),
        ('return port.to_bytes(2, "big")', "return port.to_bytes(2, )", "byte order"),
        ('return port.to_bytes(2, "big")', 'return port.to_bytes("big")', ""),
        ('return int.from_bytes(b, "big")', "return int.from_bytes(b)", "byte order"),
        ('return int.from_bytes(b, "little")', "return int.from_bytes(b)", ""),
        ("return a < b", "return a <= b", ""),
    ],
)
def test_the_kind_of_a_change(old: str, new: str, kind: str) -> None:
    mutant = mutants.mutant_of("m.f", f"def f():\n    {old}", f"def f():\n    {new}")
    assert mutant == Mutant("m.f", old, new, kind)


def test_only_the_lines_that_differ_are_named() -> None:
    old, new = "def f(a):\n    b = 1\n    return (\n        a\n    )", "def f(a):\n    b = 1\n    return a"
    assert mutants.mutant_of("m.f", old, new)[1:3] == ("return (\na\n)", "return a")


MODULE = """
class Address:
    @classmethod
    def of(cls): return xǁAddressǁof__mutmut_orig

    def xǁAddressǁof__mutmut_orig(self, port):
        return port < 1

    def xǁAddressǁof__mutmut_1(self, port):
        return port <= 1

def x__port__mutmut_orig(text, base=10):
    return int(text)

def x__port__mutmut_1(text, base=11):
    return int(text)
"""


def test_results_are_read_from_the_folder_of_mutmut(tmp_path: Path) -> None:
    codes = {
        "p.m.xǁAddressǁof__mutmut_1": 0,
        "p.m.xǁAddressǁof__mutmut_2": 1,
        "p.m.xǁAddressǁof__mutmut_3": 36,
        "p.m.x__port__mutmut_1": 33,
        "p.m.x__port__mutmut_2": None,
    }
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "m.py").write_text(MODULE)
    (tmp_path / "p" / "m.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    (tmp_path / "p" / "empty.py.meta").write_text(json.dumps({"exit_code_by_key": {}}))
    assert mutants.read_run(tmp_path) == Run(
        killed=2,
        waiting=1,
        survivors=[
            Mutant("p.m.Address.of", "return port < 1", "return port <= 1", ""),
            Mutant("p.m._port", "def _port(text, base=10):", "def _port(text, base=11):", ""),
        ],
    )


TEXT = Mutant("m.f", 'raise ValueError("no")', 'raise ValueError("NO")', "text")
SMALLER = Mutant("m.g", "return a < b", "return a <= b", "")
KIND = Reason("text", "", "", frozenset())
LINE = Reason("", "m.g", "return a < b", frozenset({"return a <= b", "return a > b"}))


def test_survivors_with_reasons_are_counted() -> None:
    run = Run(killed=7, waiting=0, survivors=[TEXT, SMALLER])
    assert mutants.report(run, [KIND, LINE]) == ("9 mutants, 7 killed, 2 survive with a reason, 0 without one", True)


@pytest.mark.parametrize(
    "gap",
    [
        SMALLER._replace(function="m.h"),
        SMALLER._replace(old="return b < a"),
        SMALLER._replace(new="return a == b"),
        SMALLER._replace(kind="codec"),
    ],
)
def test_a_survivor_without_a_reason_is_shown(gap: Mutant) -> None:
    reasons = [KIND] if gap.kind else [LINE]
    text, well = mutants.report(Run(killed=7, waiting=1, survivors=[gap]), reasons)
    assert not well
    assert f"survives: {gap.function}\n- {gap.old}\n+ {gap.new}" in text
    assert text.endswith("9 mutants, 7 killed, 0 survive with a reason, 1 without one; 1 were not tried")


def test_an_entry_without_a_survivor_is_an_error_after_a_full_run_only() -> None:
    text, well = mutants.report(Run(7, 0, [TEXT]), [KIND, LINE])
    assert not well
    assert text.startswith("\nno such survivor: m.g\n  return a < b")
    assert mutants.report(Run(7, 1, [TEXT]), [KIND, LINE])[1]


def test_the_list_is_well_formed() -> None:
    reasons = mutants.read_reasons(mutants.REASONS)
    assert len(set(reasons)) == len(reasons)
    for entry in reasons:
        assert bool(entry.kind) != bool(entry.function and entry.old and entry.new)
    assert {entry.kind for entry in reasons} == {"text", "codec", "byte order", ""}
