"""Runs of rtelnet through a proxy, in a terminal or in pipes. Loopback is direct by default; here it is proxied."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import socksify
from tests.support.servers import Server
from tests.support.terminals import Terminal, terminal

PROXIED = ("--route", "127.0.0.0/8=proxy", "--route", "::1=proxy")


@dataclass
class Rtelnet:
    """Runs rtelnet, in a terminal or in pipes, in a directory of its own."""

    proxy: Server
    directory: Path

    def argv(self, *words: str) -> list[str]:
        options = ["--proxy", self.proxy.url(), *PROXIED, "--log", str(self.log)]
        return [sys.executable, "-m", "socksify.clients.rtelnet", *options, *words]

    @property
    def log(self) -> Path:
        return self.directory / "connections"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.directory), "PYTHONPATH": str(Path(socksify.__file__).parents[1])}

    def terminal(self, *words: str) -> AbstractContextManager[Terminal]:
        """rtelnet in a terminal."""
        return terminal(self.argv(*words), self.environment, self.directory)

    def piped(self, text: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
        """rtelnet with a script on stdin."""
        return subprocess.run(
            self.argv(*words), input=text, capture_output=True, env=self.environment, cwd=self.directory, timeout=60
        )
