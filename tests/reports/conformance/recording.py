"""Runs one of CPython's test modules in this process, and writes down what became of each test as it happens.

    python recording.py OUTPUT MODULE SECONDS RESOURCES [TEST]...

A line of JSON each time a test begins and ends, so that who reads it knows which one hung or ended the process. TESTs
are ids, or what ids begin with; with a minus in front they are left out. RESOURCES are those of `-m test -u`, with
commas. Nothing of ours is imported: the process is what the interpreter's own `-m test` would have, run natively or by
`python -m socksify`.
"""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
import traceback
import unittest
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

# python put this directory there for us; its modules are nothing that a test is to find.
del sys.path[0]

from test import support  # noqa: E402


class Recorder(unittest.TestResult):
    """Writes what unittest tells a result; `seconds` is how long a test may take."""

    def __init__(self, output: TextIO, seconds: float) -> None:
        super().__init__()
        self._output, self._seconds = output, seconds
        self._outcome = ("ok", "")

    def startTest(self, test: unittest.TestCase) -> None:
        self.write(test.id(), "began", "")
        self._outcome = ("ok", "")
        support.environment_altered = False
        # Every thread's traceback on stderr, and the end of the process.
        faulthandler.dump_traceback_later(self._seconds, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._outcome[0] == "ok" and support.environment_altered:
            self._outcome = ("altered", "")
        self.write(test.id(), *self._outcome)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._add(test, "failed", _told(err))

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._add(test, "failed", _told(err))

    def addSubTest(self, test: unittest.TestCase, _: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._add(test, "failed", _told(err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        if self._outcome[0] == "ok":
            self._add(test, "skipped", reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._add(test, "failed", "unexpected success")

    def write(self, name: str, verdict: str, told: str) -> None:
        print(json.dumps([name, verdict, told]), file=self._output, flush=True)

    def _add(self, test: unittest.TestCase, verdict: str, told: str) -> None:
        self._outcome = (verdict, told)
        if not isinstance(test, unittest.TestCase):
            # setUpClass() and setUpModule() neither begin nor end.
            self.write(test.id(), verdict, told)


def _told(err: Any) -> str:
    return "".join(traceback.format_exception(*err))


def chosen(suite: unittest.TestSuite, names: Sequence[str]) -> unittest.TestSuite:
    """The tests that are asked for, in the order in which they were loaded."""
    wanted = [name for name in names if not name.startswith("-")]
    unwanted = [name[1:] for name in names if name.startswith("-")]
    return unittest.TestSuite(
        test for test in _tests(suite) if not _is_among(test, unwanted) and (not wanted or _is_among(test, wanted))
    )


def _is_among(test: unittest.TestCase, names: Sequence[str]) -> bool:
    return any(f"{test.id()}.".startswith(f"{name}.") for name in names)


def _tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def main(path: str, module: str, seconds: str, resources: str, *names: str) -> None:
    support.use_resources = resources.split(",") if resources else ()
    support.verbose = 0
    # A shell has its background jobs ignore it, and tests interrupt themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(path, "a") as output:
        recorder = Recorder(output, float(seconds))
        try:
            suite = unittest.defaultTestLoader.loadTestsFromName(module)
        except unittest.SkipTest as skip:
            recorder.write(module, "skipped", str(skip))
        else:
            chosen(suite, names).run(recorder)
        recorder.write(module, "ended", "")


if __name__ == "__main__":
    main(*sys.argv[1:])
