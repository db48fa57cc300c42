"""The way of a connection, by address, rule and scheme."""

from __future__ import annotations

import socket
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest

from socksify import _originals, config
from socksify.config.settings import scoped
from socksify.routing import fake_addresses, local_host, log
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.router import Router

V4, V6 = socket.AF_INET, socket.AF_INET6
Address = namedtuple("Address", "host port")


def router(*routes: str, proxy: str = "socks5h://192.0.2.1:1080", **settings: Any) -> Router:
    return Router(config.load({"proxy": proxy, "routes": list(routes), **settings}, {}, "/nonexistent"))


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        (V4, ("203.0.113.5", 80), Via),
        (V4, Address("203.0.113.5", 80), Via),
        (V4, ("name.example", 80), Via),
        (V6, ("2001:db8::1", 80, 0, 0), Via),
        (V6, ("::ffff:203.0.113.5", 80), Via),
        # getaddrinfo(3) unmaps it for an IPv4 socket, and refuses the other mixtures.
        (V4, ("::ffff:203.0.113.5", 80), Via),
        (V4, ("::ffff:127.0.0.1", 80), Direct),
        (V4, ("::ffff:198.19.7.7", 80), Blocked),
        (V4, ("2001:db8::1", 80), Direct),
        (V6, ("203.0.113.5", 80), Direct),
        (V4, ("127.0.0.1", 80), Direct),
        (V4, ("127.1", 80), Direct),
        (V4, ("localhost", 80), Direct),
        (V4, ("sub.localhost", 80), Direct),
        (V4, ("LOCALHOST.", 80), Direct),
        (V4, ("", 80), Direct),
        (V4, ("0.0.0.0", 80), Direct),
        (V6, ("::1", 80), Direct),
        (V6, ("::", 80), Direct),
        (V6, ("::ffff:127.0.0.1", 80), Direct),
        (V4, ("192.0.2.1", 1080), Direct),
        (V4, ("192.0.2.1", 1081), Via),
        (V6, ("::ffff:192.0.2.1", 1080), Direct),
        (socket.AF_UNIX, "/a/path", Direct),
        (V4, ["203.0.113.5", 80], Direct),
        (V4, "203.0.113.5", Direct),
        (V4, None, Direct),
        (V4, ("198.18.7.7", 80), Blocked),
        (V6, ("::ffff:198.19.7.7", 80), Blocked),
    ],
    ids=repr,
)
def test_what_no_rule_speaks_of(family: int, address: Any, expected: type) -> None:
    subject = router()
    assert type(subject.decide(family, address)) is expected
    assert type(subject.decide(family, address)) is expected


def test_the_first_rule_that_matches_decides() -> None:
    subject = router("10.1.0.0/16=block", "10.0.0.0/8=direct", "*.corp.example:443=direct", ":25=block")
    assert isinstance(subject.decide(V4, ("10.1.2.3", 80)), Blocked)
    assert isinstance(subject.decide(V4, ("10.2.2.3", 25)), Direct)
    assert isinstance(subject.decide(V6, ("::ffff:10.1.2.3", 80)), Blocked)
    assert isinstance(subject.decide(V4, ("www.corp.example", 443)), Direct)
    assert isinstance(subject.decide(V4, ("www.corp.example", 80)), Via)
    assert isinstance(subject.decide(V4, ("203.0.113.5", 25)), Blocked)
    denied = subject.decide(V4, ("10.1.2.3", 80))
    assert isinstance(denied, Blocked)
    assert "10.1.0.0/16=block" in denied.why


def test_a_name_in_other_letters_meets_its_rule() -> None:
    subject = router("*.bücher.example=block", "10.0.0.0/8=block")
    assert isinstance(subject.decide(V4, ("www.bücher.example", 80)), Blocked)
    assert isinstance(subject.decide(V4, ("www.xn--bcher-kva.example", 80)), Blocked)
    assert isinstance(subject.decide(V4, (b"www.xn--bcher-kva.example", 80)), Blocked)
    assert isinstance(subject.decide(V4, ("1\N{FULLWIDTH DIGIT ZERO}.0.0.1", 80)), Blocked)


def test_an_address_of_the_machines_own_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def is_own(ip: str) -> bool:
        asked.append(ip)
        return ip == "203.0.113.5"

    monkeypatch.setattr(local_host, "is_own", is_own)
    subject = router("203.0.113.5:25=proxy")
    for _ in range(3):
        assert isinstance(subject.decide(V4, ("203.0.113.5", 80)), Direct)
        assert isinstance(subject.decide(V4, ("203.0.113.5", 25)), Via)
        assert isinstance(subject.decide(V4, ("203.0.113.6", 80)), Via)
    assert asked == ["203.0.113.5", "203.0.113.6"]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "_MEMORY", 8)
    subject = router()
    for port in range(1, 100):
        assert isinstance(subject.decide(V4, ("203.0.113.5", port)), Via)
        assert isinstance(subject.decide(V4, (f"203.0.113.{port}", 80)), Via)
    assert len(subject._known) <= 8
    assert len(subject._own) <= 8


def test_bytes_are_not_compared_to_str() -> None:
    """`python -bb` forbids such comparisons."""
    subject = router()
    for host in ("203.0.113.5", b"203.0.113.5", bytearray(b"203.0.113.5"), "203.0.113.5"):
        assert isinstance(subject.decide(V4, (host, 80)), Via)
    assert [type(address[0]) for _, address in subject._known] == [str]


@pytest.mark.parametrize("address", [(), ("203.0.113.5", []), (["203.0.113.5"], 80)])
def test_what_cannot_be_remembered_is_the_stdlibs(address: Any) -> None:
    assert router().decide(V4, address) == Direct()


@pytest.mark.parametrize(
    ("scheme", "dns", "kind"),
    [
        ("socks5h", "auto", 3),
        ("socks4a", "auto", 3),
        ("http", "auto", 3),
        ("socks5", "auto", 1),
        ("socks4", "auto", 1),
        ("socks5h", "local", 1),
        ("socks5", "remote", 3),
    ],
)
def test_who_resolves_a_name(monkeypatch: pytest.MonkeyPatch, scheme: str, dns: str, kind: int) -> None:
    answer = [(V4, socket.SOCK_STREAM, 6, "", ("203.0.113.5", 80))]
    monkeypatch.setattr(_originals, "getaddrinfo", lambda *_, **__: answer)
    found = router(proxy=f"{scheme}://192.0.2.1:1080", dns=dns).decide(V4, ("name.example", 80))
    assert isinstance(found, Via)
    assert (found.target.type, found.target.host) == (kind, "name.example" if kind == 3 else "203.0.113.5")


def test_names_for_a_proxy_without_words_for_them_are_an_error_that_says_so() -> None:
    subject = router(proxy="socks4://192.0.2.1:1080", dns="remote")
    with pytest.raises(socket.gaierror, match=r"socks4://192.0.2.1:1080 takes no names.*socks4a.*dns=local"):
        subject.decide(V4, ("name.example", 80))
    assert isinstance(subject.decide(V4, ("203.0.113.5", 80)), Via)


@pytest.mark.parametrize("host", ["a b", "a..b", "-.-", "x" * 64, "256.1.1.1", "1.2.3.4.5", "a:b", "*", "a/b", "."])
def test_what_nobody_is_called_is_not_asked_for(host: str) -> None:
    with pytest.raises(socket.gaierror):
        router().decide(V4, (host, 80))


def test_a_fake_address_goes_where_its_name_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(V4, socket.SOCK_STREAM, 6, "", ("203.0.113.5", 443))]
    monkeypatch.setattr(_originals, "getaddrinfo", lambda *_, **__: answer)
    subject = router("both.example:443=direct", "both.example:25=block")
    fake = fake_addresses.TABLE.address_of("both.example")
    found = subject.decide(V4, (fake, 80))
    assert isinstance(found, Via)
    assert (found.target.host, found.peer) == ("both.example", (fake, 80))
    assert isinstance(subject.decide(V4, (fake, 25)), Blocked)
    direct = subject.decide(V4, (fake, 443))
    assert isinstance(direct, Direct)
    assert direct.address == ("203.0.113.5", 443)


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (
            lambda: fake_addresses.TABLE.address_of("six.example", V6),
            lambda: fake_addresses.TABLE.address_of("six.example", V6),
        ),
        (lambda: "::ffff:" + fake_addresses.TABLE.address_of("six.example"),) * 2,
        (lambda: "six.example", lambda: fake_addresses.TABLE.address_of("six.example", V6)),
    ],
    ids=["fake", "mapped", "name"],
)
def test_an_ipv6_socket_has_the_peer_that_it_was_given(address: Callable[[], str], peer: Callable[[], str]) -> None:
    found = router().decide(V6, (address(), 80))
    assert isinstance(found, Via)
    assert (found.target.host, found.peer) == ("six.example", (peer(), 80, 0, 0))


@pytest.mark.parametrize("address", ["198.18.99.99", "100::1:77"])
def test_the_fake_address_of_another_process_reaches_nobody(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_addresses, "TABLE", fake_addresses.FakeAddressTable())
    family = V6 if ":" in address else V4
    denied = router().decide(family, (address, 80))
    assert isinstance(denied, Blocked)
    assert f"{address} is a fake address" in denied.why
    assert isinstance(router("198.18.0.0/15=proxy", "100::/64=proxy").decide(family, (address, 80)), Via)
    assert isinstance(router("198.18.0.0/15=direct", "100::/64=direct").decide(family, (address, 80)), Direct)
    assert isinstance(router(dns="local").decide(family, (address, 80)), Via)
    # Another scope of this process leaves names to its proxy.
    fake_addresses.TABLE.address_of("another.example")
    assert isinstance(router(dns="local").decide(family, (address, 80)), Blocked)


def test_an_address_that_the_resolver_told_is_a_real_one() -> None:
    fake_addresses.TABLE.mark_real(["198.18.77.77"])
    assert isinstance(router().decide(V4, ("198.18.77.77", 80)), Via)


@pytest.mark.parametrize(
    ("name", "port", "expected"),
    [
        ("a.lan", None, False),
        ("A.LAN.", 80, False),
        ("ssh.example", 22, False),
        ("ssh.example", 80, True),
        ("ssh.example", None, True),
        ("web.lan", 443, True),
        ("web.lan", None, True),
        ("blocked.example", None, True),
        ("local.example", None, False),
        ("other.example", None, True),
        ("192.0.2.1", 1080, False),
    ],
)
def test_whether_a_look_up_is_answered_here(name: str, port: int | None, expected: bool) -> None:
    subject = router(
        "ssh.example:22=direct",
        "web.lan:443=proxy",
        "*.lan=direct",
        "blocked.example=block",
        "local.example=socks5://192.0.2.2:1080",
    )
    assert subject.is_faked(name, port) is expected


@pytest.mark.parametrize(
    ("address", "dns", "expected"),
    [
        ("10.1.2.3", "remote", True),
        ("203.0.113.5", "remote", False),
        ("203.0.113.5", "local", True),
        ("127.0.0.9", "remote", False),
        ("127.0.0.9", "local", False),
        ("fd00::1", "remote", True),
        ("2001:db8::1", "remote", False),
        ("192.0.2.7", "local", False),
    ],
)
def test_whether_the_resolver_is_asked_whose_an_address_is(address: str, dns: str, expected: bool) -> None:
    subject = router("10.0.0.0/8=direct", "fd00::/8=direct", "192.0.2.7=block", dns=dns)
    assert subject.reverse_is_native(address) is expected


@pytest.mark.parametrize("server", ["127.0.0.53", "::1"])
def test_a_name_server_on_this_machine_would_ask_others(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_host, "nameservers", lambda: (server,))
    family, shown = (V6, f"[{server}]:53=direct") if ":" in server else (V4, f"{server}:53=direct")
    denied = router().decide(family, (server, 53))
    assert isinstance(denied, Blocked)
    assert shown in denied.why
    assert isinstance(router(shown).decide(family, (server, 53)), Direct)
    assert isinstance(router(dns="local").decide(family, (server, 53)), Direct)
    assert isinstance(router().decide(family, (server, 80)), Direct)


def test_the_machines_own_name_is_reached_without_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_host, "own_addresses", lambda name: ("127.0.1.1",) if name == "this.example" else None)
    monkeypatch.setattr(_originals, "getaddrinfo", lambda *_, **__: pytest.fail("asked"))
    found = router().decide(V4, ("this.example", 80))
    assert isinstance(found, Direct)
    assert found.address == ("127.0.1.1", 80)
    assert isinstance(router("this.example=block").decide(V4, ("this.example", 80)), Blocked)
    sub = router().decide(V6, ("any.localhost", 80, 0, 0))
    assert isinstance(sub, Direct)
    assert sub.address is not None


def test_the_rule_by_which_a_name_is_resolved_here_is_named() -> None:
    assert router("*.lan=direct", "*=proxy").why_here("a.lan", 80) == "*.lan=direct"
    assert router("*.lan=direct").why_here("a.example", None) == "*=proxy"


def test_a_name_that_is_too_long_for_a_proxy_is_no_name() -> None:
    """A message has room for 255 bytes. The dot at the end is one of them, though look-ups do not count it."""
    name = ".".join(["a" * 63] * 4)
    assert len(name) == 255
    assert isinstance(router().decide(V4, (name, 80)), Via)
    for longer in (f"{name}.", f"{name}b"):
        with pytest.raises(socket.gaierror):
            router().decide(V4, (longer, 80))


def test_a_name_that_cannot_be_resolved_here_is_a_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(log, "line", lines.append)
    with pytest.raises(socket.gaierror):
        router("*=direct", proxy="socks5h://192.0.2.1:1080", dns="local").decide(V4, fake_of("no.invalid"))
    (line,) = lines
    assert line.startswith(f"{log.DEFAULT_NAME}: look up no.invalid here (rule *=direct) gaierror: ")


def fake_of(name: str) -> tuple[str, int]:
    return fake_addresses.TABLE.address_of(name), 80


def test_what_is_no_internet_address_is_direct() -> None:
    for family, address in ((socket.AF_UNIX, "/path"), (V4, "name.example"), (socket.AF_NETLINK, (0, 0))):
        assert router().decide(family, address) == Direct()


def test_many_addresses_do_not_grow_the_memory_of_own_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "_MEMORY", 4)
    monkeypatch.setattr(local_host, "is_own", lambda _: False)
    found = router()
    for number in range(20):
        assert not found.is_own(f"192.0.2.{number}")
    assert len(found._own) <= 4


def test_the_proxys_own_name_is_resolved_here_when_it_was_given_as_a_fake_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socksify.routing.router.resolve", lambda *_: ("192.0.2.9", 1080))
    address = fake_addresses.TABLE.address_of("gw.example"), 1080
    found = router(proxy="socks5h://gw.example:1080").decide(V4, address)
    assert isinstance(found, Direct)
    assert found.address == ("192.0.2.9", 1080)


def test_inside_a_direct_block_nothing_is_routed() -> None:
    settings = config.load({"proxy": "gw"}, {}, "/nonexistent")
    assert Router(settings).routes
    assert not Router(scoped(settings, ("direct",), None)).routes


def test_decisions_are_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    found = router()
    first = found.decide(V4, ("203.0.113.5", 80))
    assert found.decide(V4, ("203.0.113.5", 80)) is first
    monkeypatch.setattr(found, "_forget_at", 0.0)
    assert found.decide(V4, ("203.0.113.5", 80)) is not first


def test_a_family_with_addresses_of_ipv4_is_judged_as_ipv4() -> None:
    """CPython looks names up for RDS as for IPv4."""
    assert isinstance(router().decide(socket.AF_RDS, ("203.0.113.5", 80)), Via)
    assert isinstance(router().decide(socket.AF_RDS, ("127.0.0.1", 80)), Direct)
