from __future__ import annotations

import pytest

from socksify.config import match
from socksify.config.proxy_url import Proxy
from socksify.config.settings import Settings
from socksify.protocol.socks5 import BIND, CONNECT, NO_AUTHENTICATION, UDP_ASSOCIATE, USERNAME_PASSWORD
from socksify.server.policy import policy as module
from socksify.server.policy.policy import Admission, Denied, Permitted, Policy
from socksify.server.policy.rules import EVERYBODY, LOCAL, AccessRule, Routes, Source
from tests.unit.server.policies import REMOTE, demand, rule

TOR = (Proxy("socks5h", "127.0.0.1", 9050, name="tor"),)
OLD = (Proxy("socks4", "192.0.2.9", 1080, name="old"),)


class Asked:
    """A single user."""

    def verify(self, user: bytes, password: bytes) -> bool:
        return (user, password) == (b"alice", b"open sesame")

    remembers = verify


def routed(*routes: str, rules: tuple[AccessRule, ...] = (EVERYBODY,)) -> Policy:
    from socksify.config import rules as clients

    proxies = {"tor": TOR, "old": OLD}
    written = tuple(clients.parse(text, "routes", dict(proxies)) for text in routes)
    return Policy(rules, routes=Routes(Settings(proxy=(), proxies=proxies, rules=written)))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", ""])
def test_without_configuration_this_machine_may_do_everything(host: str) -> None:
    policy = Policy()
    assert policy.admit(host) == Admission((NO_AUTHENTICATION,))
    for literal in ("127.0.0.1", "192.0.2.7", "169.254.169.254", "::1"):
        assert policy.decide(demand(literal, host=host)) == Permitted("built in")
    assert policy.decide(demand(name="a.example", host=host)) == Permitted("built in")


@pytest.mark.parametrize("host", [REMOTE, "2001:db8::7", "0.0.0.0", "10.0.0.1"])
def test_without_configuration_others_may_do_nothing(host: str) -> None:
    policy = Policy()
    assert isinstance(policy.admit(host), Denied)
    assert isinstance(policy.decide(demand("192.0.2.7", host=host)), Denied)
    assert isinstance(policy.decide(demand(name="a.example", host=host)), Denied)


def test_without_users_no_login_is_verified() -> None:
    assert not Policy().verify(b"alice", b"open sesame")
    assert Policy(users=Asked()).verify(b"alice", b"open sesame")
    assert not Policy(users=Asked()).verify(b"alice", b"")


VERIFIED = EVERYBODY.replace(verified=True)


@pytest.mark.parametrize(
    ("rules", "methods"),
    [
        ((EVERYBODY,), (NO_AUTHENTICATION,)),
        ((VERIFIED,), (USERNAME_PASSWORD,)),
        ((VERIFIED, EVERYBODY), (USERNAME_PASSWORD, NO_AUTHENTICATION)),
        ((VERIFIED, LOCAL), (USERNAME_PASSWORD,)),
        ((rule("deny"), EVERYBODY), None),
        ((rule("deny", clients=(match.parse("198.51.100.0/24", ""),)), EVERYBODY), None),
        ((rule("deny", "10.0.0.0/8"), EVERYBODY), (NO_AUTHENTICATION,)),
        ((rule("deny", commands=frozenset((BIND,))), EVERYBODY), (NO_AUTHENTICATION,)),
        ((rule("deny", users=frozenset((b"bob",))), VERIFIED), (USERNAME_PASSWORD,)),
        ((LOCAL,), None),
        ((), None),
    ],
)
def test_how_a_client_may_come_in(rules: tuple[AccessRule, ...], methods: tuple[int, ...] | None) -> None:
    admission = Policy(rules, Asked()).admit(REMOTE)
    if methods is None:
        assert isinstance(admission, Denied)
    else:
        assert admission == Admission(methods)


def test_the_answer_names_the_rule() -> None:
    policy = Policy((rule("deny", ":25"), rule("permit", ":80").replace(source="sockd.toml, line 7")))
    assert policy.decide(demand("192.0.2.7", 25)) == Denied("denied by test")
    assert policy.decide(demand("192.0.2.7", 80)) == Permitted("sockd.toml, line 7")
    assert policy.decide(demand("192.0.2.7", 81)) == Denied("no rule permits it")
    assert policy.decide(demand("127.0.0.1", 81)) == Denied("loopback is open to local clients alone")


def test_a_rule_grants_reserved_ports_and_ident() -> None:
    policy = Policy((rule("permit", reserved=True, ident="I"),))
    assert policy.decide(demand("192.0.2.7")) == Permitted("test", reserved=True, ident="I")


def test_identd_is_asked_about_the_clients_of_a_rule() -> None:
    policy = Policy((rule("permit", ident="i", clients=(match.parse("198.51.100.0/24", ""),)), EVERYBODY))
    assert policy.asks_ident(REMOTE)
    assert not policy.asks_ident("192.0.2.99")
    assert not Policy().asks_ident(REMOTE)


def test_rebinding_does_not_get_round_the_rules() -> None:
    """A name is permitted. The rules are asked again about each of its addresses."""
    policy = Policy((rule("deny", "10.0.0.0/8"), EVERYBODY))
    assert policy.decide(demand(name="evil.example")) is None
    for literal in ("10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "64:ff9b::10.0.0.1"):
        assert isinstance(policy.decide(demand(literal, name="evil.example")), Denied)
    assert policy.decide(demand("192.0.2.7", name="evil.example")) == Permitted("built in")


def test_a_name_that_no_rule_permits_is_never_looked_up() -> None:
    policy = Policy((rule("permit", ".corp.example"),))
    assert policy.decide(demand(name="www.example")) == Denied("no rule permits it")


def test_own_addresses_are_closed_unless_named() -> None:
    rules = (rule("permit", "203.0.113.5:22"), EVERYBODY)
    policy = Policy(rules, is_own={"203.0.113.5", "2001:db8::5"}.__contains__)
    assert isinstance(policy.decide(demand("203.0.113.5", 80)), Denied)
    assert isinstance(policy.decide(demand("2001:db8::5", 22)), Denied)
    assert policy.decide(demand("203.0.113.5", 22)) == Permitted("test")
    assert policy.decide(demand("203.0.113.6", 80)) == Permitted("built in")


@pytest.mark.parametrize("anyone", ["0.0.0.0", "::"])
def test_a_bind_for_anyone_is_asked_about_again_when_somebody_comes(anyone: str) -> None:
    policy = Policy((rule("permit", "192.0.2.0/24:21"),))
    assert policy.decide(demand(anyone, 0, command=BIND)) == Permitted("test")
    assert policy.decide(demand("192.0.2.7", 21, command=BIND)) == Permitted("test")
    assert isinstance(policy.decide(demand("192.0.3.7", 21, command=BIND)), Denied)
    assert isinstance(policy.decide(demand(anyone, 21, command=CONNECT)), Denied)


def test_an_association_is_made_where_a_datagram_might_be_permitted() -> None:
    nowhere = demand(None, 0, command=UDP_ASSOCIATE)
    assert Policy((rule("permit", "192.0.2.53:53"),)).decide(nowhere) == Permitted("test")
    assert isinstance(Policy((rule("permit", commands=frozenset((CONNECT,))),)).decide(nowhere), Denied)
    assert isinstance(Policy((rule("deny"), EVERYBODY)).decide(nowhere), Denied)


def test_routes_lead_through_proxies() -> None:
    policy = routed("*.onion=tor", "192.0.2.0/24=old", "blocked.example=block", "*.both=tor+old")
    assert policy.decide(demand(name="a.onion")) == Permitted("built in", chain=TOR)
    assert policy.decide(demand(name="a.both")) == Permitted("built in", chain=TOR + OLD)
    assert policy.decide(demand("192.0.2.7", name="a.example")) == Permitted("built in", chain=OLD)
    assert policy.decide(demand("203.0.113.7")) == Permitted("built in")
    assert policy.decide(demand(name="blocked.example")) == Denied("a route blocks it")
    assert isinstance(policy.decide(demand("127.0.0.1")), Denied)


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f.1"])
def test_no_proxy_is_asked_for_an_address_in_disguise(name: str) -> None:
    """It would reach a guarded address, of the proxy's machine or of this one."""
    policy = routed("*=tor", rules=(EVERYBODY,))
    # By its name alone it goes directly, or has to be resolved first. It never goes to the proxy.
    verdict = policy.decide(demand(name=name))
    assert verdict is None or verdict == Permitted("built in")
    assert isinstance(policy.decide(demand("127.0.0.1", name=name)), Denied)


def test_a_source_is_of_the_destinations_family() -> None:
    sources = tuple(
        Source(match.parse(text, ""), literal)
        for text, literal in (
            ("192.0.2.0/24", "10.0.0.1"),
            ("*", "10.0.0.2"),
            ("*", "2001:db8::2"),
        )
    )
    policy = Policy((EVERYBODY,), routes=Routes(None, sources))
    for literal, source in (("192.0.2.7", "10.0.0.1"), ("192.0.3.7", "10.0.0.2"), ("2001:db8::7", "2001:db8::2")):
        assert policy.decide(demand(literal)) == Permitted("built in", source)
    assert policy.decide(demand(name="a.example")) == Permitted("built in")


def test_answers_are_remembered_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    asked: list[str] = []

    def is_own(literal: str) -> bool:
        asked.append(literal)
        return len(asked) > 1

    monkeypatch.setattr(module, "monotonic", lambda: now)
    policy = Policy((EVERYBODY,), is_own=is_own)
    for _ in range(3):
        assert policy.decide(demand("192.0.2.7")) == Permitted("built in")
    assert asked == ["192.0.2.7"]
    now += 10.0
    # The address has become one of this machine meanwhile.
    assert isinstance(policy.decide(demand("192.0.2.7")), Denied)


def test_memory_is_bounded() -> None:
    policy = Policy((EVERYBODY,))
    for number in range(3000):
        policy.decide(demand(name=f"{number}.example"))
        policy.admit(f"10.0.{number >> 8}.{number & 255}")
    assert len(policy._decided) <= 1024
    assert len(policy._admitted) <= 1024


def test_users_are_told_apart() -> None:
    """A remembered answer counts for one user only."""
    policy = Policy((rule("permit", users=frozenset((b"alice",))),))
    assert isinstance(policy.decide(demand("192.0.2.7", user=b"alice")), Permitted)
    assert isinstance(policy.decide(demand("192.0.2.7", user=b"bob")), Denied)
    assert isinstance(policy.decide(demand("192.0.2.7")), Denied)
    assert isinstance(policy.decide(demand("192.0.2.7", userid=b"alice")), Denied)
