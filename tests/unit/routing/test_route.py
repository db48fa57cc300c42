"""Routes: the request and the credentials for each hop of a chain."""

from __future__ import annotations

import os
import pwd

import pytest

from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.protocol.address import Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.errors import Unsupported
from socksify.protocol.socks5 import BIND, CONNECT
from socksify.routing import route
from socksify.routing.route import Hop, Via

RULE = Rule("*=proxy", "test", "proxy")
TARGET = Address.of("name.example", 80)
FIRST, LAST = Proxy("socks5h", "192.0.2.1", 1080), Proxy("socks5h", "192.0.2.2", 1081)


def via(*chain: Proxy, command: int = CONNECT, isolation: bytes | None = None) -> Via:
    return Via(chain, TARGET, ("203.0.113.5", 80), RULE, command, isolation)


def first_words(hop: Hop) -> bytes:
    """Return the bytes for a hop before its first answer."""
    return Conversation(hop.script()).outgoing


def test_each_hop_is_asked_for_the_next_one_and_the_last_for_the_target() -> None:
    hops = via(FIRST, LAST).hops
    assert [hop.proxy for hop in hops] == [FIRST, LAST]
    assert [hop.target for hop in hops] == [Address.of("192.0.2.2", 1081), TARGET]


def test_the_hops_of_a_route_are_made_once() -> None:
    route = via(FIRST)
    assert route.hops is route.hops
    assert route.hops[0].script() is not route.hops[0].script()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_credentials_are_offered_if_there_are_any(scheme: str) -> None:
    (plain,) = via(Proxy(scheme, "192.0.2.1", 1080)).hops
    (with_user,) = via(Proxy(scheme, "192.0.2.1", 1080, None, b"me", b"secret")).hops
    assert (first_words(plain), first_words(with_user)) == (b"\x05\x01\x00", b"\x05\x02\x00\x02")


@pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
def test_socks4_is_told_the_user_or_the_name_of_ours(scheme: str) -> None:
    (named,) = via(Proxy(scheme, "192.0.2.1", 1080, None, b"me")).hops
    (unnamed,) = via(Proxy(scheme, "192.0.2.1", 1080)).hops
    assert b"\1me\0" in first_words(named)
    assert b"\1" + route.user_name() + b"\0" in first_words(unnamed)


def test_isolation_is_for_the_last_hop_alone() -> None:
    first, last = via(FIRST, LAST, isolation=b"made-up").hops
    assert first_words(first) == b"\x05\x01\x00"
    assert first_words(last) == b"\x05\x02\x00\x02"


def test_isolation_leaves_a_hop_its_own_user() -> None:
    http = Proxy("http", "192.0.2.1", 8080, None, b"me", b"secret")
    (own,), (made_up,) = (
        via(http, isolation=b"x").hops,
        via(http.replace(user=None, password=None), isolation=b"x").hops,
    )
    assert b"Basic bWU6c2VjcmV0\r\n" in first_words(own)
    assert b"Basic eDp4\r\n" in first_words(made_up)


def test_http_cannot_listen() -> None:
    with pytest.raises(Unsupported, match="not for listening sockets"):
        via(Proxy("http", "192.0.2.1", 8080), command=BIND).hops  # noqa: B018
    assert first_words(via(FIRST, command=BIND).hops[0])


def test_a_user_without_an_entry_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often run with a uid that has no entry."""
    assert route.user_name() == os.fsencode(pwd.getpwuid(os.geteuid()).pw_name)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert route.user_name.__wrapped__() == str(os.geteuid()).encode()
