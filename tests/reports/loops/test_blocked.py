"""No file is opened or looked at on an event loop's thread; blockbuster, which aiohttp and anyio test with, sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import Server
from tests.support.targets import Target

PROGRAM = Path(__file__).with_name("blocked.py")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("log", [False, True])
def test_look_ups_and_connections_do_not_block_the_loop(
    loop: str, log: bool, danted: Server, echo_server: Target, tmp_path: Path
) -> None:
    options = ["--log", str(tmp_path / "log")] if log else []
    child = subprocess.run(
        [sys.executable, "-m", "socksify", "--proxy", danted.url(), "--route", "*=proxy", *options,
         str(PROGRAM), loop, echo_server.host, str(echo_server.port)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert child.stdout == "never blocked\n", child.stderr
