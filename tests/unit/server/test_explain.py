"""The output of `sockd --check` and `sockd --test`."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.config.rules import never
from socksify.server import explain
from socksify.server.config import sockd_conf, without_file
from tests.unit.server.policies import loaded

FILE = """
listen = ["0.0.0.0:1080", "[::]:1080"]
users = "users"
routes = ["*.onion=tor", "203.0.113.1=block"]
sources = "192.0.2.0/24=10.0.0.1"
proxy = "socks5://alice:S3cr3t@gw"
[proxies]
tor = "socks5h://127.0.0.1:9050"
[limits]
per_user = 10
idle_seconds = 0
[[rules]]
action = "permit"
to = ".onion"
[[rules]]
action = "deny"
to = ["10.0.0.0/8"]
commands = ["connect"]
[[rules]]
action = "permit"
from = "198.51.100.0/24"
users = ["alice"]
reserved = true
[[rules]]
action = "permit"
anonymous = true
to = ":80"
"""


def test_the_rules_as_they_were_understood(tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    assert explain.check(loaded(tmp_path, FILE)).splitlines() == [
        f"file: {path}",
        "listen: 0.0.0.0:1080, [::]:1080",
        "authentication: required by some rules",
        "limit: per_user = 10",
        "limit: idle_seconds = none",
        f"route: *.onion=tor  ({path}: routes)",
        f"route: 203.0.113.1=block  ({path}: routes)",
        "route: *=socks5://alice:***@gw:1080  (proxy)",
        f"source: 192.0.2.0/24=10.0.0.1  ({path}: sources)",
        "rules, the first match wins:",
        f"  permit to .onion (authenticated)  ({path}, line 12)",
        f"  deny commands connect to 10.0.0.0/8  ({path}, line 15)",
        f"  permit from 198.51.100.0/24 users alice reserved (authenticated)  ({path}, line 19)",
        f"  permit anonymous to :80  ({path}, line 24)",
        "  permit from this machine (authenticated)  (built in)",
        "  deny  (built in)",
    ]


def test_the_rules_without_a_file() -> None:
    assert explain.check(without_file(None, False, never)).splitlines() == [
        "file: none",
        "listen: default",
        "authentication: nobody is asked",
        "rules, the first match wins:",
        "  permit from this machine  (built in)",
        "  deny  (built in)",
    ]


@pytest.mark.parametrize(
    ("client", "target", "connect", "bind"),
    [
        ("alice@198.51.100.7", "192.0.2.1:22", "permitted, through socks5://alice:***@gw:1080: permit from", ""),
        ("alice@198.51.100.7", "a.onion:22", "permitted, through socks5h://127.0.0.1:9050: permit to .onion", ""),
        ("alice@198.51.100.7", "203.0.113.1:22", "denied: a route blocks it", "denied: a route blocks it"),
        ("alice@198.51.100.7", "10.0.0.1:22", "denied: deny commands connect to 10.0.0.0/8 (", "permitted"),
        ("alice@198.51.100.7", "www.example:22", "depends on the addresses of the name", "permitted"),
        ("alice@198.51.100.7", "[::1]:22", "denied: loopback is open to local clients alone", ""),
        ("bob@198.51.100.7", "192.0.2.1:22", "denied: no rule permits it", ""),
        ("198.51.100.7", "192.0.2.1:22", "denied: no rule permits it", ""),
        ("198.51.100.7", "192.0.2.1:80", "permitted, through socks5://alice:***@gw:1080: permit anonymous", ""),
        ("bob@::1", "192.0.2.1:22", "permitted, through", ""),
    ],
)
def test_which_rule_decides(tmp_path: Path, client: str, target: str, connect: str, bind: str) -> None:
    lines = explain.test(loaded(tmp_path, FILE), client, target).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["connect", "bind", "associate"]
    assert lines[0].startswith(f"connect: {connect}")
    assert lines[1].startswith(f"bind: {bind}")
    assert "S3cr3t" not in "".join(lines)


def test_a_name_that_is_permitted_has_addresses_that_may_not_be() -> None:
    told = explain.test(without_file(None, True, never), "198.51.100.7", "www.example:80")
    assert told.startswith("connect: permitted, unless its addresses are denied: permit (built in)\n")


def test_who_may_not_even_connect() -> None:
    told = explain.test(without_file(None, False, never), "198.51.100.7", "192.0.2.1:80")
    assert told == "may not connect: no rule permits anything to this client\n"


def test_the_line_of_a_classic_file(tmp_path: Path) -> None:
    path = tmp_path / "sockd.conf"
    path.write_text("permit *=ylee 198.51.100.0 255.255.255.0\n")
    (tmp_path / "sockd.route").write_text("10.0.0.1 0.0.0.0 0.0.0.0\n")
    configuration = sockd_conf.load(str(path), str(tmp_path / "sockd.route"), never, False)
    told = explain.test(configuration, "ylee@198.51.100.7", "192.0.2.1:80").splitlines()[0]
    assert told == f"connect: permitted, from 10.0.0.1: permit *=ylee 198.51.100.0 255.255.255.0 ({path}, line 1)"
    assert f"source: 0.0.0.0 0.0.0.0=10.0.0.1  ({tmp_path}/sockd.route, line 1)" in explain.check(configuration)


@pytest.mark.parametrize(
    ("client", "target"),
    [
        ("gw.example", "192.0.2.1:80"),
        ("", "192.0.2.1:80"),
        ("alice@", "192.0.2.1:80"),
        ("@127.0.0.1", "192.0.2.1:80"),
        ("127.0.0.1", "192.0.2.1"),
        ("127.0.0.1", ":80"),
        ("127.0.0.1", "::1:80"),
        ("127.0.0.1", "[192.0.2.1]:80"),
        ("127.0.0.1", "192.0.2.1:http"),
        ("127.0.0.1", "192.0.2.1:65536"),
    ],
)
def test_a_question_that_makes_no_sense(client: str, target: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        explain.test(without_file(None, False, never), client, target)
