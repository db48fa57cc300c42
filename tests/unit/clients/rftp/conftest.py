"""Fixtures: rftp with a real vsftpd, through danted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ftpd import Ftpd, vsftpd
from tests.support.processes import require
from tests.support.servers import Server
from tests.unit.clients.rftp.runs import Rftp, knows


@pytest.fixture(scope="session")
def ftpd_server() -> Iterator[Ftpd]:
    with vsftpd() as server:
        yield server


@pytest.fixture
def ftpd(ftpd_server: Ftpd) -> Ftpd:
    """vsftpd with an empty home directory of the user."""
    ftpd_server.clear()
    return ftpd_server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working and home directory, and an environment without proxies."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SOCKS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rftp(
    danted: Server,
    ftpd: Ftpd,
    home: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Rftp:
    """rftp, with the server's login in ~/.netrc."""
    require("vsftpd")
    knows(home, ftpd.host)
    return Rftp(danted, ftpd, home, capfd, monkeypatch)
