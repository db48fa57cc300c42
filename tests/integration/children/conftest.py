"""A proxy, and virtual environments for programs that start children, made once for each worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.children.parent_program import log_of
from tests.integration.children.recording_proxy import RecordingProxy
from tests.support.paths import ROOT


@pytest.fixture(scope="session")
def proxy() -> Iterator[RecordingProxy]:
    with RecordingProxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment where nothing is installed."""
    return environment(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def hooked(tmp_path_factory: pytest.TempPathFactory, proxy: RecordingProxy) -> Path:
    """The Python of an environment with socksify and its hook."""
    python = environment(tmp_path_factory.mktemp("hooked"))
    (package,) = python.parents[1].glob("lib/python*/site-packages")
    (package / "socksify.pth").write_text(f"{ROOT}\n")
    install = ["-m", "socksify", "site", "install", "--python", str(python), "--proxy", proxy.url()]
    install += ["--route", "127.0.0.0/8=proxy", "--log"]
    subprocess.run([sys.executable, *install, str(log_of(python))], check=True, timeout=60, stdout=subprocess.DEVNULL)
    return python


def environment(directory: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, timeout=60)
    return directory / "bin" / "python"
