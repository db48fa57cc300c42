"""The scripts of the client against transcripts: the bytes written, the number of reads, and how answers are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from socksify.protocol import client, http_connect, socks4, socks5
from socksify.protocol.address import IPV4, NAME, Address
from socksify.protocol.errors import AuthenticationRefused, Closed, Garbled, Refused, Unsupported
from tests.unit.protocol.messages import ADDRESSES, HOST, HOST_WIRE, V4, V4_WIRE, V6, Message
from tests.unit.protocol.wire import End, http_script, message_of, socks4_script, socks5_script

if TYPE_CHECKING:
    from socksify.protocol.conversation import Script

CREDENTIALS = (b"aladdin", b"sesame")
SUBNEGOTIATION = b"\x01\x07aladdin\x06sesame"
GRANTED4 = b"\x00\x5a\x00\x50\xc0\x00\x02\x01"
BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"


def play(script: Script[Any], *turns: tuple[bytes, bytes], at_a_time: int | None = None) -> End:
    """Run `script`. Each turn is the bytes that it must write, and the answer to them."""
    end = End(script)
    said = end.advance()
    for expected, heard in turns:
        assert said == expected
        said = end.hear(heard, at_a_time)
    assert said == b""
    return end


def socks5_turns(method: bytes = b"\x05\x00", reply: bytes = b"\x05\x00\x00" + V4_WIRE) -> list[tuple[bytes, bytes]]:
    return [(b"\x05\x01\x00", method), (b"\x05\x01\x00" + HOST_WIRE, reply)]


@pytest.mark.parametrize("at_a_time", [None, 1, 3])
def test_socks5_without_authentication(at_a_time: int | None) -> None:
    end = play(socks5_script(socks5.CONNECT, HOST), *socks5_turns(), at_a_time=at_a_time)
    assert end.conversation.result == socks5.Reply(0, V4)


@pytest.mark.parametrize("at_a_time", [None, 1, 3])
def test_socks5_with_credentials_that_are_wanted(at_a_time: int | None) -> None:
    end = play(
        socks5_script(socks5.CONNECT, HOST, CREDENTIALS),
        (b"\x05\x02\x00\x02", b"\x05\x02"),
        (SUBNEGOTIATION, b"\x01\x00"),
        (b"\x05\x01\x00" + HOST_WIRE, b"\x05\x00\x00" + V4_WIRE),
        at_a_time=at_a_time,
    )
    assert end.conversation.result == socks5.Reply(0, V4)


def test_socks5_with_credentials_that_are_not_wanted() -> None:
    end = play(
        socks5_script(socks5.CONNECT, HOST, CREDENTIALS),
        (b"\x05\x02\x00\x02", b"\x05\x00"),
        (b"\x05\x01\x00" + HOST_WIRE, b"\x05\x00\x00" + V4_WIRE),
    )
    assert end.conversation.over


@pytest.mark.parametrize("bound", ADDRESSES, ids=lambda a: a.name)
def test_socks5_takes_three_reads_and_not_a_byte_of_the_banner(bound: Message) -> None:
    end = play(socks5_script(socks5.CONNECT, HOST), *socks5_turns(reply=b"\x05\x00\x00" + bound.wire + BANNER))
    assert end.reads == [2, 5, len(bound.wire) - 2]
    assert end.kernel == BANNER
    assert end.conversation.result.address == bound.value


@pytest.mark.parametrize(("code", "words"), [*socks5.REPLIES.items(), (9, "unassigned reply 0x09"), (255, "unass")][1:])
def test_socks5_refusals(code: int, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        play(socks5_script(socks5.CONNECT, HOST), *socks5_turns(reply=bytes((5, code, 0)) + V4_WIRE))
    assert (caught.value.reply, caught.value.kind) == (code, "socks5")


def test_socks5_no_method_without_credentials_says_that_there_are_none() -> None:
    with pytest.raises(
        AuthenticationRefused, match=r"no acceptable methods \(no user name and password are set\)"
    ) as e:
        play(socks5_script(socks5.CONNECT, HOST), (b"\x05\x01\x00", b"\x05\xff"))
    assert (e.value.reply, e.value.wanted) == (255, ())


def test_socks5_no_method_with_credentials() -> None:
    with pytest.raises(AuthenticationRefused, match=r"no acceptable methods$") as caught:
        play(socks5_script(socks5.CONNECT, HOST, CREDENTIALS), (b"\x05\x02\x00\x02", b"\x05\xff"))
    assert caught.value.wanted == ("another method",)


@pytest.mark.parametrize(("method", "name"), [(1, "GSSAPI"), (2, "user and password"), (254, "method 0xfe")])
def test_socks5_a_method_that_was_not_offered_is_garbled_and_named(method: int, name: str) -> None:
    answer = bytes((5, method))
    with pytest.raises(Garbled, match="one of the methods offered") as caught:
        play(socks5_script(socks5.CONNECT, HOST), (b"\x05\x01\x00", answer))
    assert str(caught.value).endswith(f"got {answer!r}")
    assert caught.value.wanted == (name,)


@pytest.mark.parametrize("status", [1, 255])
def test_socks5_credentials_that_are_not_accepted(status: int) -> None:
    with pytest.raises(AuthenticationRefused, match="not accepted") as caught:
        play(
            socks5_script(socks5.CONNECT, HOST, CREDENTIALS),
            (b"\x05\x02\x00\x02", b"\x05\x02"),
            (SUBNEGOTIATION, bytes((1, status))),
        )
    assert caught.value.reply == status
    assert "sesame" not in repr(caught.value)


@pytest.mark.parametrize("answer", [b"HT", b"\x00\x5b", b"SS"])
def test_socks5_who_speaks_something_else_is_quoted(answer: bytes) -> None:
    with pytest.raises(Garbled) as caught:
        play(socks5_script(socks5.CONNECT, HOST), (b"\x05\x01\x00", answer))
    assert repr(answer) in str(caught.value)


@pytest.mark.parametrize(
    ("heard", "awaited"),
    [
        ((), "awaiting the method choice: closed after 0 of 2 bytes"),
        ((b"\x05",), "awaiting the method choice: closed after 1 of 2 bytes"),
        ((b"\x05\x02",), "awaiting the verdict on the credentials: closed after 0 of 2 bytes"),
        ((b"\x05\x02", b"\x01\x00"), "awaiting the reply to the request: closed after 0 of 5 bytes"),
        (
            (b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01\x7f\x00"),
            "awaiting the reply to the request: closed after 1 of 5",
        ),
    ],
)
def test_socks5_close_at_each_step(heard: tuple[bytes, ...], awaited: str) -> None:
    end = End(socks5_script(socks5.CONNECT, HOST, CREDENTIALS))
    end.advance()
    for data in heard:
        end.hear(data)
    with pytest.raises(Closed, match=f"^{awaited}"):
        end.conversation.end()


@pytest.mark.parametrize("credentials", [(b"", b"p"), (b"u", b"p" * 256), (b"u" * 256, b"p")])
def test_socks5_bad_credentials_are_found_before_a_byte_is_written(credentials: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        End(socks5_script(socks5.CONNECT, HOST, credentials))


@pytest.mark.parametrize(
    "script",
    [
        lambda target: socks5_script(socks5.CONNECT, target),
        lambda target: socks4_script(socks4.CONNECT, target, b""),
        lambda target: http_script(target),
    ],
)
def test_a_bad_name_is_found_before_a_byte_is_written(script: Any) -> None:
    with pytest.raises(ValueError):
        End(script(Address(NAME, "a" * 256, 80)))


@pytest.mark.parametrize("at_a_time", [None, 1])
def test_socks5_bind_has_a_second_reply(at_a_time: int | None) -> None:
    replies = b"\x05\x00\x00" + V4_WIRE + b"\x05\x00\x00\x04" + bytes(16) + b"\x00\x09"
    end = play(socks5_script(socks5.BIND, HOST), (b"\x05\x01\x00", b"\x05\x00"), (b"\x05\x02\x00" + HOST_WIRE, replies))
    assert end.conversation.result.address == V4
    second = play(client.socks5_peer(), (b"", bytes(end.kernel)), at_a_time=at_a_time)
    assert second.conversation.result.address == Address.of("::", 9)


def test_socks5_the_wrong_peer_is_refused() -> None:
    with pytest.raises(Refused, match="not allowed by ruleset"):
        play(client.socks5_peer(), (b"", b"\x05\x02\x00" + V4_WIRE))
    with pytest.raises(Closed, match=r"^awaiting the peer of BIND"):
        End(client.socks5_peer()).conversation.end()


def test_a_bind_that_somebody_else_came_to_says_who() -> None:
    with pytest.raises(Refused, match=r"^10\.0\.0\.9 port 4000 came: connection not allowed by ruleset$") as raised:
        play(client.socks5_peer(), (b"", b"\x05\x02\x00\x01\x0a\x00\x00\x09\x0f\xa0"))
    assert (raised.value.reply, raised.value.kind) == (2, "socks5")
    with pytest.raises(Refused, match=r"^10\.0\.0\.9 port 4000 came: request rejected or failed$"):
        play(client.socks4_peer(), (b"", b"\x00\x5b\x0f\xa0\x0a\x00\x00\x09"))


def in_one_segment(exchanges: list[client.Exchange]) -> Script[Any]:
    """Send all messages of the exchanges, and then read all answers."""
    yield b"".join(message_of(exchange) for exchange in exchanges)
    answer = None
    for exchange in exchanges:
        answer = yield from exchange.answer()
    return answer


@pytest.mark.parametrize("at_a_time", [None, 1])
def test_socks5_exchanges_can_go_out_in_one_segment(at_a_time: int | None) -> None:
    end = play(
        in_one_segment(client.socks5_exchanges(socks5.CONNECT, HOST, CREDENTIALS)),
        (
            b"\x05\x02\x00\x02" + SUBNEGOTIATION + b"\x05\x01\x00" + HOST_WIRE,
            b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00" + V4_WIRE + BANNER,
        ),
        at_a_time=at_a_time,
    )
    assert end.conversation.result == socks5.Reply(0, V4)
    assert end.kernel == BANNER


@pytest.mark.parametrize("at_a_time", [None, 1])
def test_socks4(at_a_time: int | None) -> None:
    end = play(
        socks4_script(socks4.CONNECT, V4, b"me"),
        (b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00", GRANTED4 + BANNER),
        at_a_time=at_a_time,
    )
    assert end.conversation.result == socks4.Reply(90, V4)
    assert end.kernel == BANNER


def test_socks4_takes_one_read() -> None:
    end = play(socks4_script(socks4.CONNECT, V4, b""), (b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00", GRANTED4 + BANNER))
    assert end.reads == [8]


def test_socks4_sends_a_name_as_4a() -> None:
    request = b"\x04\x02\x1f\x90\x00\x00\x00\x01me\x00example.com\x00"
    assert play(socks4_script(socks4.BIND, HOST, b"me"), (request, GRANTED4)).conversation.over


@pytest.mark.parametrize(
    ("code", "words"), [*socks4.REPLIES.items(), (0, "unassigned reply 0"), (94, "unassigned")][1:]
)
def test_socks4_refusals(code: int, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        End(socks4_script(socks4.CONNECT, V4, b"")).hear(bytes((0, code, 0, 0, 0, 0, 0, 0)))
    assert (caught.value.reply, caught.value.kind) == (code, "socks4")


def test_socks4_ipv6_is_found_before_a_byte_is_written() -> None:
    with pytest.raises(Unsupported):
        End(socks4_script(socks4.CONNECT, V6, b""))


def test_socks4_close_says_what_was_awaited() -> None:
    end = End(socks4_script(socks4.CONNECT, V4, b""))
    end.advance()
    with pytest.raises(Closed, match=r"^awaiting the reply to the request: closed after 0 of 8 bytes"):
        end.conversation.end()


def test_socks4_bind_has_a_second_reply() -> None:
    assert play(client.socks4_peer(), (b"", GRANTED4)).conversation.result == socks4.Reply(90, V4)
    with pytest.raises(Refused, match="rejected or failed"):
        play(client.socks4_peer(), (b"", b"\x00\x5b" + bytes(6)))
    with pytest.raises(Closed, match=r"^awaiting the peer of BIND"):
        End(client.socks4_peer()).conversation.end()


@pytest.mark.parametrize("at_a_time", [None, 1, 7])
def test_http(at_a_time: int | None) -> None:
    end = play(
        http_script(HOST),
        (
            b"CONNECT example.com:8080 HTTP/1.1\r\nHost: example.com:8080\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + BANNER,
        ),
        at_a_time=at_a_time,
    )
    assert end.conversation.result == http_connect.Response(200, "OK")
    assert end.kernel == BANNER


def test_http_sends_basic_credentials() -> None:
    said = End(http_script(HOST, CREDENTIALS)).advance()
    assert b"\r\nProxy-Authorization: Basic YWxhZGRpbjpzZXNhbWU=\r\n" in said


@pytest.mark.parametrize("status", [200, 201, 299])
def test_http_any_2xx_opens(status: int) -> None:
    assert play_http(b"HTTP/1.1 %d x\r\n\r\n" % status).conversation.over


@pytest.mark.parametrize("status", [101, 300, 302, 400, 403, 500, 502, 503, 504, 999])
def test_http_refusals(status: int) -> None:
    with pytest.raises(Refused, match=f"^status {status} 'No, sorry'$") as caught:
        play_http(b"HTTP/1.1 %d No, sorry\r\n\r\n" % status)
    assert (caught.value.reply, caught.value.kind) == (status, "http")


@pytest.mark.parametrize(
    ("credentials", "words"),
    [(None, r"'Auth' \(no user name and password are set\)$"), (CREDENTIALS, "'Auth'$")],
)
def test_http_407(credentials: tuple[bytes, bytes] | None, words: str) -> None:
    with pytest.raises(AuthenticationRefused, match=words) as caught:
        End(http_script(HOST, credentials)).hear(b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Digest\r\n\r\n")
    assert (caught.value.reply, caught.value.wanted) == (407, ("Digest",))


def test_http_close_says_what_was_awaited() -> None:
    end = play_http(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(Closed, match=r"^awaiting the response to CONNECT: closed after 17 bytes of the header$"):
        end.conversation.end()


def play_http(answer: bytes) -> End:
    end = End(http_script(Address(IPV4, "192.0.2.1", 80)))
    end.advance()
    end.hear(answer)
    return end
