"""The server's examples in the README work: its options exist, and its files can be read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from socksify.server import passwd
from socksify.server.config import options
from socksify.server.config import plan as config_plan
from socksify.server.config.options import Options
from tests.support import paths

README = paths.README.read_text()
SERVER = README.partition("\n## The server\n")[2].partition("\n## ")[0]
COMMANDS = [line.split("#")[0].split() for line in re.findall(r"^    sockd(.*)$", SERVER, re.MULTILINE)]


def test_there_is_something_to_try() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_are_understood(words: list[str]) -> None:
    if words[:1] != ["passwd"]:
        options.parse(words)


def test_the_table_of_options_is_whole() -> None:
    rows = "".join(line for line in SERVER.splitlines() if line.startswith("| `--"))
    described = set(re.findall(r"--[a-z-]+", rows))
    assert described == set(re.findall(r"--[a-z-]+", options._parser().format_help())) - {"--help", "--version"}


def test_the_unit_starts_what_there_is() -> None:
    unit = SERVER.partition("```ini\n")[2].partition("```")[0]
    [start] = re.findall(r"^ExecStart=/\S+/sockd (.*)$", unit, re.MULTILINE)
    read = options.parse(shlex.split(start))
    assert (read.config, read.workers) == ("/etc/sockd.toml", 4)


def test_the_rules_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text(SERVER.partition("```toml\n")[2].partition("```")[0])
    passwd.write(str(tmp_path / "sockd.users"), b"alice", b"open sesame")
    passwd.write(str(tmp_path / "sockd.users"), b"bob", b"open sesame")
    plan = config_plan.plan(Options(config=str(path)), {})
    assert plan.guarded
    assert plan.listen == (("0.0.0.0", 1080), ("::", 1080))
