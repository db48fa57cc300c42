from __future__ import annotations

from pathlib import Path

import pytest

from socksify.config import values
from socksify.config.errors import ConfigError
from socksify.config.values import FAKE_NETWORKS, fake_networks


@pytest.mark.parametrize("value", [30, 0.5, "30", "0.5", "1e2", " 7 ", 1 << 60])
def test_seconds(value: object) -> None:
    assert values.seconds(value, "") == float(value)  # type: ignore[arg-type]


NO_NUMBERS = [0, -1, 0.0, -0.0, float("nan"), float("inf"), pytest.param(10**5000, id="huge"), True, None, [], {}, b"5"]
NO_DIGITS = ["0", "-1", "nan", "inf", "-inf", "1e999", "", "x", "1s", "0x10"]


@pytest.mark.parametrize("value", [*NO_NUMBERS, *NO_DIGITS])
def test_no_seconds(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^SOCKSIFY_CONNECT_TIMEOUT: .*expected a number of seconds above 0"):
        values.seconds(value, "SOCKSIFY_CONNECT_TIMEOUT")


def test_texts() -> None:
    assert values.texts("a=b, c ,,d", "") == ("a=b", "c", "d")
    assert values.texts(["a,b", " c"], "") == ("a,b", " c")
    assert values.texts((), "") == values.texts("", "") == ()


def test_half_a_url_does_not_show_half_a_password() -> None:
    with pytest.raises(ConfigError, match=r"^SOCKSIFY_ROUTES: '\*\*\*@gw': a comma in credentials"):
        values.texts("*=socks5h://u:S3,cr3t@gw", "SOCKSIFY_ROUTES")
    both = "*.a=socks5h://gw,*.b=socks5h://u:p@gw"
    assert values.texts(both, "") == tuple(both.split(","))


def test_urls_keep_their_commas() -> None:
    assert values.urls("a,b", "") == ("a,b",)
    assert values.urls(["a", "b,c"], "") == ("a", "b,c")


@pytest.mark.parametrize("read", [values.urls, values.texts])
@pytest.mark.parametrize("value", [1, None, {"a": "S3cr3t"}, [1], ["S3cr3t", 1], b"S3cr3t", {"S3cr3t"}])
def test_no_texts(read: object, value: object) -> None:
    with pytest.raises(ConfigError, match=r"^x: .*expected a text or a list of texts") as caught:
        read(value, "x")  # type: ignore[operator]
    assert "S3cr3t" not in str(caught.value)


def test_one_of() -> None:
    read = values.one_of("auto", "local", "remote")
    assert read("local", "") == "local"
    for value in ("Local", "", 1, None, ["local"]):
        with pytest.raises(ConfigError, match=r"^--dns: .*: expected auto, local or remote$"):
            read(value, "--dns")


def test_path() -> None:
    assert values.path("/a", "") == values.path(Path("/a"), "") == "/a"
    for value in (1, b"/a", None, "a\0b"):
        with pytest.raises(ConfigError, match=r"^--log: .*: expected a file's name$"):
            values.path(value, "--log")


@pytest.mark.parametrize(
    ("value", "ports"),
    [(21, (21,)), ("21, 514", (21, 514)), ([21, 65535], (21, 65535)), (["21", "990,1"], (21, 990, 1)), ((), ())],
)
def test_ports(value: object, ports: tuple[int, ...]) -> None:
    assert values.ports(value, "here") == ports


@pytest.mark.parametrize("value", ["", "0", "65536", "ftp", "-1", 0, 65536, 21.0, True, [None], "٢١", "1" * 6])
def test_what_is_no_port(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^here: .*: expected a port, 1 to 65535$"):
        values.ports(value, "here")


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("", FAKE_NETWORKS),
        ("10.200.0.0/16", ("10.200.0.0/16", FAKE_NETWORKS[1])),
        (["fd00:1::/96"], (FAKE_NETWORKS[0], "fd00:1::/96")),
        ("fd00:1::/64, 240.0.0.0/8", ("240.0.0.0/8", "fd00:1::/64")),
    ],
)
def test_a_family_that_is_not_given_keeps_its_network(value: object, networks: tuple[str, str]) -> None:
    assert fake_networks(value, "test") == networks


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("10.0.0.0", "expected a network such as"),
        ("name/16", "expected a network such as"),
        ("10.0.0.0/x", "expected a network such as"),
        ("::ffff:10.0.0.0/104", "expected a network such as"),
        ("10.0.0.0/25", "256 addresses or more"),
        ("fd00::/121", "256 addresses or more"),
        ("0.0.0.0/0", "up to /8"),
        ("10.1.0.0/8", "bits behind the network's"),
        ("10.0.0.0/8,11.0.0.0/8", "one network of IPv4 and one of IPv6"),
        (5, "a text or a list of texts"),
    ],
)
def test_refused(value: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        fake_networks(value, "test")


@pytest.mark.parametrize(
    ("value", "server"),
    [
        ("", ""),
        ("192.0.2.53", "192.0.2.53:53"),
        ("192.0.2.53:5353", "192.0.2.53:5353"),
        ("[2001:DB8::53]", "[2001:db8::53]:53"),
        ("[::1]:853", "[::1]:853"),
        (" Dns.Example. ", "dns.example:53"),
    ],
)
def test_a_name_server(value: str, server: str) -> None:
    assert values.name_server(value, "here") == server
    assert values.name_server(server, "here") == server


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2001:db8::53", "an IPv6 address has to be in brackets"),
        ("[::1", r"expected \[IPv6 address\]"),
        ("[name]", "no IPv6 address between the brackets"),
        ("10.0.0", "not an IPv4 address"),
        (":53", "expected a host, and a port if it is not 53"),
        (" ", "expected a host, and a port if it is not 53"),
        ("a.example:", "the port has to be a number"),
        ("a.example:0", "the port has to be a number"),
        ("a_b c", "no valid name"),
        ("https://a.example", "an IPv6 address|the port"),
        (53, "expected a host"),
        (None, "expected a host"),
        (["192.0.2.53"], "expected a host"),
    ],
)
def test_no_name_server(value: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^--dns-server: .*({reason})"):
        values.name_server(value, "--dns-server")
