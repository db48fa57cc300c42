from __future__ import annotations

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socksify.config import proxy_url
from socksify.config.errors import ConfigError
from socksify.config.proxy_url import Malformed, Proxy, check_credentials, parse_userinfo, quote, unquote
from socksify.config.settings import Settings

GATEWAY = Proxy("socks5h", "gw", 1080, None, b"joe", b"S3cr3t")
TOR = Proxy("socks5", "::1", 9050, name="tor")

ACCEPTED = {
    "gw": Proxy("socks5h", "gw", 1080),
    "gw:99": Proxy("socks5h", "gw", 99),
    "GW.Example.:1": Proxy("socks5h", "gw.example", 1),
    "socks4://gw": Proxy("socks4", "gw", 1080),
    "socks4a://gw:65535": Proxy("socks4a", "gw", 65535),
    "SOCKS5://gw/": Proxy("socks5", "gw", 1080),
    "socks5h://10.0.0.1:1081": Proxy("socks5h", "10.0.0.1", 1081),
    "http://gw:8080/": Proxy("http", "gw", 8080),
    "http://gw": Proxy("http", "gw", 1080),
    "[::1]": Proxy("socks5h", "::1", 1080),
    "socks5h://[FD00::1]:99": Proxy("socks5h", "fd00::1", 99),
    "socks5h://[fe80::1%25eth0]:99": Proxy("socks5h", "fe80::1%eth0", 99),
    "socks5h://[fe80::1%Eth0]": Proxy("socks5h", "fe80::1%Eth0", 1080),
    "socks5h://bücher.example": Proxy("socks5h", "xn--bcher-kva.example", 1080),
    "my_gw-1": Proxy("socks5h", "my_gw-1", 1080),
    "socks5h://u:p@gw": Proxy("socks5h", "gw", 1080, None, b"u", b"p"),
    "u:p@gw:1": Proxy("socks5h", "gw", 1, None, b"u", b"p"),
    "socks5h://u:p@w@gw": Proxy("socks5h", "gw", 1080, None, b"u", b"p@w"),
    "socks5://a%3ab:%2F%00%ff@[::1]:9": Proxy("socks5", "::1", 9, None, b"a:b", b"/\0\xff"),
    "socks5h://ü:é@gw": Proxy("socks5h", "gw", 1080, None, "ü".encode(), "é".encode()),
    "socks4://joe@gw": Proxy("socks4", "gw", 1080, None, b"joe", None),
    "http://joe@gw": Proxy("http", "gw", 1080, None, b"joe", None),
    "socks5h://localhost/run/tor.sock": Proxy("socks5h", "localhost", 0, "/run/tor.sock"),
    "socks5h:///run/a%20b%3F%40.sock": Proxy("socks5h", "localhost", 0, "/run/a b?@.sock"),
    "socks5://u:p@localhost/s": Proxy("socks5", "localhost", 0, "/s", b"u", b"p"),
    "/run/tor.sock": Proxy("socks5h", "localhost", 0, "/run/tor.sock"),
    "socks5h://localhost/": Proxy("socks5h", "localhost", 1080),
}


@pytest.mark.parametrize(("text", "proxy"), ACCEPTED.items())
def test_accepted(text: str, proxy: Proxy) -> None:
    assert proxy_url.parse(text, "--proxy") == proxy


REFUSED = {
    "": "expected a host",
    "socks5h://": "expected a host",
    "socks5h:///": "expected a host",
    "socks5h://:1080": "expected a host",
    "://gw": "unknown scheme, expected one of socks4, socks4a, socks5, socks5h, http",
    "ftp://gw": "unknown scheme",
    "https://gw": "unknown scheme",
    "socks6://gw": "unknown scheme",
    "socks://gw": "does not say which version, write socks5h",
    "socks5h://socks5h://gw": "nothing may follow the port",
    "gw:": "the port has to be",
    "gw:0": "the port has to be",
    "gw:65536": "the port has to be",
    "gw:-1": "the port has to be",
    "gw:+80": "the port has to be",
    "gw:1080x": "the port has to be",
    "gw:٣": "the port has to be",
    "gw:" + "1" * 5000: "the port has to be",
    "gw:1080:2": "IPv6 address has to be in brackets",
    "::1": "IPv6 address has to be in brackets",
    "[::1": "expected \\[IPv6 address\\]",
    "[::1]x": "expected \\[IPv6 address\\]",
    "[::1]:": "the port has to be",
    "[]": "no IPv6 address",
    "[10.0.0.1]": "no IPv6 address",
    "[gw]": "no IPv6 address",
    "[fe80::1%]": "no IPv6 address",
    "10.0.0.256": "not an IPv4 address",
    "10.1": "not an IPv4 address",
    "gw/path": "nothing may follow the port",
    "localhost:1080/path": "nothing may follow the port",
    "socks5h:///run/a@b": "percent-encode / in credentials and @ in a path",
    "u:p/w@gw": "percent-encode / in credentials",
    "gw?x": "no query",
    "gw#x": "no query",
    "gw:1080?": "no query",
    " gw": "blanks",
    "gw ": "blanks",
    "gw\n": "blanks",
    "g\0w": "blanks",
    "gw\x7f": "blanks",
    "gw\u2028": "blanks",
    "gw\udcff": "blanks",
    "g%77": "no valid name",
    "a..b": "no valid name",
    ".gw": "no valid name",
    "x" * 64: "no valid name",
    "a." * 130 + "a": "expected a host",
    "gw\\": "no valid name",
    "ü" * 70: "no valid name",
    "@gw": "the user has to be",
    ":p@gw": "the user has to be",
    "u@gw": "a password of 1 to 255",
    "u:" + "p" * 256 + "@gw": "a password of 1 to 255",
    "socks4://u:p@gw": "SOCKS4 has no password",
    "socks5h:///" + "x" * 107: "at most 107 bytes",
    "socks5h:///a%00b": "no null byte",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^SOCKSIFY_PROXY: '.*': .*{reason}") as caught:
        proxy_url.parse(text, "SOCKSIFY_PROXY")
    assert len(str(caught.value).splitlines()) == 1


def test_a_socket_path_may_fill_the_address() -> None:
    assert proxy_url.parse("/" + "x" * 106, "").path == "/" + "x" * 106


def test_the_scheme_of_a_bare_host_can_be_another() -> None:
    assert proxy_url.parse("gw", "SOCKS4_SERVER", "socks4") == Proxy("socks4", "gw", 1080)
    assert proxy_url.parse("socks5://gw", "SOCKS4_SERVER", "socks4").scheme == "socks5"


@given(st.one_of(st.text(), st.text("sock5h4ap:/@[]%?#,.01x")))
@example("socks5h://[::ffff:1.2.3.4]")
@example("/%80")
def test_any_text_is_a_proxy_or_a_config_error(text: str) -> None:
    try:
        proxy = proxy_url.parse(text, "--proxy")
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert proxy.path or 1 <= proxy.port <= 65535
        assert proxy_url.parse(proxy.url.replace("***", "secret"), "").replace(password=None) == proxy.replace(
            password=None
        )


SECRET = "S3cr"
TRICKY = st.lists(st.sampled_from([*":/@,?#%[]=é \n+&x\udcff", "://", "%zz"]), max_size=8).map("".join)


@given(st.sampled_from(["", "socks5h://", "ftp://", "socks://", "socks4://", "http://"]), TRICKY, TRICKY, TRICKY)
@example("socks5h://", "", ",", "")
@example("", "", "://", ":x")
@example("", "", "@/", "")
def test_no_error_ever_shows_a_password(scheme: str, before: str, after: str, place: str) -> None:
    """The password may contain any unquoted character, and the text around it may be wrong."""
    text = f"{scheme}user:{before}{SECRET}{after}{SECRET}@gw{place.replace('@', '')}"
    for read in (proxy_url.parse, proxy_url.parse_chain):
        try:
            shown = repr(read(text, "--proxy"))
        except ConfigError as error:
            shown = repr(error) + repr(error.__context__)
        assert SECRET not in shown


@given(st.binary(min_size=1, max_size=255), st.binary(min_size=1, max_size=255))
def test_credentials_come_out_as_they_were_quoted(user: bytes, password: bytes) -> None:
    proxy = proxy_url.parse(f"socks5h://{quote(user)}:{quote(password)}@gw", "")
    assert (proxy.user, proxy.password) == (user, password)


A, B = Proxy("socks5h", "a", 1080), Proxy("http", "b", 8080)


def test_a_chain_is_a_list_with_commas_or_several_values() -> None:
    assert proxy_url.parse_chain("a,http://b:8080", "") == (A, B)
    assert proxy_url.parse_chain(["a", "http://b:8080"], "") == (A, B)
    assert proxy_url.parse_chain(("a,a", "http://b:8080"), "") == (A, A, B)


def test_a_hop_may_be_a_named_proxy() -> None:
    assert proxy_url.parse_chain("tor,http://b:8080", "", {"tor": (A, A)}) == (A, A, B)


@pytest.mark.parametrize("value", ["", ",", "a,", ",a", "a,,b", ["a", ""]])
def test_a_chain_has_no_gaps(value: str | list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^--proxy: .*expected a host"):
        proxy_url.parse_chain(value, "--proxy")


def test_a_chain_has_a_hop() -> None:
    with pytest.raises(ConfigError, match=r"^install\(proxy=\): no proxy"):
        proxy_url.parse_chain([], "install(proxy=)")


def test_a_unix_socket_is_reachable_from_here_only() -> None:
    assert proxy_url.parse_chain("/run/tor.sock,a", "")[0].path == "/run/tor.sock"
    with pytest.raises(ConfigError, match=r"^--proxy: 'socks5h://localhost/run/tor.sock': a Unix socket"):
        proxy_url.parse_chain("a,/run/tor.sock", "--proxy")


def test_credentials_from_beside_the_url() -> None:
    assert proxy_url.with_credentials(A, "ü", "p\udcff", "SOCKS5_USER") == A.replace(
        user="ü".encode(), password=b"p\xff"
    )
    with pytest.raises(ConfigError, match=r"^SOCKS5_USER: with a user, SOCKS5 wants a password"):
        proxy_url.with_credentials(A, "u", None, "SOCKS5_USER")


@pytest.mark.parametrize(
    ("text", "credentials"),
    [
        ("u:@gw", [(b"u", b"")]),
        ("http://:p@gw", [(b"", b"p")]),
        ("http://t:@gw", [(b"t", b"")]),
        ("http://u:" + "p" * 4000 + "@gw", [(b"u", b"p" * 4000)]),
        ("socks5h://u:a,b@gw", [(b"u", b"a,b")]),
        ("socks5h://u:,@gw", [(b"u", b",")]),
        ("u:a,b,,c@gw:1,http://gw", [(b"u", b"a,b,,c"), (None, None)]),
        ("gw,socks5h://u:a,b@gw,u:p@gw", [(None, None), (b"u", b"a,b"), (b"u", b"p")]),
        ("gw,u:p@gw", [(None, None), (b"u", b"p")]),
        ("socks5h://u:a%2Cb@gw", [(b"u", b"a,b")]),
    ],
)
def test_credentials_that_are_empty_long_or_have_commas(text: str, credentials: list[object]) -> None:
    assert [(proxy.user, proxy.password) for proxy in proxy_url.parse_chain(text, "")] == credentials


@pytest.mark.parametrize(
    "text", ["socks4://u,v@gw", "socks5h://u:12,b:c@gw", "socks5h://gw:1080,u:p@gw2", "http://u,v:p@gw"]
)
def test_a_comma_that_may_mean_both_is_refused(text: str) -> None:
    """If it were accepted, a password would be sent to a host that is no proxy of the user."""
    with pytest.raises(ConfigError, match="has to be written %2C"):
        proxy_url.parse_chain(text, "")


@pytest.mark.parametrize("text", ["gw:108O,gw2", "socks5h://u:a,b", "u:a,b@", "gw,,gw", "socks5h://u:a,http://b:c@gw"])
def test_a_comma_makes_no_sense_of_what_is_none(text: str) -> None:
    with pytest.raises(ConfigError):
        proxy_url.parse_chain(text, "")


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


@given(st.binary(max_size=300))
def test_quoted_bytes_come_back(data: bytes) -> None:
    assert unquote(quote(data)) == data


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("a%40b", b"a@b"),
        ("%c3%A9", b"\xc3\xa9"),
        ("é", b"\xc3\xa9"),
        ("%00%ff", b"\0\xff"),
        ("100%", b"100%"),
        ("%4", b"%4"),
        ("%zz%41", b"%zzA"),
        ("%%41", b"%A"),
        ("%+1%4é", b"%+1%4\xc3\xa9"),
    ],
)
def test_a_percent_sign_without_two_hex_digits_is_itself(text: str, data: bytes) -> None:
    assert unquote(text) == data


def test_quote_keeps_what_it_is_told_to() -> None:
    assert quote(b"/run/a b", b"/") == "/run/a%20b"


def test_isolation_does_not_replace_a_user() -> None:
    with_user, without = Proxy("socks5h", "gw", 1080, None, b"joe", b"S3cr3t"), Proxy("socks5h", "gw", 1080)
    proxy_url.check_isolated((with_user, without), "host", "--isolate")
    proxy_url.check_isolated((with_user,), "none", "--isolate")
    with pytest.raises(ConfigError, match=r"^--isolate: 'host': .* has a user already") as caught:
        proxy_url.check_isolated((without, with_user), "host", "--isolate")
    assert "S3cr3t" not in str(caught.value)


LONGEST = b"x" * 255


@pytest.mark.parametrize(
    ("scheme", "user", "password"),
    [
        ("socks5", b"u", b"p"),
        ("socks5h", LONGEST, LONGEST),
        ("socks5h", b"\0:@", b"\xff\0"),
        ("socks4", b"u", None),
        ("socks4a", LONGEST, None),
        ("http", b"u", None),
        ("http", b"u", b""),
        ("http", "ü".encode(), b":p:"),
        ("http", b"", b"p"),
        ("http", LONGEST + b"x", LONGEST + b"x"),
        ("socks5", b"u", b""),
    ],
)
def test_what_the_protocols_carry(scheme: str, user: bytes, password: bytes | None) -> None:
    check_credentials(user, password, scheme)


@pytest.mark.parametrize(
    ("scheme", "user", "password", "reason"),
    [
        ("socks5h", b"", b"p", "the user has to be 1 to 255 bytes"),
        ("socks5h", LONGEST + b"x", b"p", "the user has to be 1 to 255 bytes"),
        ("socks5h", b"u", LONGEST + b"x", "a password of 1 to 255 bytes"),
        ("socks5", b"u", None, "a password of 1 to 255 bytes"),
        ("socks4", b"u", b"p", "SOCKS4 has no password"),
        ("socks4a", b"u", b"", "SOCKS4 has no password"),
        ("socks4", b"a\0b", None, "null byte"),
        ("http", b"a:b", b"p", "no colon"),
        ("http", b"a", b"p\r\nX: y", "control characters"),
        ("http", b"a\x7f", b"p", "control characters"),
    ],
)
def test_what_they_do_not(scheme: str, user: bytes, password: bytes | None, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        check_credentials(user, password, scheme)


def test_userinfo_is_cut_at_the_first_colon_and_decoded() -> None:
    assert parse_userinfo("a%3Ab:c:d%40", "socks5h") == (b"a:b", b"c:d@")
    assert parse_userinfo("name", "socks4") == (b"name", None)
