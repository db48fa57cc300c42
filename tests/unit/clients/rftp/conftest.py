"""rftp in front of a real vsftpd, through danted; loopback is direct by default, here it is what is proxied."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import socksify
from socksify.clients.rftp import cli
from tests.support.ftpd import PASSWORD, USER, Ftpd, vsftpd
from tests.support.processes import require
from tests.support.routing import gone, open_fds
from tests.support.servers import Server

PROXIED = ("--route", "127.0.0.0/8=proxy", "--route", "::1=proxy")


@pytest.fixture(scope="session")
def ftpd_server() -> Iterator[Ftpd]:
    with vsftpd() as server:
        yield server


@pytest.fixture
def ftpd(ftpd_server: Ftpd) -> Ftpd:
    """vsftpd, with nothing in the user's home."""
    ftpd_server.clear()
    return ftpd_server


@dataclass(frozen=True)
class Result:
    """How a run of rftp ended."""

    status: int
    out: str
    err: str


@dataclass
class Rftp:
    """Runs rftp in this process, against one server, in a directory of its own that is also its home."""

    proxy: Server
    ftpd: Ftpd
    directory: Path
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, commands: str, *options: str, user: str = USER) -> Result:
        """The commands by -c, after logging in."""
        return self.run(*options, "-c", commands, f"{user}@{self.ftpd.host}", str(self.ftpd.port))

    def script(self, text: str, *words: str) -> Result:
        """The commands on stdin."""
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return self.run(*words)

    def run(self, *words: str) -> Result:
        fds = open_fds()
        self.capture.readouterr()
        try:
            status = cli.main([*self.options, *words])
        finally:
            socksify.uninstall()
        gone(lambda: open_fds() - fds)
        out, err = self.capture.readouterr()
        return Result(status, out, err)

    @property
    def options(self) -> list[str]:
        return ["--proxy", self.proxy.url(), *PROXIED, "--log", str(self.log)]

    @property
    def log(self) -> Path:
        return self.directory / "connections"

    @property
    def argv(self) -> list[str]:
        """The command line for a process of its own."""
        return [sys.executable, "-m", "socksify.clients.rftp", *self.options]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.directory), "PYTHONPATH": str(Path(socksify.__file__).parents[1])}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working and home directory, and an environment without proxies."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SOCKS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def knows(home: Path, host: str, user: str = USER, password: str = PASSWORD) -> None:
    """Has ~/.netrc hold a login."""
    path = home / ".netrc"
    path.write_text(f'machine {host} login {user} password "{password}"\n')
    path.chmod(0o600)


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
