"""Both roles against each other, and each of them against random bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.protocol import client, server, socks4, socks5
from socksify.protocol.address import Address
from socksify.protocol.conversation import LONGEST_HEAD
from socksify.protocol.errors import AuthenticationRefused, Closed, ProtocolError
from tests.unit.protocol.messages import HOST, MESSAGES, V4, V6
from tests.unit.protocol.strategies import addresses, messages, socks4_addresses, tokens, userids
from tests.unit.protocol.wire import (
    End,
    Host,
    http_script,
    message_of,
    parse,
    script_of,
    socks4_script,
    socks5_script,
    talk,
)

if TYPE_CHECKING:
    from socksify.protocol.conversation import Script

paces = st.sampled_from([None, 1, 2, 7])
codes = st.integers(0, 255)


def answered(verify: Callable[[bytes, bytes], bool] | None, code: int, bound: Address) -> Host:
    """Return a server that gives the same answer to every request."""
    return Host(verify, lambda request: server.reply(request, code, bound))


@given(codes, addresses, addresses, paces)
def test_socks5(command: int, target: Address, bound: Address, pace: int | None) -> None:
    here, there = End(socks5_script(command, target)), answered(None, 0, bound)
    talk(here, there, pace)
    assert there.result == server.Request(5, command, target)
    assert here.conversation.result == socks5.Reply(0, bound)
    assert not here.kernel
    assert not there.kernel


@given(tokens, tokens, addresses, paces)
def test_socks5_with_credentials(user: bytes, password: bytes, target: Address, pace: int | None) -> None:
    here = End(socks5_script(socks5.CONNECT, target, (user, password)))
    there = answered(lambda *given: given == (user, password), 0, V4)
    talk(here, there, pace)
    assert there.result == server.Request(5, socks5.CONNECT, target, user)
    assert here.conversation.result == socks5.Reply(0, V4)


@given(tokens, tokens, paces)
def test_socks5_with_wrong_credentials(user: bytes, password: bytes, pace: int | None) -> None:
    here = End(socks5_script(socks5.CONNECT, HOST, (user, password)))
    there = answered(lambda *_: False, 0, V4)
    with pytest.raises(AuthenticationRefused):
        talk(here, there, pace)


@pytest.mark.parametrize("pace", [None, 1])
def test_socks5_all_messages_in_one_segment(pace: int | None) -> None:
    def script() -> Script[Any]:
        exchanges = client.socks5_exchanges(socks5.CONNECT, V6, (b"u", b"p"))
        yield b"".join(message_of(exchange) for exchange in exchanges)
        answers = []
        for exchange in exchanges:
            answers.append((yield from exchange.answer()))
        return answers

    here, there = End(script()), answered(lambda *_: True, 0, V4)
    talk(here, there, pace)
    assert here.conversation.result == [socks5.USERNAME_PASSWORD, None, socks5.Reply(0, V4)]
    assert there.result == server.Request(5, socks5.CONNECT, V6, b"u")


@given(codes, socks4_addresses, userids, paces)
def test_socks4(command: int, target: Address, userid: bytes, pace: int | None) -> None:
    here, there = End(socks4_script(command, target, userid)), answered(None, 0, V4)
    talk(here, there, pace)
    assert there.result == server.Request(4, command, target, None, userid)
    assert here.conversation.result == socks4.Reply(90, V4)


@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize(
    "script",
    [lambda: socks5_script(socks5.CONNECT, HOST), lambda: socks4_script(socks4.CONNECT, HOST, b"")],
)
def test_refusals(script: Callable[[], Script[Any]], code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        talk(End(script()), answered(None, code, V4))
    assert caught.value.reply in (code, socks4.REJECTED)


@given(messages, paces)
def test_encode_then_parse_is_identity(message: Any, pace: int | None) -> None:
    assert parse(script_of(type(message)), message.encode(), pace) == message


SCRIPTS: dict[str, Callable[[], Script[Any]]] = {
    **{
        f"{kind.__module__}.{kind.__name__}": partial(script_of, kind)
        for kind in {type(message.value) for message in MESSAGES}
    },
    "client.socks5": lambda: socks5_script(socks5.CONNECT, HOST, (b"u", b"p")),
    "client.socks5_peer": client.socks5_peer,
    "client.socks4": lambda: socks4_script(socks4.CONNECT, HOST, b"u"),
    "client.socks4_peer": client.socks4_peer,
    "client.http": lambda: http_script(HOST),
}
HOSTS: dict[str, Callable[[], Host]] = {
    "server": Host,
    "server with verify": lambda: Host(lambda user, _: user == b"u"),
}
# Bytes that lead far into the scripts, cut and mixed with arbitrary ones.
plausible = st.sampled_from(
    [
        b"\x05\x00", b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x03", b"\x05\x01\x02", b"\x05\x01\x00", b"\x01\x01u\x01p",
        b"\x04\x01\x00\x50\x00\x00\x00\x01", b"\x00\x5a", b"CONNECT ", b"h:1 HTTP/1.1\r\n", b"\r\n", b"\n",
        b"Proxy-Authorization: Basic ", b"HTTP/1.1 ", b"100 \r\n\r\n", b"200 OK\r\n\r\n", b"\xff\n\r\n",
    ]
)  # fmt: skip
anything = st.lists(plausible | st.binary(max_size=40), max_size=20).map(b"".join)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
@given(data=anything, pace=paces)
def test_any_bytes_give_a_value_or_a_protocol_error(name: str, data: bytes, pace: int | None) -> None:
    end = End(SCRIPTS[name]())
    try:
        end.hear(data, pace)
        if not end.conversation.over:
            end.conversation.end()
    except ProtocolError:
        pass
    assert end.most_held <= LONGEST_HEAD


@pytest.mark.parametrize("name", sorted(HOSTS))
@given(data=anything, pace=paces)
def test_any_bytes_give_a_request_or_a_failure(name: str, data: bytes, pace: int | None) -> None:
    host = HOSTS[name]()
    try:
        host.hear(data, pace)
    except ProtocolError:
        return
    assert host.result or isinstance(host.dialogue.closed(), Closed)


@pytest.mark.parametrize("name", sorted(HOSTS))
@pytest.mark.parametrize("start", [b"", b"\x04\x01\0\x50\0\0\0\x01", b"\x05\x01\0", b"\x05\x01\x02\x01\xff"])
def test_a_mebibyte_of_garbage_is_not_held_by_a_server(name: str, start: bytes) -> None:
    host = HOSTS[name]()
    with contextlib.suppress(ProtocolError):
        host.hear(start + b"x" * 1024 * 1024, 4096)
    assert host.most_held < 2 * 4096


@pytest.mark.parametrize("name", sorted(SCRIPTS))
@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\n", b"CONNECT h:1 HTTP/1.1\r\n", b"\x04\x01\0\x50\0\0\0\x01"]
)
def test_a_mebibyte_of_garbage_is_not_held(name: str, start: bytes) -> None:
    end = End(SCRIPTS[name]())
    garbage = start + b"x" * 1024 * 1024
    try:
        end.hear(garbage, 16 * 1024)
    except ProtocolError:
        return
    assert end.conversation.over
    assert end.most_held <= LONGEST_HEAD
    assert len(end.kernel) > len(garbage) - LONGEST_HEAD
