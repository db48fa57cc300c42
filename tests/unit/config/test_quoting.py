import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.config.quoting import masked, quote, unquote


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gw:1080", "gw:1080"),
        ("socks5h://gw", "socks5h://gw"),
        ("socks5h://u:p@gw", "socks5h://***@gw"),
        ("u:p@gw", "***@gw"),
        ("socks5h://u:p@w/o,r#d@gw", "socks5h://***@gw"),
        ("u:p://w@gw", "***@gw"),
        ("socks5h://u:p@a,socks5h://u:q@b", "socks5h://***@b"),
        ("*.x=socks5h://u:p@gw", "***@gw"),
        ("@", "***@"),
    ],
)
def test_credentials_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
