"""A program does not see the path that led to the hook, or its parent's settings, whether it opens a socket or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environments import CLOSED, CONNECT, PROXIED, PROXY, TEMPLATE, Environment, Result
from tests.support.paths import ROOT

SEEN = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path, sorted(sys.modules)]))"
LAUNCH = ("-m", "socksify", "--proxy", PROXY)


def launch(code: str, **variables: str) -> Result:
    environ = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)} | variables
    words = [sys.executable, *LAUNCH, "-c", code]
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, cwd=ROOT)


def child(code: str, environ: str) -> str:
    return f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], env={environ}, check=True)"


@pytest.mark.parametrize("environ", ["{}", "None", "dict(os.environ)", "{'PYTHONPATH': '/a:/b'}", "{'PYTHONPATH': ''}"])
def test_a_child_sees_what_it_would_natively(environ: str) -> None:
    native = subprocess.run(
        [sys.executable, "-c", child(SEEN, environ)],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    expected, path, _ = json.loads(native.stdout)
    result = launch(child(SEEN, environ))
    assert result.stderr == ""
    seen, its_path, modules = json.loads(result.stdout)
    expected.pop("PYTHONPATH") if expected.get("PYTHONPATH") == "" else None
    assert (seen, its_path) == (expected, path)
    assert "socket" not in modules and "socksify" not in modules


def test_what_it_starts_in_turn_is_covered(tmp_path: Path) -> None:
    """Its children are covered whatever environment it makes for them from its own."""
    program = f"""
import os, subprocess, sys
for environ in ({{}}, None, dict(os.environ), {{**os.environ, "PYTHONPATH": {str(tmp_path)!r}}}):
    if os.fork() == 0:
        subprocess.run([sys.executable, "-c", {CONNECT!r}], env=environ)
        os._exit(0)
    os.wait()
os.environ["PYTHONPATH"] = {str(tmp_path)!r}
subprocess.run([sys.executable, "-c", {CONNECT!r}])
"""
    result = launch(child(program, "{}"))
    assert (result.stdout.count(PROXIED), result.stderr) == (5, "")


def test_a_users_own_directory_is_hidden_by_whatever_name(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(TEMPLATE)
    for name in (
        str(TEMPLATE),
        f"{TEMPLATE}/",
        str(tmp_path / "link"),
        os.path.relpath(TEMPLATE, environment.directory),
    ):
        seen, path, _ = json.loads(environment.code(SEEN, PYTHONPATH=f"{name}:/x", SOCKSIFY_PROXY=PROXY))
        assert seen["PYTHONPATH"] == "/x"
        assert not [entry for entry in path if os.path.exists(os.path.join(entry, "sitecustomize.py"))]
    seen, path, _ = json.loads(environment.code(SEEN, PYTHONPATH=str(TEMPLATE)))
    assert (seen["PYTHONPATH"], str(TEMPLATE) in path) == (str(TEMPLATE), True), "the hook is off"


def test_a_closed_process_closes_its_children(environment: Environment) -> None:
    """Nothing is installed that could add the settings to the environment of its children."""
    starts = "\n".join(
        f"subprocess.run([sys.executable, '-c', {CONNECT!r}], env={environ})"
        for environ in ("None", "dict(os.environ)", "{**os.environ, 'PYTHONPATH': '/x:' + os.environ['PYTHONPATH']}")
    )
    for variables in ({"SOCKSIFY_PROXI": PROXY}, {"SOCKSIFY_INHERITED": "00"}):
        for first in ("import socket", "os.environ['PYTHONPATH'] = '/y'\nimport socket"):
            program = f"import os, subprocess, sys\n{first}\n{starts}"
            result = environment.run("-c", program, PYTHONPATH=str(TEMPLATE), **variables)
            assert [line.startswith(CLOSED) for line in result.stdout.splitlines()] == [True] * 3, result.stderr
            assert result.stderr == ""


@pytest.mark.parametrize("damaged", ["import_watch.py", "installer.py", "network_block.py"])
def test_so_does_one_whose_hook_is_damaged(environment: Environment, template: Path, damaged: str) -> None:
    (template / "socksify_hook" / damaged).write_text("1 / 0")
    program = f"""
import os, socket, subprocess, sys
subprocess.run([sys.executable, "-c", {CONNECT!r}], env=dict(os.environ))
"""
    told = environment.code(program, PYTHONPATH=str(template), SOCKSIFY_INHERITED="00")
    assert told.startswith(CLOSED)
