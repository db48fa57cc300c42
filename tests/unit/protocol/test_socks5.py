"""SOCKS5 messages beyond the table: refused ones, tolerated ones, and the number of reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.protocol import socks5
from socksify.protocol.address import UNSPECIFIED, Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.errors import Garbled, ProtocolError
from tests.unit.protocol.messages import ADDRESSES, V4, V4_WIRE, Message
from tests.unit.protocol.strategies import addresses
from tests.unit.protocol.wire import End, parse, script_of


@pytest.mark.parametrize(
    ("kind", "wire", "expected"),
    [
        (socks5.Greeting, b"\x04", "SOCKS version 5"),
        (socks5.MethodChoice, b"HT", "a SOCKS5 method choice"),
        (socks5.Credentials, b"\x05", "RFC 1929 version 1"),
        (socks5.CredentialsStatus, b"\x02\x00", "an RFC 1929 status"),
        (socks5.Request, b"\x04", "SOCKS version 5"),
        (socks5.Reply, b"HTTP/", "a SOCKS5 reply"),
    ],
)
def test_another_version_is_garbled(kind: Any, wire: bytes, expected: str) -> None:
    with pytest.raises(Garbled) as caught:
        parse(script_of(kind), wire)
    assert str(caught.value) == f"expected {expected}, got {wire!r}"


@pytest.mark.parametrize("kind", [socks5.Greeting, socks5.Credentials, socks5.Request])
def test_of_another_protocol_only_the_version_is_quoted(kind: Any) -> None:
    with pytest.raises(Garbled, match=r", got b'\\t'$"):
        kind.read(b"\tsecret")


@pytest.mark.parametrize("kind", [socks5.Request, socks5.Reply])
def test_an_unknown_address_type_is_garbled(kind: Any) -> None:
    with pytest.raises(Garbled) as caught:
        parse(script_of(kind), b"\x05\x00\x00\x02\x00")
    assert caught.value.reply == 8


@pytest.mark.parametrize("code", [1, 5, 255])
def test_a_refusal_filled_up_with_zeros_keeps_its_code(code: int) -> None:
    assert parse(socks5.Reply.parse(), bytes((5, code, 0, 0, 0))) == socks5.Reply(code, UNSPECIFIED)


@pytest.mark.parametrize("start", [b"\x05\x05", b"\x05\x05\x00", b"\x05\x05\x00\x01\x7f"])
def test_the_code_of_a_refusal_is_enough(start: bytes) -> None:
    conversation = Conversation(socks5.Reply.parse())
    conversation.receive(start)
    assert conversation.nothing_more()
    assert conversation.result == socks5.Reply(5, UNSPECIFIED)


def test_the_address_of_a_refusal_may_break_off() -> None:
    conversation = Conversation(socks5.Reply.parse())
    conversation.receive(b"\x05\x05\x00\x01\x7f")
    conversation.receive(b"\x00\x00")
    assert conversation.nothing_more()
    assert conversation.result == socks5.Reply(5, UNSPECIFIED)


@pytest.mark.parametrize("start", [b"\x05", b"\x05\x00", b"\x05\x00\x00\x01", b"\x04\x05"])
def test_any_other_reply_has_to_be_whole(start: bytes) -> None:
    conversation = Conversation(socks5.Reply.parse())
    conversation.receive(start)
    assert not conversation.nothing_more()
    assert conversation.needs == 5 - len(start)


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


each_address = pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: a.name)


@each_address
def test_is_written_as_the_rfc_says(address: Message) -> None:
    assert socks5.encode_udp_header(address.value) == b"\0\0\0" + address.wire


@each_address
@pytest.mark.parametrize("data", [b"", b"data", b"x" * 65507])
def test_is_read_and_tells_where_the_data_begins(address: Message, data: bytes) -> None:
    header = b"\0\0\0" + address.wire
    assert socks5.parse_udp_header(header + data) == (address.value, 0, len(header))


@each_address
def test_cut_short_anywhere_is_garbled(address: Message) -> None:
    header = b"\0\0\0" + address.wire
    for length in range(len(header)):
        with pytest.raises(Garbled):
            socks5.parse_udp_header(header[:length])


def test_tells_the_fragment_for_the_caller_to_drop() -> None:
    assert socks5.parse_udp_header(b"\0\0\x81" + V4_WIRE) == (V4, 0x81, 10)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (b"\1\0\0" + V4_WIRE, "the header of a relayed datagram, got b'\\x01\\x00\\x00\\x01'"),
        (b"\0\1\0" + V4_WIRE, "the header of a relayed datagram, got b'\\x00\\x01\\x00\\x01'"),
        (b"\0\0", "the header of a relayed datagram, got b'\\x00\\x00'"),
        (b"\0\0\0", "a whole header of a relayed datagram, got b'\\x00\\x00\\x00'"),
        (b"\0\0\0" + V4_WIRE[:-1], "a whole header of a relayed datagram, got b'\\x00\\x00\\x00\\x01'"),
        (b"\0\0\0\2" + V4_WIRE[1:], "address type 1, 3 or 4, got b'\\x02'"),
    ],
)
def test_a_bad_header_is_garbled_and_no_data_is_quoted(wire: bytes, said: str) -> None:
    with pytest.raises(Garbled) as caught:
        socks5.parse_udp_header(wire)
    assert str(caught.value) == f"expected {said}"


@given(addresses, st.binary(max_size=50))
def test_encode_then_parse_is_identity(address: Address, data: bytes) -> None:
    header = socks5.encode_udp_header(address)
    assert socks5.parse_udp_header(header + data) == (address, 0, len(header))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"\0\0\0" + data))
def test_any_bytes_give_a_header_or_a_protocol_error(data: bytes) -> None:
    try:
        _, fragment, begin = socks5.parse_udp_header(data)
    except ProtocolError:
        return
    assert fragment == data[2]
    assert 3 < begin <= len(data)
