"""A Python without socksify and its dependencies, started by a Python that has both."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.integration.children.recording_proxy import RecordingProxy
from tests.support.paths import ROOT

# What has to be adapted, by wrapt.
PROGRAM = """
import asyncio, sys, uvloop, dns.query

async def connect():
    reader, writer = await asyncio.open_connection(sys.argv[1], 1)
    writer.write(b"GET")
    await reader.read()
    writer.close()

uvloop.run(connect())
print("wrapt" in sys.modules)
"""
GRANDCHILD = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True)"


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """Return a directory with some libraries of our environment, but not wrapt."""
    there, place = Path(sysconfig.get_path("platlib")), tmp_path / "libraries"
    place.mkdir()
    for name in ("uvloop", "dns"):
        (place / name).symlink_to(there / name)
    return place


def test_it_is_given_that_too(plain: Path, libraries: Path, proxy: RecordingProxy) -> None:
    check(plain, libraries, proxy, "lent.example", [])


def test_and_passes_it_on(plain: Path, libraries: Path, proxy: RecordingProxy) -> None:
    check(plain, libraries, proxy, "lent-twice.example", ["-c", GRANDCHILD])


def check(python: Path, libraries: Path, proxy: RecordingProxy, name: str, between: list[str]) -> None:
    command = [str(python), *between, "-c", PROGRAM, name]
    program = f"import subprocess; subprocess.run({command}, env={{'PYTHONPATH': {str(libraries)!r}}}, check=True)"
    launcher = [sys.executable, "-m", "socksify", "--proxy", proxy.url(), "-c", program]
    ended = subprocess.run(launcher, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")
    assert proxy.asked_for(name) == 1


def test_it_stands_beside_an_installed_package(
    plain: Path, libraries: Path, tmp_path: Path, proxy: RecordingProxy
) -> None:
    """There is no parent that could say where wrapt is."""
    installed = tmp_path / "installed"
    installed.mkdir()
    for name in ("socksify", "sitecustomize_template"):
        (installed / name).symlink_to(ROOT / name)
    (installed / "wrapt").symlink_to(Path(sysconfig.get_path("platlib")) / "wrapt")
    path = f"{installed / 'sitecustomize_template'}:{libraries}"
    variables = {"PYTHONPATH": path, "SOCKSIFY_PROXY": proxy.url()}
    command = [str(plain), "-c", PROGRAM, "alone.example"]
    ended = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")
    assert proxy.asked_for("alone.example") == 1
