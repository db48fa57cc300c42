"""Programs that run in a seal."""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tests.support.paths import ROOT
from tests.support.processes import unavailable

# Nothing listens there.
SEAL = ("--proxy", "socks5h://127.0.0.1:9", "--seal=on")
SECONDS = 30.0


def require_seal() -> None:
    """Skip the test, or fail it in CI, if no program can be sealed here."""
    argv = [sys.executable, "-m", "socksify", *SEAL, "-c", ""]
    tried = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    if tried.returncode:
        unavailable(tried.stderr)


class Sealed:
    """A program that runs sealed: the launcher, and what the program has told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """Return the next line of the program's output."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        assert readable, "the program says nothing"
        return self.process.stdout.readline().rstrip("\n")

    def tell(self, text: str) -> None:
        """Write a line to the program's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def ends(self) -> int:
        """Wait for the launcher, and return its exit status."""
        return self.process.wait(SECONDS)

    @property
    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextlib.contextmanager
def sealed(*words: str, options: Sequence[str] = SEAL, **more: object) -> Iterator[Sealed]:
    """Run a program sealed, with pipes to all its standard streams, for the length of the block."""
    argv = [sys.executable, "-m", "socksify", *options, *words]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(argv, text=True, bufsize=1, cwd=ROOT, **{**pipes, **more})  # type: ignore[call-overload]
    try:
        yield Sealed(process)
    finally:
        # Programs may handle SIGTERM.
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
