import pickle

import pytest

from socksify.config import rules
from socksify.config.settings import ConfigError, Proxy, Rule, Settings

GATEWAY = Proxy("socks5h", "gw", 1080, None, b"joe", b"S3cr3t")
TOR = Proxy("socks5", "::1", 9050, name="tor")


def test_no_spelling_of_a_proxy_shows_its_password() -> None:
    settings = Settings(proxy=(GATEWAY,), proxies={"gw": (GATEWAY,)})
    for text in (repr(GATEWAY), str(GATEWAY), GATEWAY.url, GATEWAY.address, f"{GATEWAY}", repr(settings)):
        assert "S3cr3t" not in text
    assert pickle.loads(pickle.dumps(GATEWAY)) == GATEWAY


@pytest.mark.parametrize(
    ("proxy", "address", "url"),
    [
        (GATEWAY, "gw:1080", "socks5h://joe:***@gw:1080"),
        (TOR, "[::1]:9050", "socks5://[::1]:9050"),
        (Proxy("socks4", "gw", 1, None, b"a@b:c"), "gw:1", "socks4://a%40b%3Ac@gw:1"),
        (Proxy("socks5h", "localhost", 0, "/run/a b"), "/run/a b", "socks5h://localhost/run/a%20b"),
    ],
)
def test_address_and_url(proxy: Proxy, address: str, url: str) -> None:
    assert proxy.address == address
    assert proxy.url == url


def test_who_resolves_names_is_as_in_curl() -> None:
    remote = {
        scheme: Proxy(scheme, "gw", 1080).remote_names for scheme in ("socks4", "socks4a", "socks5", "socks5h", "http")
    }
    assert remote == {"socks4": False, "socks4a": True, "socks5": False, "socks5h": True, "http": True}


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


def test_config_errors_are_one_line() -> None:
    assert str(ConfigError("/a\nb/socksify.toml: no")) == "/a b/socksify.toml: no"


def rule(match: str) -> Rule:
    return rules.parse(f"{match}=block", "test")


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
def test_matches(match: str, name: str | None, ip: str | None, port: int) -> None:
    assert rule(match).matches(name, ip, port)


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
def test_matches_not(match: str, name: str | None, ip: str | None, port: int) -> None:
    assert not rule(match).matches(name, ip, port)


def test_addresses_may_be_objects() -> None:
    from ipaddress import ip_address

    assert rule("10.0.0.0/8").matches(None, ip_address("10.1.1.1"), 1)
    assert rule("fd00::/8").matches(None, ip_address("fd00::1%lo"), 1)
