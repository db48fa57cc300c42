"""The cost of the hook for a program without sockets, in modules and system calls. tests/bench has the times."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import environments
from tests.support.environments import PROXY, Environment
from tests.support.processes import require

MODULES = "import sys; print(*sorted(sys.modules))"


def modules(environment: Environment, **variables: str) -> set[str]:
    return set(environment.code(MODULES, **variables).split())


def system_calls(environment: Environment, **variables: str) -> int:
    """Count the system calls of an empty program. The lower of two counts holds: the first may compile files."""
    strace = ["strace", "-f", "-qq", "-c", "-o", str(environment.directory / "calls")]
    counts = []
    for _ in range(2):
        command = [*strace, str(environment.python), "-c", "pass"]
        subprocess.run(command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | variables, check=True)
        lines = (environment.directory / "calls").read_text().splitlines()
        counts.append(int(lines[-1].split()[3]))
    return min(counts)


def test_modules(hooked: Environment, tmp_path: Path) -> None:
    plain = modules(environments.create(tmp_path / "plain"))
    assert modules(hooked) - plain == {"socksify_hook"}
    assert modules(hooked, SOCKSIFY_DISABLE="1") - plain == set()
    assert modules(hooked, SOCKSIFY_DISABLE="yes") - plain == {"socksify_hook"}
    on_path = {"PYTHONPATH": str(environments.TEMPLATE)}
    assert modules(hooked, **on_path, SOCKSIFY_DISABLE="1") - plain == {"socksify_hook", "sitecustomize"}


def test_what_it_needs_is_there_in_every_start() -> None:
    """The hook imports sys, os and parts of the import system. It imports the package only after `socket`."""
    imported = set()
    for name in ("socksify_hook/__init__.py", "sitecustomize.py"):
        source = (environments.TEMPLATE / name).read_text()
        body = source.partition("TYPE_CHECKING:\n")[0] + source.partition("TYPE_CHECKING:\n")[2].partition("\n\n")[2]
        imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", body, re.MULTILINE))
    assert imported == {"os", "sys", "socksify_hook", "_frozen_importlib", "_frozen_importlib_external"}


@pytest.mark.parametrize(("variables", "most"), [({}, 50), ({"SOCKSIFY_DISABLE": "1"}, 20)], ids=["on", "off"])
def test_system_calls(hooked: Environment, tmp_path: Path, variables: dict[str, str], most: int) -> None:
    require("strace")
    plain = environments.create(tmp_path / "plain")
    assert 0 < system_calls(hooked, **variables) - system_calls(plain, **variables) <= most


def test_the_hook_is_compiled_when_it_is_installed(environment: Environment) -> None:
    """Otherwise each start by a user who may not write there would compile the hook."""
    environment.install("--proxy", PROXY)
    before = {path: path.stat().st_mtime_ns for path in environment.hook.rglob("*.pyc")}
    assert len(before) == len(list(environment.hook.glob("*.py")))
    environment.code("import socket")
    assert {path: path.stat().st_mtime_ns for path in environment.hook.rglob("*.pyc")} == before
