"""A Python that will not find the hook, behind whatever starts it: it is named, or what starts it; strict refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.children.gateway import Gateway
from tests.integration.children.test_ways import LOOPBACK, Parents, name_of, verdict
from tests.integration.children.ways import WRAPPED, Way, wrapped


@pytest.fixture
def parents(tmp_path: Path, plain: Path) -> Parents:
    return Parents(tmp_path, plain, str(plain))


@pytest.mark.parametrize("words", WRAPPED)
def test_it_is_named(words: str, parents: Parents, gateway: Gateway) -> None:
    name, log = name_of(words, "wrapped"), parents.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--proxy", gateway.url(), *LOOPBACK, "--log", str(log)]
    said = parents.run(launcher, wrapped(WRAPPED[words]), name, log)
    assert verdict(gateway, name, said) == "named", said


@pytest.mark.parametrize("words", WRAPPED)
def test_strict_does_not_start_it(words: str, parents: Parents, gateway: Gateway) -> None:
    name, log = name_of(words, "strict"), parents.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--strict", "--proxy", gateway.url(), *LOOPBACK]
    said = parents.run(launcher, wrapped(WRAPPED[words]), name, log)
    assert "PermissionError" in said and "goes past socksify, which strict forbids" in said, said
    assert not gateway.asked_for(name)


COVERED = {
    "sh -c": "['sh', '-c', f'cd / && true | {PY} {CHILD} {NAME}']",
    "sh -c with a path in front": "['sh', '-c', f'PYTHONPATH=/x:$PYTHONPATH {PY} {CHILD} {NAME}']",
    "timeout": "['timeout', '30', PY, CHILD, NAME]",
    "a long shebang": "[LONG, NAME]",
}
LONG = """import os, subprocess
LONG = os.path.abspath("long")
open(LONG, "w").write(f"#!/bin/sh\\n'''exec' {PY} \\"$0\\" \\"$@\\"\\n' '''\\n" + open(CHILD).read())
os.chmod(LONG, 0o755)
"""


@pytest.mark.parametrize("words", COVERED)
def test_what_is_covered_is_not_spoken_of(words: str, parents: Parents, gateway: Gateway) -> None:
    name, log = name_of(words, "looked through"), parents.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--strict", "--proxy", gateway.url(), *LOOPBACK]
    assert parents.run(launcher, Way(f"{LONG}subprocess.run({COVERED[words]}, check=True)"), name, log) == ""
    assert gateway.asked_for(name) == 1
