"""A file is one subject, of up to 400 lines; functions are short."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

from tests.support.paths import ROOT

PACKAGE = ROOT / "socksify"
FILES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "sitecustomize_template").rglob("*.py")])
# A package's face and a program's entry hold as little as they can, so the median is that of the other files.
SUBJECTS = [path for path in FILES if path.name not in ("__init__.py", "__main__.py")]


def lines(path: Path) -> int:
    return path.read_text().count("\n")


def functions() -> list[int]:
    """The length in lines of each function."""
    return [
        (node.end_lineno or 0) - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_file_is_long() -> None:
    assert not {str(path.relative_to(ROOT)): lines(path) for path in FILES if lines(path) > 400}


def test_the_usual_file_holds_a_subject() -> None:
    assert 150 <= statistics.median(map(lines, SUBJECTS)) <= 250


def test_functions_are_short() -> None:
    assert statistics.quantiles(functions(), n=10)[8] <= 15
