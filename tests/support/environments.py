"""Virtual environments that a test puts the hook into, and the programs that they start."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

TEMPLATE = ROOT / "sitecustomize_template"
# Nothing listens there.
PROXY = "socks5h://127.0.0.1:9"
Result = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and the environment variables that its programs start with."""

    directory: Path

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def packages(self) -> Path:
        paths = {"base": str(self.directory), "platbase": str(self.directory)}
        return Path(sysconfig.get_path("purelib", "venv", paths))

    @property
    def hook(self) -> Path:
        return self.packages / "socksify_hook"

    def run(self, *words: str | Path, cwd: str | Path | None = None, **variables: str) -> Result:
        """Start its Python with these words and no other variables, in `cwd` or the environment's directory."""
        return subprocess.run(
            [self.python, *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=cwd or self.directory,
            env={"PATH": os.defpath, "HOME": str(self.directory)} | variables,
            timeout=60,
        )

    def code(self, code: str, *flags: str, **variables: str) -> str:
        """What a program prints that has to end well and write nothing to stderr."""
        result = self.run(*flags, "-c", code, **variables)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout.strip()

    def site(self, *words: str | Path) -> Result:
        """socksify site, by its own Python."""
        return self.run("-m", "socksify", "site", *words)

    def install(self, *words: str | Path) -> None:
        result = self.site("install", *words)
        assert (result.returncode, result.stderr) == (0, "")

    def files(self) -> dict[str, bytes | None]:
        """Everything in site-packages, directories as None."""
        found = self.packages.rglob("*")
        return {str(path.relative_to(self.packages)): None if path.is_dir() else path.read_bytes() for path in found}


def create(directory: Path, *, with_package: bool = True, system_site_packages: bool = False) -> Environment:
    """A virtual environment of this Python, with this checkout in it as an editable install puts it there."""
    venv.EnvBuilder(system_site_packages, symlinks=True).create(directory)
    environment = Environment(directory)
    if with_package:
        # wrapt is what we depend on.
        (environment.packages / "_socksify.pth").write_text(f"{ROOT}\n")
    return environment


# Prints the state that the hook says it is in.
STATE = "import sys, socket; print(sys.modules['socksify_hook'].state)"
# Prints how a connect ends that would go through PROXY.
CONNECT = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), 5)
except OSError as error:
    print(error)
"""
PROXIED = "proxy socks5h://127.0.0.1:9 for 192.0.2.1:80"
CLOSED = "[Errno 100] socksify: the network is closed: "
