"""What a run of a test module tells, whatever the module does: in modules of our own under the name of CPython's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.conformance import modules, runs
from tests.reports.conformance.runs import NATIVELY, Outcomes, run

MODULE = """
import os, threading, time, unittest
from test import support

class T(unittest.TestCase):
    def test_altered(self): support.environment_altered = True
    def test_death(self): os._exit(3)
    def test_error(self): raise ValueError("why")
    def test_hang(self): threading.Event().wait()
    def test_ok(self): self.assertFalse(support.is_resource_enabled("network"))
    def test_skip(self): self.skipTest("because")
    def test_sub(self):
        with self.subTest(): self.fail("below")
    @unittest.expectedFailure
    def test_unexpected(self): pass

class Never(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError("not set up")
    def test_never(self): pass
"""


# What is told of each test: its verdict, and a part of the rest.
TOLD = {
    "test.test_x.T.test_altered": ("altered", ""),
    "test.test_x.T.test_death": ("hung", ""),
    "test.test_x.T.test_error": ("failed", "ValueError: why"),
    "test.test_x.T.test_hang": ("hung", "in test_hang"),
    "test.test_x.T.test_ok": ("ok", ""),
    "test.test_x.T.test_skip": ("skipped", "because"),
    "test.test_x.T.test_sub": ("failed", "below"),
    "test.test_x.T.test_unexpected": ("failed", "unexpected success"),
    "setUpClass (test.test_x.Never)": ("failed", "not set up"),
}


def told(directory: Path, source: str, *tests: str) -> Outcomes:
    """What is told of a module, `test.test_x`."""
    (directory / "test_x.py").write_text(source)
    start = f"import runpy, sys, test; test.__path__.append({str(directory)!r}); sys.argv = sys.argv[1:]"
    script = "sys.path.insert(0, ''); runpy.run_path(sys.argv[0], run_name='__main__')"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "TEST_SECONDS", 2.0)
        return run([*NATIVELY, "-c", f"{start}; {script}"], "test_x", tests)


def test_every_outcome_is_told(tmp_path: Path) -> None:
    outcomes = told(tmp_path, MODULE)
    assert {test: outcome.verdict for test, outcome in outcomes.items()} == {test: TOLD[test][0] for test in TOLD}
    assert [test for test in TOLD if TOLD[test][1] not in outcomes[test].told] == []


def test_the_tests_that_are_asked_for_are_run(tmp_path: Path) -> None:
    assert set(told(tmp_path, MODULE, "test.test_x.T.test_ok")) == {"test.test_x.T.test_ok"}
    assert set(told(tmp_path, MODULE, "test.test_x.T.test_o")) == set()


def test_a_module_that_is_not_for_this_system_is_skipped(tmp_path: Path) -> None:
    found = told(tmp_path, "import unittest\nraise unittest.SkipTest('elsewhere')")
    assert found["test.test_x"].verdict == "skipped"


def test_a_module_that_cannot_be_imported_is_bad(tmp_path: Path) -> None:
    (found,) = told(tmp_path, "import nothing_of_that_name").values()
    assert found.is_bad
    assert "nothing_of_that_name" in found.told


def test_the_modules_are_those_of_this_python() -> None:
    names = modules.names()
    assert {"test_socket", "test_ssl", "test_asyncio.test_events", "test_wsgiref"} <= set(names)
    assert len(names) == len(set(names)) > 45
    assert modules.chosen(["test_asyncio.test_events", "test_poll"]) == ["test_asyncio.test_events", "test_poll"]
    assert all(name.startswith("test_asyncio.") for name in modules.chosen(["test_asyncio"]))
    assert modules.chosen(["test_po"]) == []
