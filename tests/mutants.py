"""Judges a run of mutmut: a mutant that survives needs a reason in tests/mutants.toml, or a test that kills it.

`make mutants` runs mutmut, and then this program on the results, which are in the folder mutants/. There mutmut writes
each module with the original of a function and all mutants of it beside one another, and the exit codes of the tests
into a file with the suffix .meta.

mutmut's numbers of the mutants change with each edit of a function. Here a mutant is known by its function and by the
lines that differ.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.paths import ROOT

RESULTS = ROOT / "mutants"
REASONS = ROOT / "tests" / "mutants.toml"
# pytest failed, or mutmut ended it after too much time or found a wrong type. Any other exit code is a survivor.
KILLED = {1, 3, 24, 36, 37, 152, 255, -24}
# Which argument of these calls is the text of an error.
TEXTS = {
    "garbled": 0, "ValueError": 0, "AuthenticationRefused": 0, "Closed": 0, "Refused": 0, "Unsupported": 0,
    "_error": 2,
}  # fmt: skip


class Mutant(NamedTuple):
    """A change of one function. `kind` is the name of a kind that has one reason for all its mutants, or empty."""

    function: str
    old: str
    new: str
    kind: str


class Reason(NamedTuple):
    """An entry of the list: a kind of mutants, or the changes of one line of a function."""

    kind: str
    function: str
    old: str
    new: frozenset[str]

    def applies(self, mutant: Mutant) -> bool:
        if self.kind:
            return mutant.kind == self.kind
        return (mutant.function, mutant.old) == (self.function, self.old) and mutant.new in self.new


class Run(NamedTuple):
    """The results of a run. `waiting` mutants have not been tried."""

    killed: int
    waiting: int
    survivors: list[Mutant]


def mutant_of(function: str, old: str, new: str) -> Mutant:
    """Return the mutant for the sources of a function before and after the change."""
    lines = [*difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")][2:]
    removed, added = ("\n".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return Mutant(function, removed, added, _kind(ast.parse(old), ast.parse(new)))


def _kind(old: ast.AST, new: ast.AST) -> str:
    for parent, before, after in _differences(old, new, old):
        if _is_text(parent, before, after):
            return "text"
        if _is_codec(parent, before, after):
            return "codec"
        if _is_byte_order(before, after):
            return "byte order"
    return ""


def _differences(old: ast.AST, new: ast.AST, parent: ast.AST) -> Iterator[tuple[ast.AST, ast.AST, ast.AST]]:
    """Return the smallest nodes that differ, each with its parent in the old tree."""
    inner, other = list(ast.iter_child_nodes(old)), list(ast.iter_child_nodes(new))
    if type(old) is not type(new) or _plain(old) != _plain(new) or len(inner) != len(other):
        yield parent, old, new
    else:
        for before, after in zip(inner, other, strict=True):
            yield from _differences(before, after, old)


def _plain(node: ast.AST) -> list[Any]:
    """Return the fields of a node that are no nodes."""
    return [value for _, value in ast.iter_fields(node) if not isinstance(value, ast.AST | list)]


def _string(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _called(node: ast.AST) -> str:
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_text(parent: ast.AST, old: ast.AST, new: ast.AST) -> bool:
    """Return True if one text of an error has become another one. None instead of a text is more than that."""
    position = TEXTS.get(_called(parent))
    if position is None or not isinstance(parent, ast.Call) or _string(old) is None or _string(new) is None:
        return False
    return old in parent.args[position : position + 1]


def _is_codec(parent: ast.AST, old: ast.AST, new: ast.AST) -> bool:
    before, after = _string(old), _string(new)
    if _called(parent) not in ("encode", "decode") or before is None or after is None:
        return False
    return before.lower() == after.lower()


def _is_byte_order(old: ast.AST, new: ast.AST) -> bool:
    if not isinstance(old, ast.Call) or not isinstance(new, ast.Call):
        return False
    if _called(old) != _called(new) or _called(old) not in ("to_bytes", "from_bytes"):
        return False
    return [*map(ast.dump, old.args)] == [*map(ast.dump, new.args), ast.dump(ast.Constant("big"))]


def read_run(results: Path) -> Run:
    """Return the results that mutmut has left in a folder."""
    killed = waiting = 0
    survivors: list[Mutant] = []
    for meta in sorted(results.rglob("*.meta")):
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        killed += sum(code in KILLED for code in codes.values())
        waiting += sum(code is None for code in codes.values())
        alive = [key for key, code in codes.items() if code is not None and code not in KILLED]
        survivors += _read_mutants(meta.with_suffix(""), alive)
    return Run(killed, waiting, survivors)


def _read_mutants(path: Path, keys: list[str]) -> Iterator[Mutant]:
    """Return the mutants of a module. A key is `package.module.x_function__mutmut_1`, or `xǁClassǁmethod` in it."""
    source = path.read_text() if keys else ""
    functions = {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    lines = source.splitlines()
    for key in keys:
        module, _, mutated = key.rpartition(".")
        mangled = mutated.rpartition("__mutmut_")[0]
        name = mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        old, new = (
            _source(lines, functions[each], name.rpartition(".")[2]) for each in (f"{mangled}__mutmut_orig", mutated)
        )
        yield mutant_of(f"{module}.{name}", old, new)


def _source(lines: list[str], function: ast.FunctionDef, name: str) -> str:
    """Return the source of a function, under its own name, and not indented."""
    whole = [line[function.col_offset :] for line in lines[function.lineno - 1 : function.end_lineno]]
    return "\n".join(whole).replace(function.name, name)


def read_reasons(path: Path) -> list[Reason]:
    """Return the entries of the list. Each has to state its reason."""
    document = tomllib.loads(path.read_text())
    entries = [*document["kinds"], *document["survivors"]]
    assert all(entry["reason"] for entry in entries)
    return [
        Reason(entry.get("kind", ""), entry.get("function", ""), entry.get("old", ""), frozenset(entry.get("new", ())))
        for entry in entries
    ]


def report(run: Run, reasons: list[Reason]) -> tuple[str, bool]:
    """Return the report, and whether all is well. An entry without a mutant is an error after a full run only."""
    gaps = [mutant for mutant in run.survivors if not any(reason.applies(mutant) for reason in reasons)]
    stale = [] if run.waiting else [entry for entry in reasons if not any(map(entry.applies, run.survivors))]
    total = run.killed + run.waiting + len(run.survivors)
    explained = len(run.survivors) - len(gaps)
    summary = f"{total} mutants, {run.killed} killed, {explained} survive with a reason, {len(gaps)} without one"
    if run.waiting:
        summary += f"; {run.waiting} were not tried"
    lines = [f"\nsurvives: {gap.function}\n- {gap.old}\n+ {gap.new}" for gap in gaps]
    lines += [f"\nno such survivor: {entry.kind or entry.function}\n  {entry.old}" for entry in stale]
    return "\n".join([*lines, summary]), not gaps and not stale


def main() -> int:
    text, well = report(read_run(RESULTS), read_reasons(REASONS))
    print(text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
