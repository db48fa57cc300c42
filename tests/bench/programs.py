"""Starts what is measured, and what it is measured against, each as a process that ends with its block."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.processes import end, require

ENVIRONMENT = {
    **os.environ,
    # The same hashes in every run; nothing compiled is left behind that only the next run finds.
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # asyncio's recv() wants 256 KiB a time. mallopt(3), M_MMAP_THRESHOLD: whether that is three system calls (mmap,
    # mremap, munmap) or none hangs on what the process happened to free before, unless the thresholds are set.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 25),
}

Argv = list[str]


def python(module: str, *arguments: object) -> Argv:
    return [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]


def socksified(argv: Argv, proxy_port: int, target_port: int) -> Argv:
    """The same program under `python -m socksify`; only the target's port goes through the proxy."""
    interpreter, *words = argv
    ours = ["--proxy", f"socks5h://127.0.0.1:{proxy_port}", "--route", f"127.0.0.1:{target_port}=proxy"]
    return [interpreter, "-m", "socksify", *ours, *words]


def sealed(argv: Argv, proxy_port: int, target_port: int) -> Argv:
    """Any program under the seal; only the target's port goes through the proxy."""
    _, *words = socksified([sys.executable], proxy_port, target_port)
    return [sys.executable, *words, "--seal=on", *argv]


@contextlib.contextmanager
def compiled(name: str) -> Iterator[str]:
    """Compiles a program in C of this directory, for the length of the block; yields its path."""
    source = Path(__file__).with_name(f"{name}.c")
    with tempfile.TemporaryDirectory(prefix="socksify-bench-") as directory:
        path = os.path.join(directory, name)
        subprocess.run([require("gcc"), "-O2", "-Wall", "-Werror", "-pthread", "-o", path, source], check=True)
        yield path


@contextlib.contextmanager
def listening(argv: Argv) -> Iterator[int]:
    """Runs a server that prints `listening on HOST:PORT`, for the length of the block; yields the port."""
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2])
        finally:
            end(process)


@contextlib.contextmanager
def proxychained(argv: Argv, proxy_port: int) -> Iterator[Argv]:
    """The same program under proxychains4, quiet, names left alone."""
    with tempfile.NamedTemporaryFile("w", prefix="socksify-proxychains-", suffix=".conf") as config:
        config.write(f"strict_chain\n[ProxyList]\nsocks5 127.0.0.1 {proxy_port}\n")
        config.flush()
        yield ["proxychains4", "-q", "-f", config.name, *argv]


class Worker:
    """A running program that does as `tests.bench.worker` says."""

    def __init__(self, argv: Argv) -> None:
        self._argv = argv
        self._process = subprocess.Popen(
            argv, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def block(self, count: int) -> Mapping[str, float]:
        """The figures of one block; raises RuntimeError when the program has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        # Why it has ended shows when there is no answer.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{count}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{shlex.join(self._argv)} ended with status {self._process.wait()}")
        figures: Mapping[str, float] = json.loads(answer)
        return figures

    def close(self) -> None:
        # What was written to one that had ended is still in the pipe's buffer.
        with contextlib.suppress(BrokenPipeError), self._process:
            end(self._process)


@contextlib.contextmanager
def workers(programs: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Worker]]:
    """Runs all of them, waiting for their first command, for the length of the block."""
    with contextlib.ExitStack() as stack:
        started = {}
        for name, argv in programs.items():
            started[name] = Worker(list(argv))
            stack.callback(started[name].close)
        yield started
