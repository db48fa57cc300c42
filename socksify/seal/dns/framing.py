"""Messages on a stream: each has its length before it, in two bytes (RFC 1035 section 4.2.2)."""

from __future__ import annotations

_PREFIX = 2


class Incoming:
    """The bytes that were received on a stream. They are never more than one message and one read."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the stream. Return the messages that are complete now."""
        received = self._received
        received += data
        messages, offset = [], 0
        while len(received) >= offset + _PREFIX:
            end = offset + _PREFIX + int.from_bytes(received[offset : offset + _PREFIX], "big")
            if len(received) < end:
                break
            messages.append(bytes(received[offset + _PREFIX : end]))
            offset = end
        del received[:offset]
        return messages


def framed(message: bytes) -> bytes:
    """Return a message with its length before it."""
    return len(message).to_bytes(_PREFIX, "big") + message
