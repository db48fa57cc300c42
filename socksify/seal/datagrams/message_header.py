"""struct msghdr of sendmsg(2) and recvmsg(2), as it lies in the memory of a program."""

from __future__ import annotations

import struct

from socksify._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.seal.kernel.target import Target

# The address and its size, the parts and their number, the ancillary data and its size, flags.
_MSGHDR = struct.Struct("@PI4xPNPNi4x")
SIZE = _MSGHDR.size
_IOVEC = struct.Struct("@PN")
# UIO_MAXIOV: no message has more parts.
_MOST_PARTS = 1024
# Where the results of recvmsg(2) belong: the sizes of the address and of the ancillary data, and the flags.
_NAME_SIZE_AT, _CONTROL_SIZE_AT = 8, 40
_NAME_SIZE = struct.Struct("@I")
_CONTROL_SIZE_AND_FLAGS = struct.Struct("@Ni")


class MessageHeader(Record):
    """A header at the address `at`. `name`, `parts` and `control` are addresses, too. `count` is that of the parts."""

    at: int
    name: int
    name_size: int
    parts: int
    count: int
    control: int
    control_size: int

    def places(self, target: Target, thread: int) -> list[tuple[int, int]]:
        """Return the address and the size of each part. Raises OSError (EFAULT)."""
        count = min(self.count, _MOST_PARTS)
        return list(_IOVEC.iter_unpack(target.read_all(thread, self.parts, count * _IOVEC.size)))

    def set_results(self, target: Target, thread: int, name_size: int, flags: int) -> None:
        """Write what recvmsg(2) has received: no ancillary data, and these flags. Raises OSError (EFAULT)."""
        target.write(thread, self.at + _NAME_SIZE_AT, _NAME_SIZE.pack(name_size))
        target.write(thread, self.at + _CONTROL_SIZE_AT, _CONTROL_SIZE_AND_FLAGS.pack(0, flags))


def unpack(at: int, data: bytes) -> MessageHeader:
    """Return the header whose SIZE bytes are `data`."""
    *fields, _flags = _MSGHDR.unpack(data)
    return MessageHeader(at, *fields)


def read(target: Target, thread: int, at: int) -> MessageHeader:
    """Return the header at an address. Raises OSError (EFAULT)."""
    return unpack(at, target.read_all(thread, at, SIZE))
