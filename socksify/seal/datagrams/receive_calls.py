"""recvfrom(2) and recvmsg(2): where their results belong in the memory of the program."""

from __future__ import annotations

import struct
from socket import MSG_TRUNC

from socksify._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.seal.datagrams.message_header import MessageHeader
    from socksify.seal.kernel.target import Target

_INT = struct.Struct("@i")


class Recvfrom(Record):
    """A call of recvfrom(2) by a thread: `data`, `address` and `length` are addresses in its memory."""

    id: int
    thread: int
    flags: int
    data: int
    size: int
    address: int
    length: int

    def store(self, target: Target, data: bytes, sender: bytes) -> int:
        """Write a datagram and its sender. Return the result of the call. Raises OSError (EFAULT)."""
        (room,) = _INT.unpack(target.read_all(self.thread, self.length, _INT.size))
        shown = data[: self.size]
        _write(target, self.thread, self.data, shown)
        _write(target, self.thread, self.address, sender[: max(room, 0)])
        target.write(self.thread, self.length, _INT.pack(len(sender)))
        return _result(self.flags, data, shown)


class Recvmsg(Record):
    """A call of recvmsg(2) by a thread."""

    id: int
    thread: int
    flags: int
    header: MessageHeader

    def store(self, target: Target, data: bytes, sender: bytes) -> int:
        """Write a datagram and its sender. Return the result of the call. Raises OSError (EFAULT)."""
        stored = 0
        for place, size in self.header.places(target, self.thread):
            part = data[stored : stored + size]
            _write(target, self.thread, place, part)
            stored += len(part)
        _write(target, self.thread, self.header.name, sender[: self.header.name_size])
        self.header.set_results(target, self.thread, len(sender), MSG_TRUNC if stored < len(data) else 0)
        return _result(self.flags, data, data[:stored])


def _write(target: Target, thread: int, at: int, data: bytes) -> None:
    if data:
        target.write(thread, at, data)


def _result(flags: int, data: bytes, shown: bytes) -> int:
    # recv(2): with MSG_TRUNC, the real length of the datagram.
    return len(data) if flags & MSG_TRUNC else len(shown)
