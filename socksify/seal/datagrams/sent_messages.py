"""The messages of sendmsg(2) and sendmmsg(2): where they go, by which interface, and what they hold."""

from __future__ import annotations

import os
import struct
import sys
from errno import EMSGSIZE, ENOBUFS
from socket import IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO

from socksify._record import Record
from socksify.seal.datagrams import message_header
from socksify.seal.kernel import raw_sockaddr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from socksify.seal.datagrams.message_header import MessageHeader
    from socksify.seal.kernel.target import Target

# In struct mmsghdr, the number of bytes that were sent follows the header.
_MMSGHDR_SIZE = message_header.SIZE + 8
# struct cmsghdr: the size with the header, the level, the type. Each begins at a multiple of 8 bytes.
_CMSGHDR = struct.Struct("@Nii")
_ALIGNMENT = 8
_INDEX = struct.Struct("@i")
# <linux/in.h>; Python 3.11 does not have it.
_IP_PKTINFO = 8
# Where struct in_pktinfo and struct in6_pktinfo have the number of the interface.
_INDEX_AT = {(IPPROTO_IP, _IP_PKTINFO): 0, (IPPROTO_IPV6, IPV6_PKTINFO): 16}
_LOOPBACK = 1
# UIO_MAXIOV: no call has more messages.
_MOST = 1024
# In bytes. No datagram is longer, and no ancillary data that the kernel takes by default.
_LONGEST = 65535
_LONGEST_ANCILLARY = 1 << 17


class SentMessage(Record):
    """One message. `address` is empty if it has none."""

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


def message(target: Target, thread: int, at: int) -> SentMessage:
    """Return the message of sendmsg(2). Raises OSError: EFAULT, or ENOBUFS for too much ancillary data."""
    return _message(target, thread, message_header.read(target, thread, at))


def messages(target: Target, thread: int, at: int, count: int) -> list[SentMessage]:
    """Return the messages of sendmmsg(2). Raises the errors of `message`."""
    count = min(count & 0xFFFFFFFF, _MOST)
    data = target.read_all(thread, at, count * _MMSGHDR_SIZE)
    starts = range(0, len(data), _MMSGHDR_SIZE)
    headers = (message_header.unpack(at + start, data[start : start + message_header.SIZE]) for start in starts)
    return [_message(target, thread, header) for header in headers]


def note_sent(target: Target, thread: int, first: SentMessage, size: int) -> None:
    """Write into struct mmsghdr how many bytes were sent. Raises OSError: EFAULT."""
    target.write(thread, first.header.at + message_header.SIZE, _INDEX.pack(size))


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
        if index_at + _INDEX.size <= len(ancillary):
            yield int.from_bytes(ancillary[index_at : index_at + _INDEX.size], sys.byteorder)
        # The kernel refuses a size that is smaller than the header.
        at += max(-(-size // _ALIGNMENT) * _ALIGNMENT, _CMSGHDR.size)
