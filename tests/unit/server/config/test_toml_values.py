"""Single values of the TOML file. Whole files and their errors are in test_toml_file.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.config.match import Match
from socksify.protocol.socks5 import CONNECT, UDP_ASSOCIATE
from socksify.server.config import toml_file


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("127.0.0.1:1080", (("127.0.0.1", 1080),)),
        ("[::1]:0, 0.0.0.0:1", (("::1", 0), ("0.0.0.0", 1))),
        (["[::]:65535"], (("::", 65535),)),
        ([], ()),
    ],
)
def test_where_to_listen(value: object, places: object) -> None:
    assert toml_file.listen(value, "listen") == places


@pytest.mark.parametrize(
    "value", ["", ":1080", "localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "[::1]", "::1:1"]
)
def test_where_nobody_can_listen(value: str) -> None:
    with pytest.raises(ConfigError, match="expected ADDRESS:PORT"):
        toml_file.listen([value], "listen")


@pytest.mark.parametrize("value", ["stderr", "syslog", "syslog:/dev/log"])
def test_where_to_log(value: str) -> None:
    assert toml_file.log(value, "log") == value


@pytest.mark.parametrize("value", ["", "syslog:", "syslog:dev/log", "file", 1, None, ["stderr"]])
def test_where_not_to(value: object) -> None:
    with pytest.raises(ConfigError, match='expected "stderr"'):
        toml_file.log(value, "log")


def test_a_rule_is_told_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text("\n[[rules]]\n")
    table = {"to": [".example", ":80"], "action": "permit", "commands": "connect,associate", "reserved": True}
    (rule,) = toml_file.rules([table], str(path), None)
    assert rule.text == "permit commands connect,associate to .example, :80 reserved"
    assert rule.source == f"{path}, line 2"
    assert rule.commands == {CONNECT, UDP_ASSOCIATE}
    assert rule.destinations == (Match(domain="example"), Match(ports=(80, 80)))


@pytest.mark.parametrize("value", [True, 1, "yes"])
def test_a_flag_may_be_written_in_several_ways(tmp_path: Path, value: object) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text("[[rules]]\n")
    (rule,) = toml_file.rules([{"action": "permit", "anonymous": value, "reserved": False}], str(path), None)
    assert rule.text == "permit anonymous"


def test_rules_written_in_another_way_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text('rules = [{action = "deny"}, {action = "permit"}]')
    made = toml_file.rules([{"action": "deny"}, {"action": "permit"}], str(path), None)
    assert [(rule.source, rule.permit) for rule in made] == [(f"{path}, rule 1", False), (f"{path}, rule 2", True)]
