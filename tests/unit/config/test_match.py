from __future__ import annotations

import re

import pytest

from socksify.config import match as config_match
from socksify.config.errors import ConfigError
from socksify.config.ip import fold, parse_ip
from socksify.config.match import Match
from socksify.config.match import parse as parse_match

ALL_128 = (1 << 128) - 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("*", Match()),
        ("*:25", Match(ports=(25, 25))),
        (":25", Match(ports=(25, 25))),
        (":1024-65535", Match(ports=(1024, 65535))),
        ("host", Match(glob=("host",))),
        ("Host.:80", Match(glob=("host",), ports=(80, 80))),
        ("*.Corp.example", Match(glob=("", ".corp.example"))),
        ("a*b*", Match(glob=("a", "b", ""))),
        (".corp.example", Match(domain="corp.example")),
        (".corp:80-81", Match(domain="corp", ports=(80, 81))),
        ("10.0.0.0/8", Match(network=(32, 0xFF000000, 0x0A000000))),
        ("10.1.2.3:80", Match(network=(32, 0xFFFFFFFF, 0x0A010203), ports=(80, 80))),
        ("10.1.2.3/32", Match(network=(32, 0xFFFFFFFF, 0x0A010203))),
        ("0.0.0.0/0", Match(network=(32, 0, 0))),
        ("::1", Match(network=(128, ALL_128, 1))),
        ("[::1]", Match(network=(128, ALL_128, 1))),
        ("[::1]:80", Match(network=(128, ALL_128, 1), ports=(80, 80))),
        ("fd00::/8", Match(network=(128, 0xFF << 120, 0xFD << 120))),
        ("[fd00::/8]:80", Match(network=(128, 0xFF << 120, 0xFD << 120), ports=(80, 80))),
        ("::1/128", Match(network=(128, ALL_128, 1))),
        ("::/0", Match(network=(128, 0, 0))),
        ("::ffff:10.0.0.0/104", Match(network=(32, 0xFF000000, 0x0A000000))),
        ("my_host-1", Match(glob=("my_host-1",))),
        ("1password.example", Match(glob=("1password.example",))),
    ],
)
def test_accepted(text: str, match: Match) -> None:
    assert config_match.parse(text, "--route") == match


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a name"),
        (".", "expected a name"),
        ("..", "expected a name"),
        ("a..b", "expected a name"),
        ("*..b", "expected a name"),
        (".*.b", "expected a name"),
        ("-", "expected a name"),
        ("-._", "expected a name"),
        ("a b", "expected a name"),
        ("a?", "expected a name"),
        ("[a]", "expected \\[IPv6 address\\]"),
        ("[::1", "expected \\[IPv6 address\\]"),
        ("[::1]80", "expected \\[IPv6 address\\]"),
        ("corp.example/8", "no such address"),
        ("10.0.0.256", "no such address"),
        ("10.1", "no such address"),
        ("::1::", "no such address"),
        ("[::g]", "no such address"),
        ("10.*", "matched by networks"),
        ("*.1.2", "matched by networks"),
        ("10.0.0.0/33", "has to be 0 to 32"),
        ("10.0.0.0/", "has to be 0 to 32"),
        ("10.0.0.0/-1", "has to be 0 to 32"),
        ("10.0.0.0/255.0.0.0", "has to be 0 to 32"),
        ("10.0.0.0/8/8", "has to be 0 to 32"),
        ("10.0.0.0/0008", "has to be 0 to 32"),
        ("::/129", "has to be 0 to 128"),
        ("::ffff:10.0.0.0/95", "has to be 0 to 128"),
        ("fd00::/8:80", "has to be 0 to 128"),
        ("10.0.0.5/8", "bits behind the network"),
        ("fd00::1/8", "bits behind the network"),
        ("::ffff:10.0.0.1/104", "bits behind the network"),
        ("host:", "a port number or a range"),
        ("host:http", "a port number or a range"),
        (":80-", "a port number or a range"),
        (":-80", "a port number or a range"),
        (":80-90-100", "a port number or a range"),
        (":٣", "a port number or a range"),
        (":000080", "a port number or a range"),
        ("[::1]:", "a port number or a range"),
        ("[::1]:80]", "a port number or a range"),
        (":0", "ports are 1 to 65535"),
        (":65536", "ports are 1 to 65535"),
        (":90-80", "ports are 1 to 65535"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^--route: '.*': .*{reason}"):
        config_match.parse(text, "--route")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("example.com", Match(domain="example.com")),
        (".Example.com.", Match(domain="example.com")),
        ("*.example.com", Match(domain="example.com")),
        ("example.com:80", Match(domain="example.com", ports=(80, 80))),
        ("localhost", Match(domain="localhost")),
        ("*", Match()),
        ("10.1.2.3", Match(network=(32, 0xFFFFFFFF, 0x0A010203))),
        ("10.1.2.3/8", Match(network=(32, 0xFF000000, 0x0A000000))),
        ("10.1.2.3/8:80", Match(network=(32, 0xFF000000, 0x0A000000), ports=(80, 80))),
        ("::1", Match(network=(128, ALL_128, 1))),
        ("[::1]:80", Match(network=(128, ALL_128, 1), ports=(80, 80))),
    ],
)
def test_exceptions_of_no_proxy(text: str, match: Match) -> None:
    assert config_match.parse_exception(text, "NO_PROXY") == match


@pytest.mark.parametrize("text", ["169.254/16", "10.1.2.3/33", "a..b", "10.*", "."])
def test_exceptions_that_mean_nothing(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^NO_PROXY: "):
        config_match.parse_exception(text, "NO_PROXY")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (":80", "a name, an address or a network in front of the colon"),
        ("*:80", "a name, an address or a network in front of the colon"),
        ("[a", r"\[IPv6 address\]"),
        ("example.com:http", "a port number or a range"),
    ],
)
def test_the_error_of_an_exception_names_its_source_and_its_text(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^NO_PROXY: '{re.escape(text)}': expected {reason}"):
        config_match.parse_exception(text, "NO_PROXY")


def covers(match: Match, name: str | None, ip: str | None, port: int) -> bool:
    return match.covers(None if name is None else fold(name), None if ip is None else parse_ip(ip), port)


@pytest.mark.parametrize(
    ("match", "name", "ip", "port"),
    [
        ("*", None, None, 1),
        ("*", "x", None, 1),
        (":443", "x", None, 443),
        ("*:443", None, "::1", 443),
        (":1-65535", "x", None, 65535),
        ("*.corp.example", "a.b.corp.example", None, 1),
        ("*.corp.example", "A.CORP.example.", None, 1),
        (".corp.example", "corp.example", None, 1),
        (".corp.example", "a.b.Corp.Example", None, 1),
        ("corp.EXAMPLE.", "corp.example", None, 1),
        ("www*.a*b.example", "www12.axb.example", None, 1),
        ("*a*a*", "aa", None, 1),
        ("**", "", None, 1),
        ("bücher.example", "xn--bcher-kva.example", None, 1),
        ("xn--bcher-kva.example", "BÜCHER.example", None, 1),
        ("10.0.0.0/8", None, "10.255.0.1", 1),
        ("10.0.0.0/8", "x", "10.255.0.1", 1),
        ("10.0.0.0/8", None, "::ffff:10.1.1.1", 1),
        ("::ffff:10.0.0.0/104", None, "10.1.1.1", 1),
        ("0.0.0.0/0", None, "1.2.3.4", 1),
        ("10.1.2.3", None, "10.1.2.3", 1),
        ("fd00::/8", None, "fdff::1%eth0", 1),
        ("::/0", None, "2001:db8::1", 1),
        ("fe80::1%eth0", None, "fe80::1", 1),
        ("[::1]:80", None, "::1", 80),
        ("[fd00::/8]:80", None, "fd00::1", 80),
    ],
)
def test_covered(match: str, name: str | None, ip: str | None, port: int) -> None:
    assert covers(config_match.parse(match, "test"), name, ip, port)


@pytest.mark.parametrize(
    ("match", "name", "ip", "port"),
    [
        (":443", "x", None, 80),
        (":80-90", "x", None, 91),
        (":80-90", "x", None, 79),
        ("*.corp.example", "corp.example", None, 1),
        ("*.corp.example", "xcorp.example", None, 1),
        (".corp.example", "xcorp.example", None, 1),
        (".corp.example", "corp.example.org", None, 1),
        ("corp.example", "a.corp.example", None, 1),
        ("corp.example", None, "10.1.1.1", 1),
        ("a*a", "a", None, 1),
        ("a*b*c", "acb", None, 1),
        ("a*bc*c", "abc", None, 1),
        ("ab*b*c", "abc", None, 1),
        ("a*b*c*d", "acbd", None, 1),
        ("10.0.0.0/8", "ten.example", None, 1),
        ("10.0.0.0/8", None, "11.0.0.0", 1),
        ("10.0.0.0/8", None, "fd00::a00:1", 1),
        ("0.0.0.0/0", None, "::1", 1),
        ("::/0", None, "1.2.3.4", 1),
        ("::/0", None, "::ffff:1.2.3.4", 1),
        ("10.1.2.3:80", None, "10.1.2.3", 81),
        ("[::1]:80", None, "::1", 81),
    ],
)
def test_not_covered(match: str, name: str | None, ip: str | None, port: int) -> None:
    assert not covers(config_match.parse(match, "test"), name, ip, port)


@pytest.mark.parametrize(
    ("text", "of_names"),
    [
        ("*.example", True),
        (".example", True),
        ("a.example", True),
        ("10.0.0.0/8", False),
        ("192.0.2.1", False),
        (":25", False),
    ],
)
def test_a_name_or_an_address_decides(text: str, of_names: bool) -> None:
    assert parse_match(text, "").is_of_names is of_names


@pytest.mark.parametrize(
    ("name", "covered"),
    [("axbyc", True), ("abc", True), ("abbc", True), ("acb", False), ("ab", False), ("xbc", False), ("ac", False)],
)
def test_the_pieces_of_a_glob_stand_in_order_and_do_not_overlap(name: str, covered: bool) -> None:
    assert parse_match("a*b*c", "").covers(name, None, 80) is covered
    assert not parse_match("ab*bc", "").covers("abc", None, 80)
