"""Logins: the messages with user and password, which are never shown."""

from __future__ import annotations

import base64
from typing import NamedTuple

import pytest

from socksify.protocol import client, http_connect, socks4
from socksify.protocol.address import Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.credentials import Login, Secret

TARGET = Address.of("name.example", 80)


class Holder(NamedTuple):
    user: bytes | None
    password: bytes | None


def login(user: bytes | None = b"me", password: bytes | None = b"secret") -> Login:
    return Login(Holder(user, password))


def test_a_missing_user_or_password_is_empty() -> None:
    assert (login(None, None).user, login(None, None).password) == (b"", b"")


def test_nothing_of_it_is_shown() -> None:
    assert repr(login()) == repr(login().rfc1929()) == repr(Secret(lambda: b"secret")) == "***"


@pytest.mark.parametrize(
    ("user", "password"), [(b"u", b""), (b"u", b"p"), (b"u" * 255, b"p" * 255), (b"\0\xff", b":\r\n")]
)
def test_rfc_1929(user: bytes, password: bytes) -> None:
    expected = b"\x01" + bytes((len(user),)) + user + bytes((len(password),)) + password
    assert login(user, password).rfc1929().value == expected


@pytest.mark.parametrize(("user", "password"), [(b"", b"p"), (b"u" * 256, b"p"), (b"u", b"p" * 256)])
def test_rfc_1929_has_room_for_255_bytes(user: bytes, password: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 255 bytes long, and the password at most 255"):
        login(user, password).rfc1929()


def test_basic_authentication_is_the_last_field_of_a_head() -> None:
    head = http_connect.ConnectRequest(TARGET).encode()
    field = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:se:cret") + b"\r\n"
    assert login(password=b"se:cret").basic(head).value == head[:-2] + field + b"\r\n"


def test_basic_authentication_has_no_colon_in_a_user() -> None:
    with pytest.raises(ValueError, match="must not contain a colon"):
        login(b"m:e").basic(http_connect.ConnectRequest(TARGET).encode())


@pytest.mark.parametrize("user", [b"", b"me", b"u" * 255])
def test_a_userid_stands_where_socks4_has_it(user: bytes) -> None:
    without = socks4.Request(1, TARGET, b"").encode()
    assert login(user).userid(without).value == socks4.Request(1, TARGET, user).encode()


@pytest.mark.parametrize("user", [b"m\0e", b"u" * 256])
def test_a_userid_ends_with_a_null_byte(user: bytes) -> None:
    with pytest.raises(ValueError, match="at most 255 bytes long and contain no null byte"):
        login(user).userid(socks4.Request(1, TARGET, b"").encode())


def test_exchanges_send_the_same_bytes_hidden_and_plain() -> None:
    pair = (b"me", b"secret")
    same_bytes(client.socks4_exchange(1, TARGET, login()), client.socks4_exchange(1, TARGET, b"me"))
    same_bytes(client.http_exchange(TARGET, login()), client.http_exchange(TARGET, pair))
    same_bytes(client.socks5_exchanges(1, TARGET, login())[1], client.socks5_exchanges(1, TARGET, pair)[1])


def same_bytes(exchange: client.Exchange, plain: client.Exchange) -> None:
    assert isinstance(exchange.message, Secret)
    assert exchange.message.value == plain.message
    assert Conversation(exchange.run()).outgoing == plain.message
