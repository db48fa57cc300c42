"""Programs that start a child, and what became of the child: covered by the proxy, or named as not covered."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

from tests.integration.children.recording_proxy import RecordingProxy
from tests.integration.children.start_methods import StartMethod

# It writes down what other processes may read of it.
CHILD = """\
import os, socket, sys

def connect(name):
    with open(SEEN, "ab") as seen:
        for file in ("environ", "cmdline"):
            seen.write(open(f"/proc/self/{file}", "rb").read())
    with socket.create_connection((name, 1), timeout=30) as stream:
        stream.sendall(b"GET")
        stream.recv(100)

if __name__ == "__main__":
    connect(sys.argv[1])
"""
LOOPBACK = ["--route", "127.0.0.0/8=proxy"]
NOT_COVERED = ("is not covered", "is no Python")


class ParentProgram:
    """Runs programs that start a child, in a directory of their own."""

    def __init__(self, directory: Path, plain: Path, other: str) -> None:
        self.directory = directory
        self._names = {"PLAIN": str(plain), "OTHER": other}
        self.log = directory / "log"

    def run(self, command: Sequence[str | Path], method: StartMethod, name: str, log: Path) -> str:
        """Run the program of a method; return what it and the log said of the child, which connects to `name`."""
        child = self.directory / "child.py"
        code = CHILD.replace("SEEN", repr(str(self.directory / "seen")))
        child.write_text(code)
        marked = self.directory / "marked"
        marked.mkdir(exist_ok=True)
        (marked / "marked.py").touch()
        statement = f"{code.partition('if __name__')[0]}connect({name!r})"
        names = self._names | {"CHILD": str(child), "NAME": name, "CODE": code, "STATEMENT": statement}
        names |= {"MARKED": str(marked), "CONNECTOR": str(shutil.copy("/bin/true", self.directory / "connector"))}
        program = self.directory / "program.py"
        given = "\n".join(f"{name} = {value!r}" for name, value in names.items())
        program.write_text(f"import sys\nPY = sys.executable\n{given}\n{method.program}\n")
        ended = subprocess.run(
            [*command, program],
            cwd=self.directory,
            env={"PATH": os.defpath, "HOME": str(self.directory), "TMPDIR": str(self.directory)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.stdout.strip() in ("", "nohup: ignoring input"), ended.stdout
        return ended.stderr + (log.read_text() if log.exists() else "")

    def seen(self) -> bytes:
        """Return the environments and command lines of the children that ran."""
        seen = self.directory / "seen"
        return seen.read_bytes() if seen.exists() else b""


def verdict(proxy: RecordingProxy, name: str, said: str) -> str:
    """Return what became of the child: `covered`, `named`, or what was said instead."""
    if proxy.asked_for(name):
        return "covered"
    return "named" if any(words in said for words in NOT_COVERED) else f"neither: {said}"


def name_of(method: str, test: str) -> str:
    """Return a target of its own for each child: on loopback, where nobody listens if the child connects directly."""
    return "127.{1}.{2}.{3}".format(*(zlib.crc32(f"{test} {method}".encode()) | 0x010000).to_bytes(4, "big"))


def log_of(python: Path) -> Path:
    """Return the file to which the hook of an environment writes its lines."""
    return python.parents[1] / "log"
