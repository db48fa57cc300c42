"""SOCKS5 messages beyond the table: what is refused, what is forgiven, how many reads it takes."""

from __future__ import annotations

from typing import Any

import pytest

from socksify.protocol import socks5
from socksify.protocol.address import UNSPECIFIED
from socksify.protocol.errors import Garbled
from tests.unit.protocol.messages import ADDRESSES, Message
from tests.unit.protocol.wire import End, parse, script_of


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (socks5.Greeting, b"\x04\x01"),
        (socks5.MethodChoice, b"HT"),
        (socks5.Credentials, b"\x05\x02"),
        (socks5.CredentialsStatus, b"\x02\x00"),
        (socks5.Request, b"\x04\x01\x00\x01\x7f"),
        (socks5.Reply, b"HTTP/"),
    ],
)
def test_another_version_is_garbled(kind: Any, wire: bytes) -> None:
    with pytest.raises(Garbled, match="expected "):
        parse(script_of(kind), wire)


@pytest.mark.parametrize("kind", [socks5.Request, socks5.Reply])
def test_an_unknown_address_type_is_garbled(kind: Any) -> None:
    with pytest.raises(Garbled) as caught:
        parse(script_of(kind), b"\x05\x00\x00\x02\x00")
    assert caught.value.reply == 8


@pytest.mark.parametrize("code", [1, 5, 255])
def test_a_refusal_filled_up_with_zeros_keeps_its_code(code: int) -> None:
    assert parse(socks5.Reply.parse(), bytes((5, code, 0, 0, 0))) == socks5.Reply(code, UNSPECIFIED)


def test_the_reserved_byte_is_not_looked_at() -> None:
    wire = b"\x05\x00\xff\x01\x7f\x00\x00\x01\x00\x50"
    assert parse(socks5.Reply.parse(), wire).address.host == "127.0.0.1"


def test_a_status_in_the_version_of_socks_is_understood() -> None:
    assert parse(socks5.CredentialsStatus.parse(), b"\x05\x00") == socks5.CredentialsStatus(0)


@pytest.mark.parametrize("user", [b"", b"u", b"u" * 255, b"u" * 256])
@pytest.mark.parametrize("password", [b"", b"p", b"p" * 255, b"p" * 256])
def test_credentials_are_255_bytes_each_at_most(user: bytes, password: bytes) -> None:
    credentials = socks5.Credentials(user, password)
    if 1 <= len(user) <= 255 and len(password) <= 255:
        assert parse(script_of(socks5.Credentials), credentials.encode()) == credentials
    else:
        with pytest.raises(ValueError, match="255") as caught:
            credentials.encode()
        assert "uuu" not in str(caught.value)
        assert "ppp" not in str(caught.value)


def test_credentials_are_not_shown() -> None:
    assert repr(socks5.Credentials(b"aladdin", b"sesame")) == "Credentials(user=***, password=***)"


def test_a_client_that_sends_an_empty_password_is_read_for_the_server_to_judge() -> None:
    assert parse(script_of(socks5.Credentials), b"\x01\x01u\x00") == socks5.Credentials(b"u", b"")


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: a.name)
def test_a_reply_takes_two_reads_whatever_the_address(address: Message) -> None:
    end = End(socks5.Reply.parse())
    end.hear(b"\x05\x00\x00" + address.wire)
    assert end.reads == [5, len(address.wire) - 2]


def test_every_code_of_the_rfc_has_its_words() -> None:
    assert sorted(socks5.REPLIES) == list(range(9))
