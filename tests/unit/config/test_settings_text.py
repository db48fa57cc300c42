import json
from pathlib import Path

from socksify.config import load
from socksify.config.settings_text import show, show_json

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
        "fake_networks     198.18.0.0/15,100::/64  (default)",
        "isolate           none  (default)",
        "udp               block  (default)",
        "bind              auto  (default)",
        "bind_services     21,514  (default)",
        "strict            no  (default)",
        "allow             none  (default)",
        "children          yes  (default)",
        "native            no  (default)",
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
            {"name": "fake_networks", "value": "198.18.0.0/15,100::/64", "source": "default"},
            {"name": "isolate", "value": "none", "source": "default"},
            {"name": "udp", "value": "block", "source": "default"},
            {"name": "bind", "value": "auto", "source": "default"},
            {"name": "bind_services", "value": "21,514", "source": "default"},
            {"name": "strict", "value": "no", "source": "default"},
            {"name": "allow", "value": "none", "source": "default"},
            {"name": "children", "value": "yes", "source": "default"},
            {"name": "native", "value": "no", "source": "default"},
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
