"""The command line outranks the file, and no mistake opens the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.server import passwd
from socksify.server.config.options import Options
from socksify.server.config.plan import Plan, is_loopback, plan, require_guard

FILE = """
listen = ["127.0.0.1:1081"]
workers = 3
log = "syslog"
log_format = "json"
metrics = "127.0.0.1:9101"
status = "/run/here"

[limits]
connections = 30

[[rules]]
action = "permit"
from = ["10.0.0.0/8"]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "sockd.toml"
    path.write_text(FILE)
    return str(path)


def lasting(plan: Plan) -> tuple[object, ...]:
    return plan.listen, plan.workers, plan.log, plan.log_format, plan.metrics, plan.status


def test_the_defaults() -> None:
    default = plan(Options(), {"RUNTIME_DIRECTORY": "/run/it"})
    assert lasting(default) == ((("127.0.0.1", 1080),), 1, "stderr", "text", "", "/run/it")
    assert not default.guarded


def test_the_file(file: str) -> None:
    read = plan(Options(config=file), {})
    assert lasting(read) == ((("127.0.0.1", 1081),), 3, "syslog", "json", "127.0.0.1:9101", "/run/here")
    assert read.guarded


def test_the_command_line_outranks_the_file(file: str) -> None:
    options = Options(
        config=file,
        listen=(("::1", 2),),
        workers=2,
        log="stderr",
        log_format="text",
        metrics="[::1]:3",
        status_directory="/d",
    )
    assert lasting(plan(options, {})) == ((("::1", 2),), 2, "stderr", "text", "[::1]:3", "/d")


def test_the_classic_files(tmp_path: Path) -> None:
    (tmp_path / "sockd.conf").write_text("permit 10.0.0.0 255.0.0.0\n")
    assert plan(Options(config=str(tmp_path / "sockd.conf")), {}).guarded


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_what_others_can_reach_is_guarded(host: str, tmp_path: Path, file: str) -> None:
    users = str(tmp_path / "users")
    passwd.write(users, b"alice", b"open sesame")
    places = [("127.0.0.1", 1080), (host, 1080)]
    with pytest.raises(ConfigError, match=r"is not a loopback address.*--open"):
        require_guard(plan(Options(), {}), places)
    for options in (Options(open=True), Options(users=users), Options(config=file)):
        require_guard(plan(options, {}), places)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "/run/sockd", "@sockd"])
def test_what_only_this_machine_can_reach_need_not_be(host: str) -> None:
    require_guard(plan(Options(), {}), [(host, 0)])


@pytest.mark.parametrize("host", ["localhost", "", "127.0.0.1.example.com", "1270.0.1", "fe80::1%lo"])
def test_what_is_no_loopback_address(host: str) -> None:
    assert not is_loopback(host)


def test_a_file_that_cannot_be_read_is_told() -> None:
    for options in (
        Options(config="/dev/null/none.toml"),
        Options(config="/dev/null/none.conf"),
        Options(users="/dev/null/none"),
    ):
        with pytest.raises(ConfigError, match="/dev/null/none"):
            plan(options, {})
