"""proxychains4 is told only what it can obey, and never to be more direct than the rules are."""

from __future__ import annotations

import pytest

from socksify.config import load
from socksify.config.errors import ConfigError
from socksify.config.settings import Settings
from socksify.patches.children import proxychains

LOOPBACK = ["localnet 127.0.0.0/255.0.0.0", "localnet ::1/128", "localnet 0.0.0.0/255.255.255.255", "localnet ::/128"]


def settings(*routes: str, proxy: str = "socks5h://10.9.9.9", **given: object) -> Settings:
    return load({"proxy": proxy, "routes": list(routes), **given}, {}, "/")


def lines(*routes: str, **given: str) -> list[str]:
    return proxychains.configuration(settings(*routes, **given), {}).splitlines()


def direct(*routes: str) -> list[str]:
    return [line for line in lines(*routes) if line.startswith("localnet")][1:]


def test_the_usual() -> None:
    assert lines(proxy="socks5h://joe:S3cr3t@10.9.9.9,http://inner:3128") == [
        "strict_chain",
        "quiet_mode",
        "tcp_read_time_out 30000",
        "tcp_connect_time_out 30000",
        "proxy_dns",
        "localnet 10.9.9.9:1080/255.255.255.255",
        *LOOPBACK,
        "[ProxyList]",
        "socks5 10.9.9.9 1080 joe S3cr3t",
        "http inner 3128",
    ]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (["10.0.0.0/8=direct"], ["localnet 10.0.0.0/255.0.0.0", *LOOPBACK]),
        (["10.0.0.0/8:443=direct"], ["localnet 10.0.0.0:443/255.0.0.0", *LOOPBACK]),
        (["fd00::/8=direct"], ["localnet fd00::/8", *LOOPBACK]),
        (["[fd00::]:80=direct"], ["localnet [fd00::]:80/128", *LOOPBACK]),
        (["10.1.0.0/16=proxy", "10.0.0.0/8=direct", "11.0.0.0/8=direct"], ["localnet 11.0.0.0/255.0.0.0", *LOOPBACK]),
        (["10.0.0.0/8=block", "10.1.0.0/16=direct"], LOOPBACK),
        (["*.lan=proxy", "10.0.0.0/8=direct"], ["localnet 10.0.0.0/255.0.0.0", *LOOPBACK]),
        ([":25=block", "10.0.0.0/8=direct"], []),
        (["127.0.0.0/8=proxy"], LOOPBACK[1:]),
        (["10.0.0.0/8:1-99=direct", "*.lan=direct", ":443=direct"], LOOPBACK),
    ],
)
def test_direct_networks(routes: list[str], expected: list[str]) -> None:
    assert direct(*routes) == expected


def test_who_resolves_names() -> None:
    assert "proxy_dns" in lines(proxy="socks4a://10.9.9.9")
    assert "proxy_dns" not in lines(proxy="socks5://10.9.9.9")
    assert "proxy_dns" in proxychains.configuration(settings(proxy="socks5://10.9.9.9", dns="remote"), {})


def test_what_is_lost_is_known() -> None:
    routes = ("*.lan=direct", "10.0.0.0/8=direct", ":25=block", "a=proxy", "b=socks5://other", "10.1.0.0/16=direct")
    assert proxychains.lost_rules(settings(*routes)) == [
        "*.lan=direct",
        ":25=block",
        "b=socks5://other:1080",
        "10.1.0.0/16=direct",
    ]


def test_names_of_first_hops_have_addresses() -> None:
    named = settings("x=socks5h://other", proxy="socks5h://gw,http://inner")
    numbers = {"gw": "10.0.0.1", "other": "fd00::2"}
    text = proxychains.configuration(proxychains.with_addresses(named, numbers), numbers)
    assert proxychains.noted_addresses(text) == numbers
    assert "socks5 10.0.0.1 1080\nhttp inner 1080" in text
    assert "localnet [fd00::2]:1080/128" in text


@pytest.mark.parametrize(
    "proxy", ["socks5h://localhost/a/b", "socks5h://a%20b:c@10.0.0.1", "socks5h://a:%C3%A4@10.0.0.1"]
)
def test_what_cannot_be_written_is_an_error(proxy: str) -> None:
    with pytest.raises(ConfigError, match="native"):
        proxychains.configuration(settings(proxy=proxy), {})
