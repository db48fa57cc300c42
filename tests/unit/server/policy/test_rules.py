from __future__ import annotations

import pytest

from socksify.config import match
from socksify.config.ip import parse_ip
from socksify.config.rules import never
from socksify.protocol.socks5 import BIND, CONNECT, UDP_ASSOCIATE
from socksify.server.policy.protected import ANYONE, destination
from socksify.server.policy.rules import EVERYBODY, LOCAL, NOBODY, AccessRule, first_match
from tests.unit.server.policies import rule


def reached(made: AccessRule, name: str | None, literal: str | None, port: int = 80) -> bool | None:
    return made.reaches(destination(name, literal, port, never))


@pytest.mark.parametrize(
    ("to", "name", "literal", "answer"),
    [
        (".corp.example", "www.corp.example", None, True),
        (".corp.example", "WWW.Corp.Example.", None, True),
        (".corp.example", "example", None, False),
        (".corp.example", None, "192.0.2.7", False),
        (".corp.example", "www.corp.example", "192.0.2.7", True),
        ("192.0.2.0/24", "www.corp.example", None, None),
        ("192.0.2.0/24", "www.corp.example", "192.0.2.7", True),
        ("192.0.2.0/24", "www.corp.example", "192.0.3.7", False),
        ("192.0.2.0/24", None, "192.0.2.7", True),
        ("192.0.2.0/24:443", "www.corp.example", None, False),
        ("192.0.2.0/24:80", "www.corp.example", None, None),
        (":80", None, "2001:db8::7", True),
        (":80", "any.example", None, True),
        (":443", "any.example", None, False),
        ("*", "any.example", None, True),
    ],
)
@pytest.mark.parametrize("action", ["permit", "deny"])
def test_which_destinations_a_rule_is_about(
    action: str, to: str, name: str | None, literal: str | None, answer: bool | None
) -> None:
    assert reached(rule(action, to), name, literal) is answer


def test_one_of_several_destinations_is_enough() -> None:
    both = rule("permit", "192.0.2.0/24", "a.example")
    assert reached(both, "a.example", None) is True
    assert reached(both, "b.example", None) is None
    assert reached(both, "b.example", "10.0.0.1") is False


def test_a_guarded_destination_has_to_be_named() -> None:
    assert reached(EVERYBODY, None, "127.0.0.1") is False
    assert reached(rule("permit", "*", ":80", "0.0.0.0/0", "a.example"), "a.example", "127.0.0.1") is False
    assert reached(rule("permit", "127.0.0.0/8:80"), None, "127.0.0.1") is True
    assert reached(rule("permit", "127.0.0.0/8:81"), None, "127.0.0.1") is False
    assert reached(rule("permit", "127.0.0.0/8"), None, "64:ff9b::127.0.0.1") is False
    assert reached(rule("permit", "64:ff9b::127.0.0.1"), None, "64:ff9b::127.0.0.1") is True


def test_a_denied_network_is_denied_in_other_words() -> None:
    deny = rule("deny", "10.0.0.0/8")
    for literal in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::", "2001:db8::5efe:10.1.2.3"):
        assert reached(deny, None, literal) is True
        assert reached(rule("permit", "10.0.0.0/8"), None, literal) is (literal[:3] in ("10.", "::f"))


def test_denying_everything_denies_guarded_destinations() -> None:
    assert reached(rule("deny"), None, "127.0.0.1") is True


@pytest.mark.parametrize(
    ("fields", "user", "userid", "applies"),
    [
        ({}, None, b"", True),
        ({"users": frozenset((b"bob",))}, b"bob", b"", True),
        ({"users": frozenset((b"bob",))}, b"eve", b"bob", False),
        ({"users": frozenset((b"bob",))}, None, b"bob", False),
        ({"users": frozenset((b"bob",)), "claimed": True}, None, b"bob", True),
        ({"users": frozenset((b"bob",)), "claimed": True}, b"eve", b"bob", False),
        ({"users": frozenset((b"bob",)), "claimed": True}, None, b"", False),
        ({"verified": True}, None, b"bob", False),
        ({"verified": True}, b"bob", b"", True),
        ({"commands": frozenset((CONNECT,))}, None, b"", True),
        ({"commands": frozenset((BIND, UDP_ASSOCIATE))}, None, b"", False),
        ({"clients": (match.parse("198.51.100.0/24", ""),)}, None, b"", True),
        ({"clients": (match.parse("198.51.100.8", ""), match.parse("198.51.100.7", ""))}, None, b"", True),
        ({"clients": (match.parse("fd00::/8", ""),)}, None, b"", False),
    ],
)
def test_the_clients_and_users_of_a_rule(
    fields: dict[str, object], user: bytes | None, userid: bytes, applies: bool
) -> None:
    assert rule("permit", **fields).applies(parse_ip("198.51.100.7"), user, userid, CONNECT) is applies


def decided(*rules: AccessRule, name: str | None = None, literal: str | None = None) -> AccessRule | None:
    to = destination(name, literal, 80, never) if name or literal else ANYONE
    return first_match(rules, parse_ip("198.51.100.7"), None, b"", CONNECT, to)


def test_the_first_match_wins() -> None:
    deny, permit = rule("deny", "a.example"), rule("permit", ".example")
    assert decided(deny, permit, name="a.example") is deny
    assert decided(deny, permit, name="b.example") is permit
    assert decided(deny, permit, name="b.example.org") is NOBODY
    assert decided(name="a.example") is NOBODY


def test_a_rule_on_networks_waits_for_addresses() -> None:
    deny, permit = rule("deny", "10.0.0.0/8"), rule("permit", ".example")
    assert decided(deny, permit, name="a.example") is None
    assert decided(deny, permit, name="a.example", literal="10.0.0.1") is deny
    assert decided(deny, permit, name="a.example", literal="192.0.2.7") is permit
    assert decided(permit, deny, name="a.example") is permit


@pytest.mark.parametrize(
    ("rules", "decides"),
    [
        ((rule("permit", "192.0.2.0/24"),), 0),
        ((rule("deny", "192.0.2.0/24"), rule("permit")), 1),
        ((rule("deny", ".example", ":25"), rule("permit", ":53")), 1),
        ((rule("deny"), rule("permit")), 0),
        ((rule("deny", "10.0.0.0/8"),), None),
    ],
)
def test_whether_anyone_might_be_permitted(rules: tuple[AccessRule, ...], decides: int | None) -> None:
    assert decided(*rules) is (NOBODY if decides is None else rules[decides])


def test_local_clients() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert LOCAL.is_about(parse_ip(host))
    for host in ("192.0.2.1", "::2", "128.0.0.1"):
        assert not LOCAL.is_about(parse_ip(host))


def test_the_rules_at_the_end() -> None:
    assert LOCAL.permit and EVERYBODY.permit and not NOBODY.permit
    assert EVERYBODY.is_unconditional and NOBODY.is_unconditional
    assert not rule("deny", "*").is_unconditional
    assert not rule("deny", users=frozenset((b"x",))).is_unconditional
    assert not rule("deny", commands=frozenset((BIND,))).is_unconditional
