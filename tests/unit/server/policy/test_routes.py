from __future__ import annotations

import pytest

from socksify.config import match, rules
from socksify.config.proxy_url import Proxy
from socksify.config.settings import Settings
from socksify.server.policy.protected import destination
from socksify.server.policy.rules import Routes, Source

TOR, GATEWAY = Proxy("socks5h", "127.0.0.1", 9050), Proxy("socks5", "192.0.2.9", 1080)


def routes(*texts: str, proxy: tuple[Proxy, ...] = ()) -> Routes:
    proxies = {"tor": (TOR,)}
    written = tuple(rules.parse(text, "routes", dict(proxies)) for text in texts)
    return Routes(Settings(proxy=proxy, proxies=proxies, rules=written))


@pytest.mark.parametrize(
    ("name", "literal", "chain"),
    [
        ("a.onion", None, (TOR,)),
        ("a.both", None, (GATEWAY, TOR)),
        ("a.example", None, (GATEWAY,)),
        (None, "203.0.113.7", (GATEWAY,)),
        ("a.example", "198.51.100.7", ()),
        (None, "198.51.100.7", ()),
        (None, "127.0.0.1", ()),
        ("blocked.example", None, None),
    ],
)
def test_the_chain_is_a_clients(name: str | None, literal: str | None, chain: tuple[Proxy, ...] | None) -> None:
    made = routes(
        "*.onion=tor", "*.both=proxy+tor", "198.51.100.0/24=direct", "blocked.example=block", proxy=(GATEWAY,)
    )
    assert made.chain(destination(name, literal, 80, None), literal) == chain


def test_without_routes_everything_is_direct() -> None:
    assert Routes().chain(destination("a.onion", None, 80, None), None) == ()
    assert Routes().source(destination(None, "192.0.2.1", 80, None)) is None


@pytest.mark.parametrize(
    ("name", "literal", "port", "source"),
    [
        (None, "192.0.2.7", 80, "10.0.0.1"),
        (None, "192.0.3.7", 80, "10.0.0.2"),
        (None, "192.0.3.7", 443, "10.0.0.3"),
        ("a.example", "192.0.3.7", 80, "10.0.0.4"),
        (None, "2001:db8::7", 80, "2001:db8::1"),
        # This is not known before the name is resolved.
        ("a.example", None, 80, None),
    ],
)
def test_the_first_source_of_the_family(name: str | None, literal: str | None, port: int, source: str | None) -> None:
    table = (
        ("192.0.2.0/24", "10.0.0.1"),
        (":443", "10.0.0.3"),
        (".example", "10.0.0.4"),
        ("*", "2001:db8::1"),
        ("*", "10.0.0.2"),
    )
    made = Routes(None, tuple(Source(match.parse(text, ""), literal) for text, literal in table))
    assert made.source(destination(name, literal, port, None)) == source
