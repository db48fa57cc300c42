"""Settings of another process: the right ones are read, and each field of others is checked."""

from __future__ import annotations

import marshal
from typing import Any

import pytest

from socksify import config
from socksify.config import inherited
from socksify.config.match import Match
from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.config.settings import Settings, passed_on, scoped
from socksify.seal.patched import foreign_settings

PROXY = Proxy("socks5h", "192.0.2.1", 1080)
FULL = config.load(
    {
        "proxy": "socks5h://user:pa%73s@gw.example:1080,http://[2001:db8::1]:3128",
        "routes": ["*.corp=direct", "10.0.0.0/8=block", "[fd00::/8]:80=socks5://192.0.2.3:1080", ".x:1-5=proxy"],
        "connect_timeout": 7.5,
        "strict": True,
    },
    {},
    "/nonexistent",
)


@pytest.mark.parametrize(
    "settings",
    [
        FULL,
        Settings(proxy=()),
        *(passed_on(scoped(FULL, (via,), None)) for via in ("direct", "block", "proxy", "socks4://192.0.2.9:1080")),
        passed_on(scoped(FULL, ("socks5h:///run/proxy.sock",), None)),
        FULL.replace(connect_timeout=3),
    ],
)
def test_settings_are_read_as_they_were_written(settings: Settings) -> None:
    data = inherited.encoded(settings)
    read = foreign_settings.read(data)
    assert read == settings.replace(sources={})
    assert inherited.encoded(read) == data


@pytest.mark.parametrize(
    "changes",
    [
        {"proxy": None},
        {"proxy": PROXY},
        {"proxy": (1,)},
        {"proxy": (PROXY.replace(port="1080"),)},
        {"proxy": (PROXY.replace(port=65536),)},
        {"proxy": (PROXY.replace(port=-1),)},
        {"proxy": (PROXY.replace(port=True),)},
        {"proxy": (PROXY.replace(scheme="ftp"),)},
        {"proxy": (PROXY.replace(user="text"),)},
        {"proxy": (PROXY.replace(host=b"bytes"),)},
        {"proxies": ()},
        {"proxies": {"name": PROXY}},
        {"rules": ("*=direct",)},
        {"rules": (Rule("", "", "unknown"),)},
        {"rules": (Rule("", "", "proxy+unknown"),)},
        {"rules": (Rule("", "", "direct", Match(network=(32, 1, 2, 3))),)},  # type: ignore[arg-type]
        {"rules": (Rule("", "", "direct", Match(ports=(1, None))),)},  # type: ignore[arg-type]
        {"rules": (Rule("", "", "direct", Match(glob=(1,))),)},  # type: ignore[arg-type]
        {"default": None},
        {"default": Rule("", "", "unknown")},
        {"dns": 5},
        {"fake_networks": ("one",)},
        {"bind_services": ("21",)},
        {"strict": 1},
        {"connect_timeout": "120"},
        {"connect_timeout": True},
    ],
    ids=str,
)
def test_every_field_is_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        foreign_settings.read(inherited.encoded(FULL.replace(**changes)))


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, "text", (), (1,), (1, 2)),
        *((inherited._SHAPE, settings) for settings in (None, [], [0], [9, 1], [0] * 100, ["x"], [3])),
    ],
    ids=repr,
)
def test_data_of_another_shape_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        foreign_settings.read(marshal.dumps(value, 2))
