"""HTTP CONNECT beyond the table: heads of real servers, and characters that must not get into a head."""

from __future__ import annotations

import pytest
from hypothesis import given

from socksify.protocol import http_connect
from socksify.protocol.address import IPV4, NAME, Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.errors import Garbled
from tests.unit.protocol.messages import HOST, V6
from tests.unit.protocol.strategies import addresses
from tests.unit.protocol.wire import End, http_script, parse

CRLF = b"\r\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", (200, "OK")),
        (b"HTTP/1.1 200\r\n\r\n", (200, "")),
        (b"HTTP/1.1 204 No Content\n\n", (204, "No Content")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: x\r\n\r\n", (200, "OK")),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nX: y\n\r\n", (407, "Proxy Authentication Required")),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", (101, "Switching Protocols")),
        (b"HTTP/1.1 999 \r\n\r\n", (999, "")),
    ],
)
def test_responses_in_the_wild(head: bytes, expected: tuple[int, str]) -> None:
    assert parse(http_connect.Response.parse(), head) == http_connect.Response(*expected)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1200 OK\r\n\r\n",
        b"HTTP/1.1 \xb2\xb9\xb9 OK\r\n\r\n",
    ],
)
def test_what_is_no_status_line_is_garbled(head: bytes) -> None:
    with pytest.raises(Garbled, match="an HTTP status line") as caught:
        parse(http_connect.Response.parse(), head)
    assert str(caught.value).endswith(f"got {head.removesuffix(CRLF * 2)!r}")


@pytest.mark.parametrize("banner", [b"S", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ESMTP\r\n", b"\x05\xff", b"HTTP/2"])
def test_who_speaks_something_else_is_told_before_any_empty_line(banner: bytes) -> None:
    with pytest.raises(Garbled, match="a header that starts"):
        End(http_connect.Response.parse()).hear(banner)


@pytest.mark.parametrize("count", [1, http_connect.MOST_INTERIM_RESPONSES])
def test_interim_responses_are_skipped(count: int) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * count
    assert parse(http_connect.Response.parse(), interim + b"HTTP/1.1 200 OK\r\n\r\n").status == 200


def test_interim_responses_without_end_are_garbled() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * (http_connect.MOST_INTERIM_RESPONSES + 1)
    with pytest.raises(Garbled, match=r"a final response .*, got b'HTTP/1.1 100 Continue'$"):
        End(http_connect.Response.parse()).hear(interim)


def test_a_long_or_hostile_reason_is_shown_short_and_tame() -> None:
    shown = str(http_connect.Response(502, "\x1b[31m" + "x" * 1000))
    assert "\x1b" not in shown
    assert len(shown) < 100
    assert str(http_connect.Response(502, "x" * 65)) == f"status 502 {'x' * 64!r}"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 300", (300, "")),
        (b"HTTP/1.1 403 Forb", (403, "Forb")),
        (b"HTTP/1.1 502 Bad Gateway\r\nVia: x\r\n", (502, "Bad Gateway")),
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nProxy-Authenticate: Dig", (407, "No", ("Basic",))),
    ],
)
def test_the_status_of_a_refusal_is_enough(head: bytes, expected: tuple[int, str]) -> None:
    conversation = Conversation(http_connect.Response.parse())
    conversation.peeked(head)
    assert conversation.nothing_more()
    assert conversation.result == http_connect.Response(*expected)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1", b"HTTP/1.1 40", b"HTTP/1.1 4x3 No", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 299 OK"]
)
def test_a_head_that_is_no_refusal_has_to_be_whole(head: bytes) -> None:
    conversation = Conversation(http_connect.Response.parse())
    conversation.peeked(head)
    assert not conversation.nothing_more()
    assert conversation.peeking


@pytest.mark.parametrize("host", ["a b", "a\r\nX: y", "a/b", "a?b", "a#b", "a@b", "a:b", "[a]", "caf\udce9", "a\x7f"])
def test_a_name_cannot_leave_its_place_in_the_head(host: str) -> None:
    with pytest.raises(ValueError, match="HTTP cannot carry"):
        http_connect.ConnectRequest(Address(NAME, host, 80)).encode()


@given(addresses)
def test_no_address_makes_another_line(address: Address) -> None:
    try:
        head = http_connect.ConnectRequest(address).encode()
    except ValueError:
        return
    assert head.count(b"\n") == head.count(b"\r\n") == 3


def test_idna_names_go_out_in_ascii() -> None:
    head = http_connect.ConnectRequest(Address.of("bücher.example", 80)).encode()
    assert head.startswith(b"CONNECT xn--bcher-kva.example:80 ")


def test_a_user_name_with_a_colon_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="colon") as caught:
        http_connect.ConnectRequest(HOST, (b"al:addin", b"sesame")).encode()
    assert "addin" not in str(caught.value)


def test_credentials_are_not_shown() -> None:
    assert "sesame" not in repr(http_connect.ConnectRequest(HOST, (b"aladdin", b"sesame")))


@pytest.mark.parametrize(
    ("fields", "credentials"),
    [
        (b"Host: x\r\n", None),
        (b"proxy-authorization:basic YTpi\r\n", (b"a", b"b")),
        (b"PROXY-AUTHORIZATION:  BASIC  YTpi \r\n", (b"a", b"b")),
        (b"Proxy-Authorization: Negotiate YTpi\r\n", None),
        (b"Authorization: Basic YTpi\r\n", None),
        (b"Proxy-Authorization: Basic Og==\r\n", (b"", b"")),
    ],
)
def test_requests_in_the_wild(fields: bytes, credentials: tuple[bytes, bytes] | None) -> None:
    wire = b"CONNECT example.com:8080 HTTP/1.0\r\n" + fields + b"\r\n"
    assert parse(http_connect.ConnectRequest.parse(), wire) == http_connect.ConnectRequest(HOST, credentials)


@pytest.mark.parametrize("token", [b"YTpi!", b"=YTpi", b"YTp", b"YWI=", b"a:b", b""])
def test_credentials_that_are_none_are_garbled_and_not_quoted(token: bytes) -> None:
    wire = b"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic " + token + b"\r\n\r\n"
    with pytest.raises(Garbled, match=r"^expected Basic credentials, got b''$"):
        parse(http_connect.ConnectRequest.parse(), wire)


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"192.0.2.1:1", Address(IPV4, "192.0.2.1", 1)),
        (b"[2001:DB8::1]:443", V6),
        (b"h:65535", Address(NAME, "h", 65535)),
    ],
)
def test_authorities(authority: bytes, expected: Address) -> None:
    wire = b"CONNECT " + authority + b" HTTP/1.1\r\n\r\n"
    assert parse(http_connect.ConnectRequest.parse(), wire).address == expected


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        b"h",
        b"h:",
        b":80",
        b"h:x",
        b"h:65536",
        b"h:-1",
        b"h:+1",
        b"h:000080",
        b"h:\xb2",
        b"[h]:1",
        b"[::1:1",
        b"::1]:1",
        b"::1:1",
        b"[\xe9]:1",
    ],
)
def test_what_is_no_authority_is_garbled(authority: bytes) -> None:
    with pytest.raises(Garbled, match="host:port") as caught:
        parse(http_connect.ConnectRequest.parse(), b"CONNECT " + authority + b" HTTP/1.1\r\n\r\n")
    assert str(caught.value).endswith(f"got {authority!r}")


@pytest.mark.parametrize(
    "line",
    [
        b"CONNECT h:1",
        b"CONNECT h:1 HTTP/2",
        b"CONNECT h:1 HTTP/1.1 x",
        b"CONNECT h:1  HTTP/1.1",
        b"CONNECT h:1\tHTTP/1.1",
    ],
)
def test_what_is_no_request_line_is_garbled(line: bytes) -> None:
    with pytest.raises(Garbled, match="a CONNECT request line") as caught:
        parse(http_connect.ConnectRequest.parse(), line + b"\r\n\r\n")
    assert str(caught.value).endswith(f"got {line!r}")


def test_other_methods_are_told_before_any_empty_line() -> None:
    with pytest.raises(Garbled, match="a header that starts b'CONNECT '"):
        End(http_connect.ConnectRequest.parse()).hear(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("pieces", [1, 7, 4096])
def test_an_echo_does_not_put_our_credentials_into_the_error(pieces: int) -> None:
    """An echo server in place of a proxy sends back all that it gets."""
    request = http_connect.ConnectRequest(Address.of("a", 1), (b"alice", b"open sesame")).encode()
    conversation = Conversation(http_script(Address.of("a", 1), (b"alice", b"open sesame")))
    conversation.sent(len(request))
    with pytest.raises(Garbled) as caught:
        for at in range(0, len(request), pieces):
            conversation.peeked(request[at : at + pieces])
    assert "Authorization" not in str(caught.value)
    assert "YWxpY2U" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "fields", "schemes"),
    [
        (407, b"Proxy-Authenticate: Basic\r\n", ("Basic",)),
        (401, b'WWW-Authenticate: Basic realm="a"\r\n', ("Basic",)),
        (407, b"proxy-AUTHENTICATE: Negotiate\r\nProxy-Authenticate: NTLM, basic\r\n", ("Negotiate", "NTLM", "basic")),
        (
            407,
            b'Proxy-Authenticate: Basic realm="a, Fake b", charset="UTF-8", Digest qop="auth"\r\n',
            ("Basic", "Digest"),
        ),
        (407, b"Proxy-Authenticate: Basic\r\nProxy-Authenticate: BASIC\r\n", ("Basic",)),
        (407, b'Proxy-Authenticate: Basic realm ="a"\r\n', ("Basic",)),
        (407, b'Proxy-Authenticate: nonce  ="a", ""\r\n', ()),
        (407, b'Proxy-Authenticate: Digest uri="a:b"\r\n', ("Digest",)),
        (407, b"Proxy-Authenticate: SCRAM-SHA-256, -\r\n", ("SCRAM-SHA-256",)),
        (407, b"WWW-Authenticate: Basic\r\nServer: Basic\r\n", ()),
        (401, b"Proxy-Authenticate: Basic\r\n", ()),
        (403, b"Proxy-Authenticate: Basic\r\n", ()),
        (
            407,
            b"Proxy-Authenticate: %b\r\n" % b", ".join(b"S%d" % n for n in range(99)),
            tuple(f"S{n}" for n in range(8)),
        ),
        (407, b"Proxy-Authenticate: %b\r\n" % (b"s" * 99), ("s" * 32,)),
    ],
)
def test_the_schemes_that_a_refusal_asks_for(status: int, fields: bytes, schemes: tuple[str, ...]) -> None:
    response = parse(http_connect.Response.parse(), b"HTTP/1.1 %d No\r\n%b\r\n" % (status, fields))
    assert response.challenges == schemes
