"""Errors carry the code of the wire, quote few bytes, and can be sent to another process."""

from __future__ import annotations

import pickle

import pytest

from socksify.protocol.errors import (
    AuthenticationRefused,
    Closed,
    Garbled,
    ProtocolError,
    Refused,
    Unsupported,
    garbled,
)


@pytest.mark.parametrize("kind", [Garbled, Closed, Refused, AuthenticationRefused, Unsupported])
def test_is_a_protocol_error_with_its_code(kind: type[ProtocolError]) -> None:
    error = kind("words", 8)
    assert isinstance(error, ProtocolError)
    assert (str(error), error.reply) == ("words", 8)
    assert kind("words").reply is None


def test_a_refusal_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(Refused("Host unreachable", 4, "socks5")))
    assert (str(error), error.reply, error.kind) == ("Host unreachable", 4, "socks5")


def test_quotes_what_was_said() -> None:
    assert str(garbled("a reply", b"220 mail\r\n", 8)) == "expected a reply, got b'220 mail\\r\\n'"
    assert garbled("a reply", b"", 8).reply == 8


@pytest.mark.parametrize("got", [None, b"", b"x" * 65])
def test_what_was_garbled_has_the_code_to_answer_and_the_ways_that_were_wanted(got: bytes | None) -> None:
    error = garbled("a reply", got, 8, ("GSSAPI",))
    assert (error.reply, error.wanted) == (8, ("GSSAPI",))


def test_quotes_at_most_64_bytes() -> None:
    assert str(garbled("a reply", b"x" * 64)).endswith("x" * 64 + "'")
    assert str(garbled("a reply", bytearray(b"x" * 65))) == f"expected a reply, got b'{'x' * 64}'..."
