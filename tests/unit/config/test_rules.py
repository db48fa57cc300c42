import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.config import rules
from socksify.config.errors import ConfigError
from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule

TOR = (Proxy("socks5h", "127.0.0.1", 9050, name="tor"),)


def routes(*texts: str) -> list[Rule]:
    return [rules.parse(text, "--route", {"tor": TOR}) for text in texts]


def unasked(ip: str) -> bool:
    raise AssertionError(f"asked for {ip}")


def test_the_first_match_wins() -> None:
    both = routes("a.example=block", ".example=tor", "*=direct")
    assert rules.decide(both, "a.example", None, 1) == ("block", both[0])
    assert rules.decide(both, "b.example", None, 1) == ("tor", both[1])
    assert rules.decide(both, "b.example.org", None, 1) == ("direct", both[2])


@pytest.mark.parametrize(
    ("name", "ip"),
    [
        ("localhost", None),
        ("LocalHost.", None),
        ("a.localhost", None),
        ("", None),
        ("", "10.0.0.1"),
        (None, "127.0.0.1"),
        (None, "127.255.255.255"),
        (None, "::1"),
        (None, "::1%lo"),
        (None, "0.0.0.0"),
        (None, "::"),
        (None, "::ffff:127.0.0.1"),
        (None, "::ffff:0.0.0.0"),
        ("127.0.0.1", None),
        ("::1", None),
    ],
)
def test_what_reaches_this_machine_is_direct(name: str | None, ip: str | None) -> None:
    via, rule = rules.decide((), name, ip, 80, unasked)
    assert via == "direct"
    assert rule.source == "built in"
    assert rules.decide(routes("*=proxy"), name, ip, 80, unasked)[0] == "proxy"


@pytest.mark.parametrize(
    ("name", "ip"),
    [
        ("example.com", None),
        ("notlocalhost", None),
        ("localhost.example.com", None),
        ("127.0.0.1.example.com", None),
        (None, "128.0.0.1"),
        (None, "0.0.0.1"),
        (None, "::2"),
        (None, "::7f00:1"),
        ("x" * 300, None),
    ],
)
def test_everything_else_goes_through_the_proxy(name: str | None, ip: str | None) -> None:
    assert rules.decide((), name, ip, 80) == ("proxy", rules.DEFAULT)


@pytest.mark.parametrize(
    ("name", "ip", "asked"),
    [
        (None, "10.0.0.1", "10.0.0.1"),
        ("x.example", "10.0.0.1", "10.0.0.1"),
        (None, "::ffff:10.0.0.1", "10.0.0.1"),
        (None, "fe80::1%eth0", "fe80::1%eth0"),
        ("10.0.0.1", None, "10.0.0.1"),
    ],
)
def test_the_machines_own_addresses_are_asked_for_last(name: str | None, ip: str | None, asked: str) -> None:
    questions: list[str] = []

    def is_own(address: str) -> bool:
        questions.append(address)
        return True

    assert rules.decide((), name, ip, 80, is_own) == ("direct", rules.OWN)
    assert questions == [asked]
    assert rules.decide(routes(":80=block"), name, ip, 80, unasked)[0] == "block"


def test_names_are_never_asked_for() -> None:
    assert rules.decide((), "x.example", None, 80, unasked)[0] == "proxy"


@given(st.none() | st.text(), st.none() | st.text() | st.ip_addresses().map(str), st.integers(0, 65535))
def test_any_target_has_a_decision(name: str | None, ip: str | None, port: int) -> None:
    via, rule = rules.decide(routes("*.x=tor", "10.0.0.0/8=block"), name, ip, port)
    assert rule.via == via in ("tor", "block", "direct", "proxy")


def test_the_source_and_the_text_are_kept() -> None:
    rule = rules.parse(" .corp.example = tor ", "SOCKSIFY_ROUTES", {"tor": TOR})
    assert (rule.text, rule.source, rule.via) == (".corp.example=tor", "SOCKSIFY_ROUTES", "tor")


@pytest.mark.parametrize("via", ["direct", "block", "proxy", "tor", "tor+proxy", "proxy+tor", "tor+tor"])
def test_vias(via: str) -> None:
    assert rules.parse(f"*={via}", "", {"tor": TOR}).via == via


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected MATCH=VIA"),
        ("*", "expected MATCH=VIA"),
        ("*=", "expected MATCH=VIA"),
        ("=direct", "expected a name, a network, a port"),
        ("socks5h://u:S3cr3t@gw=direct", "expected MATCH=VIA"),
        ("*=nobody", "'nobody': no proxy of that name; expected direct, block, proxy, tor, a\\+b, or a URL"),
        ("*=Direct", "no proxy of that name"),
        ("*=tor+nobody", "no proxy of that name"),
        ("*=tor+", "no proxy of that name"),
        ("*=tor+direct", "direct cannot be part of a chain"),
        ("*=block+tor", "block cannot be part of a chain"),
        ("*=u:S3cr3t@gw", "no proxy of that name"),
        ("*=ftp://u:S3cr3t@gw", "unknown scheme"),
        ("10.0.0.1/8=direct", "bits behind the network"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^--route: .*{reason}") as caught:
        rules.parse(text, "--route", {"tor": TOR})
    assert "S3cr3t" not in str(caught.value)


def test_a_url_becomes_a_named_chain_without_its_password() -> None:
    proxies: rules.Proxies = {}
    rule = rules.parse("*.a=socks5h://u:S3cr3t@gw:1", "--route", proxies)
    again = rules.parse("*.b=socks5h://u:S3cr3t@gw:1", "--route", proxies)
    other = rules.parse("*.c=socks5h://u:0ther@gw:1,http://b:2", "--route", proxies)
    same_look = rules.parse("*.d=socks5h://u:0ther@gw:1", "--route", proxies)
    assert rule.text == "*.a=socks5h://u:***@gw:1"
    assert rule.via == again.via
    assert len({rule.via, other.via, same_look.via}) == 3 == len(proxies)
    assert proxies[rule.via][0].password == b"S3cr3t"
    assert proxies[same_look.via][0].password == b"0ther"
    assert [hop.host for hop in proxies[other.via]] == ["gw", "b"]
    assert "S3cr3t" not in repr(rule) + repr(proxies)


def test_direct_takes_a_match_alone() -> None:
    assert rules.parse_direct(" 10.0.0.0/8", "--direct") == rules.parse("10.0.0.0/8=direct", "--direct")
    with pytest.raises(ConfigError, match=r"^--direct: 'x=direct': expected a MATCH alone"):
        rules.parse_direct("x=direct", "--direct")


@pytest.mark.parametrize(
    ("host", "port", "via"),
    [
        ("a.example", 22, "direct"),
        ("a.example", 80, "proxy"),
        ("a.example", None, "proxy"),
        ("b.example", None, "tor"),
        ("c.example", None, "block"),
        ("d.lan", None, "tor"),
        ("e.lan", None, "direct"),
        ("localhost", None, "direct"),
        ("10.1.2.3", None, "direct"),
        ("::1", None, "direct"),
        ("203.0.113.5", None, "proxy"),
    ],
)
def test_a_look_up_without_a_port_is_direct_only_if_every_port_is(host: str, port: int | None, via: str) -> None:
    given = routes(
        "a.example:22=direct",
        "b.example:443=tor",
        "c.example:25=block",
        "d.lan:443=tor",
        "*.lan=direct",
        "10.0.0.0/8=direct",
    )
    assert rules.decide_name(given, host, port)[0] == via


def test_an_undecided_rule_leaves_it_to_the_built_in_end() -> None:
    """It also outranks the rules behind it, in look-ups as well, except if it is about some ports only."""
    otherwise = Rule("via('tor')", "scope", "tor")
    undecided = rules.parse("*.corp.example=direct", "test").replace(via=rules.UNDECIDED)
    limited = rules.parse("*.lab.example:80=direct", "test").replace(via=rules.UNDECIDED)
    local = rules.parse("127.0.0.0/8=direct", "test").replace(via=rules.UNDECIDED)
    listed = (undecided, limited, local, rules.parse("*=block", "test"))
    assert rules.decide(listed, "a.corp.example", None, 80, default=otherwise) == ("tor", otherwise)
    assert rules.decide(listed, "b.example", None, 80, default=otherwise)[0] == "block"
    assert rules.decide(listed, None, "127.0.0.1", 80, default=otherwise)[0] == "direct"
    assert rules.decide_name(listed, "a.corp.example", None, otherwise) == ("tor", otherwise)
    assert rules.decide_name(listed, "a.lab.example", None, otherwise)[0] == "block"
    assert rules.decide_name(listed, "a.lab.example", 80, otherwise)[0] == "tor"
