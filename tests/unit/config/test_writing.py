"""A command line's settings as a file: read back, they are the same settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.config import load
from socksify.config.errors import ConfigError
from socksify.config.settings_text import document

PROXY = "socks5h://127.0.0.1:9"
ARGUMENTS: dict[str, dict[str, object]] = {
    "a proxy": {"proxy": [PROXY]},
    "a chain": {"proxy": [PROXY, "http://alice:open%20sesame@inner:3128"]},
    "a chain in one text": {"proxy": [f"{PROXY},http://inner:3128"]},
    "rules": {"proxy": [PROXY], "routes": ["10.0.0.0/8=direct", "*.x=block"], "direct": ["a.example", ":22"]},
    "a rule with a URL": {"proxy": [PROXY], "routes": ["*.onion=socks5h://bob:secret@127.0.0.1:9050"]},
    "words and numbers": {
        "proxy": [PROXY],
        "dns": "local",
        "connect_timeout": "2.5",
        "bind_services": ["21,2121", "514"],
    },
    "yes and no": {"proxy": [PROXY], "strict": "yes", "allow": ["zmq", "psycopg2"]},
    "networks": {"proxy": [PROXY], "fake_networks": ["10.1.0.0/16"]},
    "what TOML escapes": {"proxy": [r"socks5h://q%22%5C:p\"\\\u00e9\U0001f511@127.0.0.1:9"]},
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_it_is_read_back_as_it_was(arguments: dict[str, object], tmp_path: Path) -> None:
    text, _ = document(arguments, str(tmp_path))
    (tmp_path / "written.toml").write_text(text)
    given = load({**arguments, "config": "/dev/null"}, {}, str(tmp_path))
    read = load({"config": "written.toml"}, {}, str(tmp_path))
    rules = [[(rule.text, rule.via) for rule in settings.rules] for settings in (given, read)]
    assert rules[0] == rules[1]
    assert read.replace(sources={}, rules=()) == given.replace(sources={}, rules=())


@pytest.mark.parametrize(
    ("arguments", "secret"),
    [
        ({"proxy": [PROXY]}, False),
        ({"proxy": ["socks4a://alice@gw"]}, False),
        ({"proxy": ["socks5h://alice:secret@gw"]}, True),
        ({"proxy": [PROXY], "routes": ["*.x=http://bob:secret@gw"]}, True),
    ],
)
def test_a_password_is_noticed(arguments: dict[str, object], secret: bool) -> None:
    assert document(arguments)[1] is secret


def test_a_password_in_the_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "named.toml").write_text('[proxies]\ntor = "socks5h://alice:secret@gw"\n')
    text, secret = document({"proxy": ["tor"], "config": "named.toml"}, str(tmp_path))
    assert secret
    assert 'proxy = ["tor"]' in text
    assert '"tor" = "socks5h://alice:secret@gw"' in text


@pytest.mark.parametrize(
    "arguments", [{}, {"udp": "direct"}, {"proxy": ["gopher://gw"]}, {"proxy": ["tor"], "config": "x"}]
)
def test_what_cannot_be_used_is_not_written(arguments: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        document(arguments, str(tmp_path))


@pytest.mark.parametrize(("log", "written"), [("stderr", "stderr"), ("", ""), ("a.log", "/work/a.log"), ("/a", "/a")])
def test_a_log_is_named_wherever_the_program_starts(log: str, written: str) -> None:
    assert f'log = "{written}"' in document({"proxy": [PROXY], "log": log}, "/work")[0]
