"""Runs of rftp in front of an FTP server, through a proxy. Loopback is direct by default; here it is proxied."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import socksify
from socksify.clients.rftp import cli
from tests.support.ftpd import PASSWORD, USER, Ftpd
from tests.support.routing import gone, open_fds
from tests.support.servers import Server

PROXIED = ("--route", "127.0.0.0/8=proxy", "--route", "::1=proxy")


@dataclass(frozen=True)
class Result:
    """The exit status and the output of a run."""

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
        """Run the commands with -c, after a login."""
        return self.run(*options, "-c", commands, f"{user}@{self.ftpd.host}", str(self.ftpd.port))

    def script(self, text: str, *words: str) -> Result:
        """Run the commands from stdin."""
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


def knows(home: Path, host: str, user: str = USER, password: str = PASSWORD) -> None:
    """Write a login into ~/.netrc."""
    path = home / ".netrc"
    path.write_text(f'machine {host} login {user} password "{password}"\n')
    path.chmod(0o600)
