"""The table of messages: parsers read what encoders write, in any pieces and with any bytes behind it."""

from __future__ import annotations

import pickle

import pytest

from socksify.protocol.errors import Closed
from tests.unit.protocol.messages import MESSAGES, Message
from tests.unit.protocol.wire import End, parse

each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda m: f"{type(m.value).__module__}-{m.name}")


@each_message
def test_is_written_as_the_rfc_says(message: Message) -> None:
    assert message.value.encode() == message.wire


@each_message
@pytest.mark.parametrize("at_a_time", [None, 1, 2, 3])
def test_is_read_however_it_arrives(message: Message, at_a_time: int | None) -> None:
    assert parse(message.parse(), message.wire, at_a_time) == message.value


@each_message
@pytest.mark.parametrize("trailing", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n", b"\0"])
@pytest.mark.parametrize("at_a_time", [None, 1])
def test_leaves_alone_what_follows(message: Message, trailing: bytes, at_a_time: int | None) -> None:
    end = End(message.parse())
    end.advance()
    end.hear(message.wire + trailing, at_a_time)
    assert end.conversation.result == message.value
    assert end.kernel == trailing


@each_message
def test_cut_short_anywhere_is_closed(message: Message) -> None:
    for length in range(len(message.wire)):
        end = End(message.parse())
        end.hear(message.wire[:length])
        assert not end.conversation.over, length
        with pytest.raises(Closed):
            end.conversation.end()


@each_message
def test_value_survives_pickling(message: Message) -> None:
    assert pickle.loads(pickle.dumps(message.value)) == message.value
