"""Event loops in C under the seal, with a proxy that takes its time: for how long they are deaf, and how they end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.bench import load, programs
from tests.bench.table import Row, Verdict, counted
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.targets import Page, serve

DELAY = 0.2
MOST = 1.5
ROUNDS = 9
# A gap of less is not a gap: a timer of the loop has a resolution of a millisecond.
LEAST_GAP = 0.002
URLS = 10


def rows() -> Iterator[Row]:
    with (
        _go() as go,
        programs.listening(programs.python("target", "echo")) as echo,
        programs.listening(programs.python("slow_proxy", "--delay", DELAY)) as proxy,
    ):
        for name, argv in {**loops(proxy, echo), "Go": [go, str(echo)]}.items():
            for count in (10, 100):
                yield _gap(name, argv, proxy, echo, count)
        yield _curl(proxy)


@contextlib.contextmanager
def _go() -> Iterator[str]:
    """Compiles the program in Go, for the length of the block; yields its path."""
    source = Path(__file__).with_name("crowd.go")
    with tempfile.TemporaryDirectory(prefix="socksify-bench-") as directory:
        environment = {
            **os.environ,
            "GOCACHE": os.path.join(directory, "cache"),
            "CGO_ENABLED": "0",
            "GO111MODULE": "off",
        }
        path = os.path.join(directory, "crowd")
        subprocess.run([require("go"), "build", "-o", path, source], env=environment, check=True)
        yield path


def loops(proxy: int, target: int) -> Mapping[str, programs.Argv]:
    node = [require("node"), str(Path(__file__).with_name("crowd.js")), str(target)]
    # -E keeps the hook out: nothing of Python is patched.
    uvloop = [sys.executable, "-E", "-m", "tests.bench.crowd", "plain", str(proxy), str(target), "uvloop"]
    return {"node": node, "uvloop": uvloop}


def gaps(argv: programs.Argv, proxy: int, target: int, count: int, rounds: int) -> Mapping[str, list[float]]:
    """The loop's worst gap in seconds, of so many connects at once, in each round."""
    contenders = {"native": argv, "native again": argv, "ours": programs.sealed(argv, proxy, target)}
    with programs.workers(contenders) as started:
        taken: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds + 1):
            for name, worker in started.items():
                taken[name].append(max(worker.block(count)["late"], LEAST_GAP))
    # The first round is for warming up.
    return {name: figures[1:] for name, figures in taken.items()}


def _gap(name: str, argv: programs.Argv, proxy: int, echo: int, count: int) -> Row:
    taken = gaps(argv, proxy, echo, count, ROUNDS)
    native, again, ours = (median(taken[name]) for name in ("native", "native again", "ours"))
    return Row(
        f"{name}, {count} sealed connects at once, the proxy thinks {DELAY:g} s twice: loop's worst gap / native's",
        f"{ours / native:.2f}",
        f"at most {MOST}",
        f"{again / native:.2f}",
        f"native {native * 1000:.1f} ms",
        _verdict(ours / native <= MOST),
    )


def _curl(proxy: int) -> Row:
    """Beside curl's own SOCKS client."""
    with serve(Page) as page:
        argv = [require("curl"), "--silent", "--parallel", "--noproxy", "", "--output", "/dev/null"]
        urls = [f"{page.url}/#[1-{URLS}]"]
        own = [*argv, "--proxy", f"socks5h://127.0.0.1:{proxy}", *urls]
        contenders = {"own": own, "own again": own, "ours": programs.sealed([*argv, *urls], proxy, page.port)}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, command in contenders.items():
                began = perf_counter()
                subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
                times[name].append(perf_counter() - began)
    own_time, again, ours = (median(times[name]) for name in contenders)
    return Row(
        f"curl --parallel, {URLS} URLs, sealed: time / that of curl's own SOCKS client",
        f"{ours / own_time:.2f}",
        f"at most {MOST}",
        f"{again / own_time:.2f}",
        f"own {own_time:.2f} s",
        _verdict(ours / own_time <= MOST),
    )


def _verdict(met: bool) -> Verdict:
    """Others' work takes the proxy's and the supervisor's processor: it can spoil a result, not make one."""
    return Verdict.UNCLEAR if not met and load.others() > load.BEARABLE else counted(met)
