"""Settings of another process: the right ones are read, and each field of others is checked.

Of their bytes, what marshal writes is read, and nothing else.
"""

from __future__ import annotations

import marshal
import random
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


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**31 - 1,
        -(2**31),
        2**31,
        -(2**64),
        2**128 - 1,
        1.5,
        -120.0,
        b"",
        b"\0\xff",
        "",
        "name",
        "bücher",
        "\udcff",
        (),
        [],
        {},
        (1, (2, [3, {"four": (5,)}]), "six", b"seven"),
        {"a": 1, "b": {"c": None}},
        "x" * 100_000,
    ],
)
def test_what_marshal_writes_is_read(value: Any) -> None:
    read = foreign_settings.unmarshal(marshal.dumps(value, 2))
    assert read == value
    assert type(read) is type(value)


def nested(depth: int) -> Any:
    value: Any = ()
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NN",
        b"x",
        b"(\x01\0\0\0",
        b"(\xff\xff\xff\xffN",
        b"(\xff\xff\xff\x7f",
        b"s\xff\xff\xff\xff",
        b"s\xff\xff\xff\x7f",
        b"u\x01\0\0\0\xff",
        b"i\0\0",
        b"{",
        b"{N",
        b"{NN0",
        b"l\xff\xff\xff\x7f",
        b"l\x11\0\0\0" + b"\1\0" * 17,
        b"l\0\0\0\x80",
        marshal.dumps(nested(17), 2),
        b"(\x01\0\0\0" * 100_000,
        marshal.dumps(frozenset(), 2),
        marshal.dumps(compile("1", "", "eval"), 2),
        marshal.dumps(1 + 2j, 2),
        marshal.dumps("name", 4),
        marshal.dumps({1: 2}, 2),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_nothing_else_is_read(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        foreign_settings.unmarshal(data)


def test_the_deepest_data() -> None:
    assert foreign_settings.unmarshal(marshal.dumps(nested(15), 2)) == nested(15)


def test_chance_raises_nothing_else() -> None:
    chance = random.Random(15)
    for _ in range(20_000):
        data = bytes(chance.choice(b"()[]{0usiglNTF\0\0\0\1\2\xff") for _ in range(chance.randint(1, 30)))
        try:
            foreign_settings.unmarshal(data)
        except ValueError:
            pass
