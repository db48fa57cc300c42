"""Messages on a stream, in pieces of every size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from socksify.seal.dns.framing import Incoming, framed


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_messages_come_out_as_they_were_sent(messages: list[bytes], size: int) -> None:
    sent = b"".join(map(framed, messages))
    incoming = Incoming()
    received = [each for at in range(0, len(sent), size) for each in incoming.feed(sent[at : at + size])]
    assert received == messages
    assert incoming.feed(b"") == []


def test_the_longest_message() -> None:
    incoming = Incoming()
    assert incoming.feed(framed(65535 * b"a")[:-1]) == []
    assert incoming.feed(b"a") == [65535 * b"a"]
