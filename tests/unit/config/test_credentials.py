import pytest

from socksify.config.proxy_url import Malformed, check_credentials, parse_userinfo

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
