"""A driver without sockets: what the tunnel does with a conversation, done on byte strings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from socksify.protocol.conversation import Conversation

if TYPE_CHECKING:
    from socksify.protocol.conversation import Script


class End:
    """One end of a connection: a conversation, the bytes that its kernel holds, and the sizes of its reads."""

    def __init__(self, script: Script[Any]) -> None:
        self.conversation = Conversation(script)
        self.kernel = bytearray()
        self.reads: list[int] = []
        self.most_held = 0

    def advance(self) -> bytes:
        """Go as far as the bytes that are there allow; what was written."""
        written = b""
        conversation = self.conversation
        while not conversation.over:
            if conversation.outgoing:
                written += conversation.outgoing
                conversation.sent(len(conversation.outgoing))
            elif not self.kernel:
                break
            elif conversation.peeking:
                self._take(conversation.peeked(bytes(self.kernel)))
            else:
                conversation.receive(self._take(conversation.needs))
            self.most_held = max(self.most_held, len(conversation._held))
        return written

    def hear(self, data: bytes, at_a_time: int | None = None) -> bytes:
        """`data` arrives, so many bytes at a time; what was written meanwhile."""
        return b"".join(self._arrive(chunk) for chunk in chunks(data, at_a_time))

    def _arrive(self, chunk: bytes) -> bytes:
        self.kernel += chunk
        return self.advance()

    def _take(self, count: int) -> bytes:
        taken = bytes(self.kernel[:count])
        del self.kernel[:count]
        self.reads.append(len(taken))
        return taken


def chunks(data: bytes, size: int | None) -> Iterator[bytes]:
    size = size or max(1, len(data))
    return (data[at : at + size] for at in range(0, len(data), size))


def parse(script: Script[Any], data: bytes, at_a_time: int | None = None) -> Any:
    """The script's result from exactly `data`."""
    end = End(script)
    end.advance()
    end.hear(data, at_a_time)
    assert end.conversation.over, f"still needs {end.conversation.needs}"
    assert not end.kernel, f"left {bytes(end.kernel)!r}"
    return end.conversation.result


def talk(one: End, other: End, at_a_time: int | None = None) -> None:
    """Let two ends talk until neither has anything to say."""
    said = one.advance()
    other.advance()
    while said:
        said = other.hear(said, at_a_time)
        one, other = other, one
