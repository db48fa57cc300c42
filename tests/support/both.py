"""Runs a program twice, under python and under socksify, and compares exit status and output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Nothing listens there, and the programs do not connect.
OPTIONS = ("--proxy", "socks5h://127.0.0.1:9")
CONSOLE_SCRIPT = str(Path(sys.executable).parent / "socksify")

Result = subprocess.CompletedProcess[bytes]


@dataclass
class Both:
    """A directory in which programs run under either command."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    # 0 runs each in a process group of its own.
    process_group: int | None = None

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def python(self, *words: str, flags: Sequence[str] = (), stdin: bytes = b"", cwd: Path | None = None) -> Result:
        return self._run([sys.executable, *flags, *words], stdin, cwd)

    def socksify(self, *words: str, flags: Sequence[str] = (), stdin: bytes = b"", cwd: Path | None = None) -> Result:
        return self._run([sys.executable, *flags, "-m", "socksify", *OPTIONS, *words], stdin, cwd)

    def console_script(self, *words: str, stdin: bytes = b"", cwd: Path | None = None) -> Result:
        return self._run([sys.executable, CONSOLE_SCRIPT, *OPTIONS, *words], stdin, cwd)

    def alike(self, *words: str, flags: Sequence[str] = (), stdin: bytes = b"", cwd: Path | None = None) -> Result:
        """Run a program both ways. Assert that status and outputs are the same except for memory addresses."""
        expected = self.python(*words, flags=flags, stdin=stdin, cwd=cwd)
        got = self.socksify(*words, flags=flags, stdin=stdin, cwd=cwd)
        assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)
        return got

    def _run(self, command: Sequence[str], stdin: bytes, cwd: Path | None) -> Result:
        result = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            cwd=cwd or self.directory,
            env=self._environment(),
            timeout=60,
            process_group=self.process_group,
            # In the background of a shell, SIGINT is ignored, and Python would then never raise KeyboardInterrupt.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        result.stdout, result.stderr = (re.sub(rb"0x[0-9a-f]+", b"0x", text) for text in (result.stdout, result.stderr))
        return result

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        # With bytecode of the first run, the second run would not compile, and would not show the compiler's warnings.
        fixed = {"HOME": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"}
        return inherited | fixed | self.environment
