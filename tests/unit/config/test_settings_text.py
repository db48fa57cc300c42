from __future__ import annotations

import json
from pathlib import Path

import pytest

from socksify.config import load
from socksify.config.errors import ConfigError
from socksify.config.settings_text import document, show, show_json

ENVIRON = {"ALL_PROXY": "socks5://joe:S3cr3t@gw", "SOCKSIFY_ROUTES": "*.x=socks5h://u:S3cr3t@other,:25=block"}
ENDING = [
    "localhost=direct",
    "127.0.0.0/8=direct",
    "::1=direct",
    "0.0.0.0=direct",
    "::=direct",
    "''=direct",
    "the machine's own addresses=direct",
    "*=proxy",
]


def test_text(tmp_path: Path) -> None:
    (tmp_path / "socksify.toml").write_text("[proxies]\ntor = 'socks5h://u:S3cr3t@onion'\n", encoding="utf-8")
    text = show(load({"dns": "remote", "config": "socksify.toml"}, ENVIRON, str(tmp_path)), ENVIRON)
    assert "S3cr3t" not in text
    assert text.splitlines() == [
        "proxy             socks5://joe:***@gw:1080  (ALL_PROXY)",
        "dns               remote  (--dns)",
        "dns_server        off  (default)",
        "fake_networks     198.18.0.0/15,100::/64  (default)",
        "isolate           none  (default)",
        "udp               block  (default)",
        "bind              auto  (default)",
        "bind_services     21,514  (default)",
        "strict            no  (default)",
        "allow             none  (default)",
        "children          yes  (default)",
        "seal              auto  (default)",
        "connect_timeout   120.0  (default)",
        "c_watcher_timeout 5.0  (default)",
        "log               off  (default)",
        f"config            {tmp_path}/socksify.toml  (read)",
        "proxies           tor = socks5h://u:***@onion:1080",
        "rules, the first match wins:",
        "  *.x=socks5h://u:***@other:1080  (SOCKSIFY_ROUTES)",
        "  :25=block  (SOCKSIFY_ROUTES)",
        *(f"  {rule}  (built in)" for rule in ENDING),
        "taken out of the environment while installed: ALL_PROXY",
    ]


def test_json(tmp_path: Path) -> None:
    text = show_json(load({"proxy": ["gw", "http://b:8080"], "config": None}, {}, str(tmp_path)), {})
    assert json.loads(text) == {
        "settings": [
            {"name": "proxy", "value": "socks5h://gw:1080,http://b:8080", "source": "--proxy"},
            {"name": "dns", "value": "auto", "source": "default"},
            {"name": "dns_server", "value": "off", "source": "default"},
            {"name": "fake_networks", "value": "198.18.0.0/15,100::/64", "source": "default"},
            {"name": "isolate", "value": "none", "source": "default"},
            {"name": "udp", "value": "block", "source": "default"},
            {"name": "bind", "value": "auto", "source": "default"},
            {"name": "bind_services", "value": "21,514", "source": "default"},
            {"name": "strict", "value": "no", "source": "default"},
            {"name": "allow", "value": "none", "source": "default"},
            {"name": "children", "value": "yes", "source": "default"},
            {"name": "seal", "value": "auto", "source": "default"},
            {"name": "connect_timeout", "value": 120.0, "source": "default"},
            {"name": "c_watcher_timeout", "value": 5.0, "source": "default"},
            {"name": "log", "value": "off", "source": "default"},
            {"name": "config", "value": "none", "source": "default"},
        ],
        "proxies": {},
        "rules": [{"rule": rule, "source": "built in"} for rule in ENDING],
        "taken_out": [],
    }
    assert "S3cr3t" not in show_json(load({}, ENVIRON, str(tmp_path)), ENVIRON)


def test_without_such_variables_none_is_named() -> None:
    assert "taken out" not in show(load({"proxy": "gw"}, {}, "/"), {})


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
    "a name server": {"proxy": [PROXY], "dns_server": "[2001:db8::53]"},
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
