"""The messages of datagram sockets, and the results of receiving them, in the memory of a program.

sendto(2), sendmsg(2) and sendmmsg(2) have what is sent, its address, and ancillary data, which may name an interface.
recvfrom(2) and recvmsg(2) have room for the content, for the sender, and for the sizes of both.
"""

from __future__ import annotations

import os
import struct
import sys
from errno import EMSGSIZE, ENOBUFS
from socket import IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, MSG_TRUNC

from socksify._record import Record
from socksify.seal.kernel import raw_sockaddr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from socksify.seal.kernel.target import Target

_INT = struct.Struct("@i")
# struct msghdr: the address and its size, the parts and their number, the ancillary data and its size, flags.
_MSGHDR = struct.Struct("@PI4xPNPNi4x")
_IOVEC = struct.Struct("@PN")
# UIO_MAXIOV: no message has more parts, and no call has more messages.
_MOST = 1024
# Where the results of recvmsg(2) belong: the sizes of the address and of the ancillary data, and the flags.
_NAME_SIZE_AT, _CONTROL_SIZE_AT = 8, 40
_NAME_SIZE = struct.Struct("@I")
_CONTROL_SIZE_AND_FLAGS = struct.Struct("@Ni")
# In struct mmsghdr, the number of bytes that were sent follows the header.
_MMSGHDR_SIZE = _MSGHDR.size + 8
# struct cmsghdr: the size with the header, the level, the type. Each begins at a multiple of 8 bytes.
_CMSGHDR = struct.Struct("@Nii")
_ALIGNMENT = 8
# <linux/in.h>; Python 3.11 does not have it.
_IP_PKTINFO = 8
# Where struct in_pktinfo and struct in6_pktinfo have the number of the interface.
_INDEX_AT = {(IPPROTO_IP, _IP_PKTINFO): 0, (IPPROTO_IPV6, IPV6_PKTINFO): 16}
# The loopback interface is the first one of every namespace.
_LOOPBACK = 1
# In bytes. No datagram is longer, and no ancillary data that the kernel takes by default.
_LONGEST = 65535
_LONGEST_ANCILLARY = 1 << 17


class MessageHeader(Record):
    """A struct msghdr. `at`, `name`, `parts` and `control` are addresses. `count` is the number of the parts."""

    at: int
    name: int
    name_size: int
    parts: int
    count: int
    control: int
    control_size: int

    def places(self, target: Target, thread: int) -> list[tuple[int, int]]:
        """Return the address and the size of each part. Raises OSError (EFAULT)."""
        count = min(self.count, _MOST)
        return list(_IOVEC.iter_unpack(target.read_all(thread, self.parts, count * _IOVEC.size)))

    def set_results(self, target: Target, thread: int, name_size: int, flags: int) -> None:
        """Write what recvmsg(2) has received: no ancillary data, and these flags. Raises OSError (EFAULT)."""
        target.write(thread, self.at + _NAME_SIZE_AT, _NAME_SIZE.pack(name_size))
        target.write(thread, self.at + _CONTROL_SIZE_AT, _CONTROL_SIZE_AND_FLAGS.pack(0, flags))


class SentMessage(Record):
    """A message of sendmsg(2) or sendmmsg(2). `address` is empty if it has none."""

    header: MessageHeader
    address: bytes
    ancillary: bytes

    @property
    def names_interface(self) -> bool:
        """True if ancillary data sends the message through another interface than loopback (ip(7), IP_PKTINFO)."""
        return any(index not in (0, _LOOPBACK) for index in _interfaces(self.ancillary))

    def content(self, target: Target, thread: int) -> bytes:
        """Return the content. Raises OSError: EFAULT, or EMSGSIZE for more than a datagram holds."""
        content = b""
        for start, size in self.header.places(target, thread):
            if len(content) + size > _LONGEST:
                raise OSError(EMSGSIZE, os.strerror(EMSGSIZE))
            content += target.read_all(thread, start, size)
        return content


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


def read_datagram(target: Target, thread: int, at: int, size: int) -> bytes:
    """Return what a program sends. Raises OSError: EFAULT, or EMSGSIZE for more than a datagram holds."""
    if size > _LONGEST:
        raise OSError(EMSGSIZE, os.strerror(EMSGSIZE))
    return target.read_all(thread, at, size)


def read_header(target: Target, thread: int, at: int) -> MessageHeader:
    """Return the header at an address. Raises OSError (EFAULT)."""
    return _header(at, target.read_all(thread, at, _MSGHDR.size))


def read_message(target: Target, thread: int, at: int) -> SentMessage:
    """Return the message of sendmsg(2). Raises OSError: EFAULT, or ENOBUFS for too much ancillary data."""
    return _message(target, thread, read_header(target, thread, at))


def read_messages(target: Target, thread: int, at: int, count: int) -> list[SentMessage]:
    """Return the messages of sendmmsg(2). Raises the errors of `read_message`."""
    count = min(count & 0xFFFFFFFF, _MOST)
    data = target.read_all(thread, at, count * _MMSGHDR_SIZE)
    starts = range(0, len(data), _MMSGHDR_SIZE)
    headers = (_header(at + start, data[start : start + _MSGHDR.size]) for start in starts)
    return [_message(target, thread, header) for header in headers]


def note_sent(target: Target, thread: int, first: SentMessage, size: int) -> None:
    """Write into struct mmsghdr how many bytes were sent. Raises OSError: EFAULT."""
    target.write(thread, first.header.at + _MSGHDR.size, _INT.pack(size))


def _header(at: int, data: bytes) -> MessageHeader:
    *fields, _flags = _MSGHDR.unpack(data)
    return MessageHeader(at, *fields)


def _message(target: Target, thread: int, header: MessageHeader) -> SentMessage:
    if header.control_size > _LONGEST_ANCILLARY:
        raise OSError(ENOBUFS, os.strerror(ENOBUFS))
    name_size = min(header.name_size, raw_sockaddr.LONGEST)
    address = target.read_all(thread, header.name, name_size) if header.name else b""
    ancillary = target.read_all(thread, header.control, header.control_size) if header.control else b""
    return SentMessage(header, address, ancillary)


def _interfaces(ancillary: bytes) -> Iterator[int]:
    """Yield the number of each interface that ancillary data names."""
    at = 0
    while at + _CMSGHDR.size <= len(ancillary):
        size, level, kind = _CMSGHDR.unpack_from(ancillary, at)
        index_at = at + _CMSGHDR.size + _INDEX_AT.get((level, kind), len(ancillary))
        if index_at + _INT.size <= len(ancillary):
            yield int.from_bytes(ancillary[index_at : index_at + _INT.size], sys.byteorder)
        # The kernel refuses a size that is smaller than the header.
        at += max(-(-size // _ALIGNMENT) * _ALIGNMENT, _CMSGHDR.size)


def _write(target: Target, thread: int, at: int, data: bytes) -> None:
    if data:
        target.write(thread, at, data)


def _result(flags: int, data: bytes, shown: bytes) -> int:
    # recv(2): with MSG_TRUNC, the real length of the datagram.
    return len(data) if flags & MSG_TRUNC else len(shown)
