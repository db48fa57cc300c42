"""The contract between a script and its driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.protocol.conversation import LONGEST_HEAD, Conversation, Head
from socksify.protocol.errors import Closed, Garbled
from tests.unit.protocol.wire import End

if TYPE_CHECKING:
    from socksify.protocol.conversation import Script

ANY_HEAD = Head(b"")


def one(want: int | bytes | Head) -> Script[bytes]:
    return (yield want)


def several(*wants: int | bytes | Head) -> Script[list[bytes]]:
    answers = []
    for want in wants:
        answers.append((yield want))
    return answers


def test_a_script_without_needs_is_over_at_once() -> None:
    conversation = Conversation(several())
    assert (conversation.over, conversation.result) == (True, [])
    assert (conversation.outgoing, conversation.needs, conversation.peeking) == (b"", 0, False)


def test_tells_what_it_needs_until_it_has_it() -> None:
    conversation = Conversation(one(5))
    assert (conversation.needs, conversation.over, conversation.peeking) == (5, False, False)
    assert (conversation.heard, conversation.result) == (False, None)
    conversation.receive(b"ab")
    assert conversation.heard is True
    assert conversation.needs == 3
    conversation.receive(b"c")
    assert conversation.needs == 2
    conversation.receive(b"de")
    assert (conversation.needs, conversation.over, conversation.result) == (0, True, b"abcde")


def test_nothing_needed_is_given_at_once() -> None:
    conversation = Conversation(several(0, b"", 1))
    assert conversation.needs == 1
    conversation.receive(b"x")
    assert conversation.result == [b"", b"", b"x"]


def test_writes_before_it_reads() -> None:
    conversation = Conversation(several(b"hello", 1))
    assert (conversation.outgoing, conversation.needs, conversation.peeking) == (b"hello", 0, False)
    conversation.sent(2)
    assert (conversation.outgoing, conversation.needs) == (b"llo", 0)
    conversation.sent(3)
    assert (conversation.outgoing, conversation.needs) == (b"", 1)


def test_is_over_after_a_last_write() -> None:
    conversation = Conversation(one(b"bye"))
    assert not conversation.over
    conversation.sent(3)
    assert (conversation.over, conversation.outgoing, conversation.result) == (True, b"", b"")


@pytest.mark.parametrize("data", [b"", b"abc"])
def test_takes_no_more_than_it_needs_and_no_less_than_a_byte(data: bytes) -> None:
    conversation = Conversation(one(2))
    with pytest.raises(ValueError, match="where 2 are needed"):
        conversation.receive(data)


def test_takes_nothing_while_writing() -> None:
    conversation = Conversation(several(b"hello", 1))
    with pytest.raises(ValueError, match="where 0 are needed"):
        conversation.receive(b"x")


@pytest.mark.parametrize(
    "head", [b"A: b\r\n\r\n", b"A: b\n\n", b"A: b\n\r\n", b"A: b\r\n\n", b"A\r\nB: c\r\n\r\n", b"\n\n"]
)
def test_a_head_ends_with_its_empty_line(head: bytes) -> None:
    conversation = Conversation(one(ANY_HEAD))
    assert (conversation.peeking, conversation.needs) == (True, 0)
    assert conversation.peeked(head + b"rest\r\n\r\n") == len(head)
    assert (conversation.peeking, conversation.over, conversation.result) == (False, True, head)


@given(st.integers(1, 20), st.sampled_from([b"\r\n\r\n", b"\n\n", b"\n\r\n"]))
def test_a_head_may_be_cut_anywhere(size: int, ending: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: \r" + ending
    end = End(several(Head(b"HTTP/"), 2))
    end.hear(head + b"\n\n", size)
    assert end.conversation.result == [head, b"\n\n"]


def test_a_piece_without_the_empty_line_is_taken_whole_so_that_peeking_again_shows_something_new() -> None:
    conversation = Conversation(one(ANY_HEAD))
    assert conversation.peeked(b"HTTP/1.1 200 OK\r\n\r") == 18
    assert conversation.peeking
    assert conversation.peeked(b"\nrest") == 1
    assert conversation.result == b"HTTP/1.1 200 OK\r\n\r\n"


def test_two_heads_in_one_segment_are_told_apart() -> None:
    end = End(several(ANY_HEAD, ANY_HEAD, 2))
    end.hear(b"A\r\n\r\nB\n\nCD")
    assert end.conversation.result == [b"A\r\n\r\n", b"B\n\n", b"CD"]
    assert end.reads == [5, 3, 2]


def test_a_head_of_64_kib_is_taken_and_not_a_byte_more() -> None:
    ending = b"\r\n\r\n"
    longest = b"x" * (65536 - len(ending)) + ending
    conversation = Conversation(one(ANY_HEAD))
    assert conversation.peeked(longest + b"rest") == LONGEST_HEAD == 65536
    assert conversation.result == longest
    with pytest.raises(Garbled, match=r"an empty line within 64 KiB, got b'x+'\.\.\.$"):
        Conversation(one(ANY_HEAD)).peeked(b"x" + longest)


@pytest.mark.parametrize("at_a_time", [None, 1000, 1])
def test_no_more_than_64_kib_are_ever_held(at_a_time: int | None) -> None:
    end = End(one(ANY_HEAD))
    with pytest.raises(Garbled):
        end.hear(b"x" * (LONGEST_HEAD + 5), at_a_time)
    assert len(end.conversation._held) <= LONGEST_HEAD


def test_a_wrong_start_is_told_at_once_and_not_when_the_banner_has_its_empty_line() -> None:
    conversation = Conversation(one(Head(b"HTTP/")))
    assert conversation.heard is False
    assert conversation.peeked(b"HT") == 2
    assert conversation.heard is True
    with pytest.raises(Garbled, match=r"a header that starts b'HTTP/', got b'HTTQ'"):
        conversation.peeked(b"TQ")


@pytest.mark.parametrize(
    ("wants", "heard", "progress"),
    [
        ((5,), b"", "closed after 0 of 5 bytes"),
        ((5,), b"ab", "closed after 2 of 5 bytes"),
        ((2, 5), b"abc", "closed after 1 of 5 bytes"),
        ((ANY_HEAD,), b"abc", "closed after 3 bytes of the header"),
    ],
)
def test_end_says_how_much_had_come(wants: tuple[int | Head, ...], heard: bytes, progress: str) -> None:
    end = End(several(*wants))
    end.hear(heard)
    with pytest.raises(Closed, match=f"^{progress}$"):
        end.conversation.end()


def test_end_says_how_much_was_still_to_be_written() -> None:
    conversation = Conversation(one(b"hello"))
    conversation.sent(1)
    with pytest.raises(Closed, match="closed with 4 bytes still to be written"):
        conversation.end()


def test_end_of_what_is_over_is_closed_too() -> None:
    with pytest.raises(Closed):
        Conversation(several()).end()


def test_a_script_cannot_carry_on_without_its_peer() -> None:
    def stubborn() -> Script[Any]:
        try:
            yield 1
        except Closed:
            yield 2

    with pytest.raises(Closed, match="after 0 of 1"):
        Conversation(stubborn()).end()


def test_errors_of_the_script_come_from_where_it_runs() -> None:
    def picky() -> Script[None]:
        yield b"?"
        raise Garbled("no")

    conversation = Conversation(picky())
    with pytest.raises(Garbled, match="no"):
        conversation.sent(1)
    assert (conversation.outgoing, conversation.needs, conversation.peeking, conversation.over) == (
        b"",
        0,
        False,
        False,
    )


@given(st.lists(st.integers(0, 40) | st.binary(max_size=9), max_size=12), st.integers(1, 9))
def test_every_script_gets_exactly_what_it_asked_for(wants: list[int | bytes], size: int) -> None:
    total = sum(want for want in wants if isinstance(want, int))
    stream = bytes(at % 251 for at in range(total))
    end = End(several(*wants))
    written = end.advance() + end.hear(stream + b"!", size)
    answers = end.conversation.result
    assert written == b"".join(want for want in wants if isinstance(want, bytes))
    assert b"".join(answers) == stream
    assert [len(answer) for answer in answers] == [want if isinstance(want, int) else 0 for want in wants]
    assert end.kernel == b"!"
