"""The server's dialogue against transcripts: the answers to the client, and the results for the caller."""

from __future__ import annotations

import pytest

from socksify.protocol import server, socks5
from socksify.protocol.address import NAME, Address
from socksify.protocol.errors import AuthenticationRefused, Closed, Garbled, ProtocolError
from tests.unit.protocol.messages import ADDRESSES, HOST, HOST_WIRE, V4, V4_WIRE, V6, Message
from tests.unit.protocol.wire import Host

REJECTED4 = b"\x00\x5b" + bytes(6)


def verify(user: bytes, password: bytes) -> bool:
    return (user, password) == (b"aladdin", b"sesame")


def told(end: Host, data: bytes, error: type[ProtocolError]) -> tuple[bytes, ProtocolError]:
    """Return the answers to the client, and the error at the end."""
    with pytest.raises(error) as caught:
        end.hear(data, 1)
    return end.said, caught.value


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: a.name)
@pytest.mark.parametrize("at_a_time", [None, 1])
def test_socks5(address: Message, at_a_time: int | None) -> None:
    end = Host()
    assert end.hear(b"\x05\x02\x00\x02", at_a_time) == b"\x05\x00"
    assert end.hear(b"\x05\x01\x00" + address.wire + b"GET /", at_a_time) == b""
    assert end.result == server.Request(5, 1, address.value)
    assert end.kernel == b"GET /"


@pytest.mark.parametrize("at_a_time", [None, 1])
def test_socks5_with_authentication(at_a_time: int | None) -> None:
    end = Host(verify)
    assert end.hear(b"\x05\x02\x00\x02", at_a_time) == b"\x05\x02"
    assert end.hear(b"\x01\x07aladdin\x06sesame", at_a_time) == b"\x01\x00"
    end.hear(b"\x05\x02\x00" + V4_WIRE, at_a_time)
    assert end.result == server.Request(5, 2, V4, b"aladdin")


def test_socks5_takes_what_came_in_one_segment() -> None:
    end = Host(verify)
    said = end.hear(b"\x05\x01\x02" + b"\x01\x07aladdin\x06sesame" + b"\x05\x01\x00" + HOST_WIRE + b"payload")
    assert said == b"\x05\x02\x01\x00"
    assert end.result == server.Request(5, 1, HOST, b"aladdin")
    assert end.kernel == b"payload"


@pytest.mark.parametrize("command", [0, 3, 0xF0])
def test_other_commands_are_the_callers_to_answer(command: int) -> None:
    end = Host()
    end.hear(b"\x05\x01\x00" + bytes((5, command, 0)) + V4_WIRE)
    assert end.result is not None and end.result.command == command


@pytest.mark.parametrize("methods", [b"", b"\x01", b"\x02", b"\xff"])
def test_socks5_no_acceptable_method_is_said_then_raised(methods: bytes) -> None:
    said, error = told(Host(), b"\x05" + bytes((len(methods),)) + methods, AuthenticationRefused)
    assert (said, error.reply) == (b"\x05\xff", 255)
    assert "no acceptable methods" in str(error)


def test_socks5_with_verify_nobody_gets_in_without() -> None:
    said, _ = told(Host(verify), b"\x05\x01\x00", AuthenticationRefused)
    assert said == b"\x05\xff"


@pytest.mark.parametrize("credentials", [b"\x01\x07aladdin\x06sesamE", b"\x01\x07aladdin\x00", b"\x01\x00\x00"])
def test_socks5_wrong_credentials_are_said_then_raised_and_not_shown(credentials: bytes) -> None:
    said, error = told(Host(verify), b"\x05\x01\x02" + credentials, AuthenticationRefused)
    assert (said, error.reply) == (b"\x05\x02\x01\x01", 1)
    assert "not accepted" in str(error)
    assert "sesam" not in repr(error)
    assert "aladdin" not in repr(error)


@pytest.mark.parametrize(
    ("address", "code"),
    [(b"\x02\x00", 8), (b"\x00\x00", 8), (b"\x03\x00\x00\x50", 4), (b"\x03\x03a\x00b\x00\x50", 4)],
)
def test_socks5_what_no_one_can_reach_is_answered_then_raised(address: bytes, code: int) -> None:
    said, error = told(Host(), b"\x05\x01\x00" + b"\x05\x01\x00" + address, Garbled)
    assert said == b"\x05\x00" + bytes((5, code, 0)) + b"\x01" + bytes(6)
    assert error.reply == code


@pytest.mark.parametrize("data", [b"GE", b"\x00\x00", b"\x06\x01", b"\x16\x03"])
def test_another_version_is_not_answered(data: bytes) -> None:
    said, error = told(Host(), data, Garbled)
    assert said == b""
    assert str(error) == f"expected SOCKS version 4 or 5, got {data!r}"


def test_of_another_protocol_only_the_first_bytes_are_quoted() -> None:
    with pytest.raises(Garbled, match=r", got b'GE'$"):
        Host().hear(b"GET /?password=x HTTP/1.1")


def test_another_version_of_the_request_is_not_answered() -> None:
    said, _ = told(Host(), b"\x05\x01\x00" + b"\x04\x01\x00\x01\x00", Garbled)
    assert said == b"\x05\x00"


@pytest.mark.parametrize("at_a_time", [None, 1])
def test_socks4(at_a_time: int | None) -> None:
    end = Host()
    assert end.hear(b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00GET /", at_a_time) == b""
    assert end.result == server.Request(4, 1, V4, None, b"me")
    assert end.kernel == b"GET /"


def test_socks4a() -> None:
    end = Host()
    end.hear(b"\x04\x02\x1f\x90\x00\x00\x00\x01\x00example.com\x00")
    assert end.result == server.Request(4, 2, HOST)


def test_socks4_with_verify_is_rejected_then_raised() -> None:
    said, error = told(Host(verify), b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00", AuthenticationRefused)
    assert (said, error.reply) == (REJECTED4, 91)
    assert "no passwords" in str(error)


def test_socks4_an_empty_name_is_rejected_then_raised() -> None:
    said, error = told(Host(), b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00\x00", Garbled)
    assert said == REJECTED4
    assert "a host name" in str(error)


def test_a_literal_sent_as_a_name_stays_one() -> None:
    end = Host()
    end.hear(b"\x05\x01\x00" + b"\x05\x01\x00\x03\x09192.0.2.1\x00\x50")
    assert end.result is not None
    target = end.result.target
    assert target == Address(NAME, "192.0.2.1", 80)
    assert target.literal() == V4


@pytest.mark.parametrize(
    ("data", "awaited"),
    [
        (b"", "closed after 0 bytes of a SOCKS request"),
        (b"\x05\x02\x00", "closed after 3 bytes of a SOCKS request"),
        (b"\x05\x01\x00", "closed after 0 bytes of a SOCKS5 request"),
        (b"\x04\x01\x00", "closed after 3 bytes of a SOCKS4 request"),
    ],
)
def test_close_says_what_was_awaited(data: bytes, awaited: str) -> None:
    end = Host()
    end.hear(data)
    closed = end.dialogue.closed()
    assert isinstance(closed, Closed)
    assert str(closed) == awaited


def test_close_before_the_credentials_says_that_they_were_awaited() -> None:
    end = Host(verify)
    end.hear(b"\x05\x01\x02" + b"\x01")
    assert str(end.dialogue.closed()) == "closed after 1 bytes of credentials"


def test_who_it_was_is_not_shown() -> None:
    shown = repr(server.Request(5, 1, V4, b"aladdin", b"jafar"))
    assert "aladdin" not in shown
    assert "jafar" not in shown


@pytest.mark.parametrize("code", [0, 1, 5, 8])
def test_reply_to_socks5(code: int) -> None:
    assert server.reply(server.Request(5, 1, HOST), code, V4) == bytes((5, code, 0)) + V4_WIRE
    assert server.reply(server.Request(5, 1, HOST), code) == bytes((5, code, 0, 1)) + bytes(6)


@pytest.mark.parametrize(("code", "answer"), [(0, 90), (1, 91), (5, 91), (8, 91)])
def test_reply_to_socks4(code: int, answer: int) -> None:
    assert server.reply(server.Request(4, 1, HOST), code, V4) == bytes((0, answer)) + b"\x00\x50\xc0\x00\x02\x01"


def test_reply_to_socks4_has_room_for_the_port_only_of_others() -> None:
    assert server.reply(server.Request(4, 1, HOST), socks5.SUCCEEDED, V6) == b"\x00\x5a\x01\xbb\x00\x00\x00\x00"


def test_the_messages_that_are_remembered_are_bounded() -> None:
    """Every request is another one, as those of a client that goes through all ports and hosts."""
    for number in range(server._MOST + 2):
        request = b"\5\1\0\1" + number.to_bytes(4, "big") + b"\0\x50"
        found = server._requests[5](request)
        assert found is not None
        assert found[0].target.host == f"0.0.{number >> 8}.{number & 255}"


def test_a_message_is_read_once_and_then_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def read(said: bytes) -> tuple[bytes, int] | None:
        asked.append(said)
        return (said[:1], 1) if said else None

    monkeypatch.setattr(server, "_MOST", 2)
    recall = server._remembering(read)
    assert [recall(b"a"), recall(b"a"), recall(b"b"), recall(b"a")] == [(b"a", 1), (b"a", 1), (b"b", 1), (b"a", 1)]
    assert asked == [b"a", b"b"]
    # An incomplete message is not remembered, and neither is one with bytes behind it.
    assert [recall(b""), recall(b""), recall(b"ax"), recall(b"ax")] == [None, None, (b"a", 1), (b"a", 1)]
    assert asked[2:] == [b"", b"", b"ax", b"ax"]
    # The third message takes the place of the two before.
    assert [recall(b"c"), recall(b"c"), recall(b"a")] == [(b"c", 1), (b"c", 1), (b"a", 1)]
    assert asked[6:] == [b"c", b"a"]
