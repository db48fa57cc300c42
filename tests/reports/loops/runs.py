"""Runs the programs of this directory natively, under the launcher, and with a late install()."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from socksify import _originals
from tests.reports.loops.servers import Servers
from tests.support.bad_proxy import BadProxy, Session
from tests.support.paths import ROOT
from tests.support.steps import CLOSE, HANG, READ_GREETING, READ_REQUEST, RELAY, Send, Step, socks5_reply

HERE = Path(__file__).parent
# Only the proxy can resolve this name.
NAME = "target.example"
# Seconds that the proxy waits before each of its answers.
PAUSE = 0.15
SECONDS = 90.0


@dataclass(frozen=True)
class Report:
    """The results of the behaviours by kind of run, the targets that the proxy saw, the loop's ticks in each run."""

    results: dict[str, Any]
    targets: list[tuple[str, int] | None]
    ticks: list[int]


def run(program: str, *arguments: str, servers: Servers, late: bool) -> Report:
    """Run a program under the launcher; if `late`, natively first and then with install() in the running loop."""
    with slow_proxy(servers) as proxy:
        given = {
            "echo": servers.echo,
            "tls": servers.tls,
            "closed": servers.closed,
            "deaf": servers.deaf,
            "authority": str(servers.authority),
            "name": NAME,
            "proxy": proxy.url() if late else None,
        }
        launcher = (
            [] if late else ["-m", "socksify", "--strict", "--seal=off", "--proxy", proxy.url(), "--route", "*=proxy"]
        )
        command = [sys.executable, *launcher, str(HERE / program), *arguments, json.dumps(given)]
        child = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=_environment())
        assert child.returncode == 0, child.stderr
        ticks = [int(number) for number in re.findall(r"^(\d+) ticks$", child.stderr, re.MULTILINE)]
        said = re.sub(r"^\d+ ticks\n", "", child.stderr, flags=re.MULTILINE)
        assert said == "", said
        return Report(json.loads(child.stdout), [session.target for session in proxy.sessions], ticks)


def _environment() -> dict[str, str]:
    """Return the environment of a program, which imports `tests.reports.loops`.

    From Python 3.14 on, eventlet warns about a lock of the standard library, natively too, except under pytest.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_CURRENT_TEST": "loops"}


@contextlib.contextmanager
def slow_proxy(servers: Servers) -> Iterator[BadProxy]:
    def dial(session: Session) -> None:
        assert session.target is not None
        host, port = session.target
        if port == servers.deaf[1]:
            HANG(session)
        session.outbound = _originals.PythonSocket()
        try:
            session.outbound.connect(("127.0.0.1" if host == NAME else host, port))
        except ConnectionRefusedError:
            session.stream.sendall(socks5_reply(5))
            CLOSE(session)
            raise

    def think(session: Session) -> None:
        session.ended.wait(PAUSE)

    script: list[Step] = [READ_GREETING, think, Send(b"\x05\0"), READ_REQUEST]
    script += [dial, think, Send(socks5_reply(0)), RELAY]
    with BadProxy(script) as proxy:
        yield proxy
