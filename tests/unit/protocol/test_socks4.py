"""SOCKS4 messages beyond the table: addresses that it cannot carry, and strings without an end."""

from __future__ import annotations

import pytest

from socksify.protocol import socks4
from socksify.protocol.address import IPV4, NAME, UNSPECIFIED, Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.errors import Garbled, Unsupported
from tests.unit.protocol.messages import HOST, MAPPED, V4, V6
from tests.unit.protocol.wire import End, parse, script_of


@pytest.mark.parametrize("address", [V6, MAPPED])
def test_has_no_room_for_ipv6(address: Address) -> None:
    for message in (socks4.Request(1, address, b""), socks4.Reply(90, address)):
        with pytest.raises(Unsupported, match="carries IPv4 addresses") as caught:
            message.encode()
        assert caught.value.reply == 8


@pytest.mark.parametrize("host", ["0.0.0.1", "0.0.0.255"])
def test_does_not_announce_a_name_that_never_comes(host: str) -> None:
    with pytest.raises(Unsupported, match="would announce a name") as caught:
        socks4.Request(1, Address.of(host, 80), b"").encode()
    assert caught.value.reply == 8


def test_a_reply_has_no_names() -> None:
    with pytest.raises(Unsupported):
        socks4.Reply(90, HOST).encode()


def test_a_reply_has_no_name_that_reads_like_an_address() -> None:
    with pytest.raises(Unsupported):
        socks4.Reply(90, Address(NAME, "192.0.2.1", 80)).encode()


@pytest.mark.parametrize("userid", [b"u" * 256, b"a\0b"])
def test_a_userid_that_cannot_be_sent_is_a_value_error(userid: bytes) -> None:
    with pytest.raises(ValueError, match="at most 255 bytes"):
        socks4.Request(1, V4, userid).encode()


def test_the_userid_is_not_shown() -> None:
    assert "aladdin" not in repr(socks4.Request(1, V4, b"aladdin"))


# The bytes before the two strings of a request.
each_string = pytest.mark.parametrize(
    ("start", "string"),
    [(b"\x04\x01\x00\x50\x00\x00\x00\x01", "userid"), (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00", "name")],
)


@each_string
def test_a_string_without_end_is_garbled_after_255_bytes(start: bytes, string: str) -> None:
    end = End(script_of(socks4.Request))
    end.hear(start + b"x" * 255)
    with pytest.raises(Garbled, match=f"^expected a {string} of at most 255 bytes$"):
        end.hear(b"x")


@each_string
def test_a_string_of_256_bytes_is_garbled_even_with_its_end(start: bytes, string: str) -> None:
    with pytest.raises(Garbled, match=f"^expected a {string} of at most 255 bytes$"):
        socks4.Request.read(start + b"x" * 256 + b"\0" * 2)


def test_the_address_of_a_name_is_any_0_0_0_x() -> None:
    wire = b"\x04\x01\x1f\x90\x00\x00\x00\xff\x00example.com\x00"
    assert parse(script_of(socks4.Request), wire) == socks4.Request(1, HOST, b"")


def test_an_empty_name_is_read_for_the_server_to_judge() -> None:
    assert parse(script_of(socks4.Request), b"\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00").address.host == ""


def test_another_version_is_garbled() -> None:
    with pytest.raises(Garbled, match=r"^expected SOCKS version 4, got b'\\x05'$"):
        socks4.Request.read(b"\x05\x01")
    with pytest.raises(Garbled, match=r"a SOCKS4 reply, got b'\\x05"):
        parse(socks4.Reply.parse(), b"\x05\xff\0\0\0\0\0\0")


def test_a_reply_takes_one_read() -> None:
    end = End(socks4.Reply.parse())
    end.hear(socks4.Reply(90, Address(IPV4, "0.0.0.0", 0)).encode() + b"banner")
    assert end.reads == [8]


def test_the_code_of_a_refusal_is_enough() -> None:
    conversation = Conversation(socks4.Reply.parse())
    conversation.receive(b"\x00\x5b\x00")
    assert conversation.nothing_more()
    assert conversation.result == socks4.Reply(91, UNSPECIFIED)


@pytest.mark.parametrize("start", [b"\x00", b"\x00\x5a\x00", b"\x05\x5b\x00"])
def test_any_other_reply_has_to_be_whole(start: bytes) -> None:
    conversation = Conversation(socks4.Reply.parse())
    conversation.receive(start)
    assert not conversation.nothing_more()
    assert conversation.needs == 8 - len(start)


def test_every_code_of_the_memo_has_its_words() -> None:
    assert sorted(socks4.REPLIES) == [90, 91, 92, 93]
