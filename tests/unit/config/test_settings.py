from __future__ import annotations

import pytest

from socksify.config import inherited
from socksify.config.errors import ConfigError
from socksify.config.loader import load
from socksify.config.proxy_url import Proxy
from socksify.config.settings import Settings, passed_on, refused, scoped

GATEWAY = Proxy("socks5h", "gw", 1080, None, b"joe", b"S3cr3t")
TOR = Proxy("socks5", "::1", 9050, name="tor")


@pytest.mark.parametrize(
    ("via", "chain"),
    [
        ("proxy", (GATEWAY,)),
        ("tor", (TOR,)),
        ("tor+proxy", (TOR, GATEWAY)),
        ("proxy+tor+tor", (GATEWAY, TOR, TOR)),
        ("socks5h://a+b@x", (TOR, TOR)),
        ("direct", ()),
        ("block", ()),
    ],
)
def test_chain(via: str, chain: tuple[Proxy, ...]) -> None:
    settings = Settings(proxy=(GATEWAY,), proxies={"tor": (TOR,), "socks5h://a+b@x": (TOR, TOR)})
    assert settings.chain(via) == chain


@pytest.mark.parametrize("via", ["nobody", "tor+nobody"])
def test_an_unknown_chain_is_an_error_and_not_direct(via: str) -> None:
    with pytest.raises(KeyError, match="nobody"):
        Settings(proxy=(GATEWAY,), proxies={"tor": (TOR,)}).chain(via)


OUTSIDE = load(
    {
        "proxy": "socks5h://user:secret@a.example",
        "routes": ["*.evil=block", "10.0.0.0/8=direct", "127.0.0.2=proxy"],
        "children": True,
        "seal": "auto",
    },
    {},
    ".",
    "command line",
)


def started(way: str, isolate: str | None = None, **environ: str) -> Settings:
    """Return the settings of a process that is started in `via(way, isolate)`."""
    passed = passed_on(scoped(OUTSIDE, (way,), isolate))
    return load({}, inherited.variables(passed, {}) | environ, ".", "hook")


def hosts(settings: Settings, via: str) -> list[str]:
    return [hop.host for hop in settings.chain(via)]


@pytest.mark.parametrize("isolate", [None, "host"])
def test_the_proxy_of_the_block(isolate: str | None) -> None:
    settings = started("socks5h://b.example", isolate)
    assert hosts(settings, settings.default.via) == ["b.example"]
    assert [hosts(settings, rule.via) if rule.via == "proxy" else rule.via for rule in settings.rules] == [
        "block",
        "undecided",
        ["b.example"],
    ]
    assert settings.isolate == (isolate or "none")


@pytest.mark.parametrize("way", ["direct", "block"])
def test_no_proxy_at_all(way: str) -> None:
    settings = started(way)
    assert settings.default.via == way
    assert settings.rules[0].via == "block"


@pytest.mark.parametrize("way", ["proxy", "socks5h://b.example", "direct", "block"])
def test_what_it_is_given_of_its_own_outranks(way: str) -> None:
    """So does its own proxy, also in a block that uses none: its own settings outrank inherited ones."""
    settings = started(way, SOCKSIFY_PROXY="socks5h://c.example")
    assert hosts(settings, settings.default.via) == ["c.example"]
    assert [rule.via for rule in settings.rules] == ["block", "undecided", "proxy"]
    assert settings.default.text == settings.rules[2].text == "*=proxy"


def test_other_settings_of_its_own_leave_the_block() -> None:
    settings = started("direct", SOCKSIFY_UDP="direct", SOCKSIFY_ROUTES="*.example=block")
    assert settings.default.via == "direct"
    assert settings.rules[0].via == "block"


def test_outside_nothing_is_changed() -> None:
    assert passed_on(OUTSIDE) is OUTSIDE


@pytest.mark.parametrize("way", ["direct", "block"])
def test_neither_direct_nor_block_is_part_of_a_chain(way: str) -> None:
    with pytest.raises(ConfigError, match=f"{way!r}: cannot be part of a chain"):
        scoped(OUTSIDE, ("socks5h://b.example", way), None)


def test_several_proxies_make_a_chain() -> None:
    inside = scoped(OUTSIDE, ("socks5h://b.example", "socks5h://c.example"), None)
    assert hosts(inside, inside.default.via) == ["b.example", "c.example"]


def test_without_a_proxy_nothing_is_isolated() -> None:
    with pytest.raises(ConfigError, match="isolate='host': no proxy could isolate what is direct"):
        scoped(OUTSIDE, ("direct",), "host")


def test_a_block_that_has_lost_its_meaning_lets_nothing_out() -> None:
    inside = refused(OUTSIDE, ConfigError("via: no such proxy"))
    assert {rule.via for rule in (*inside.rules, inside.default)} <= {"block", "undecided"}
    assert inside.default.text == "via: no such proxy"
    assert (inside.proxy, inside.proxies, inside.bind) == ((), {}, "never")
