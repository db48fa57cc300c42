"""What is sent with sendmsg(2) and sendmmsg(2), in the memory of a process: this one's own."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

import pytest

from socksify.seal.datagrams.messages import note_sent, read_message, read_messages
from socksify.seal.kernel import raw_sockaddr, system_calls
from socksify.seal.kernel.target import Target

ADDRESS = raw_sockaddr.pack(socket.AF_INET, ("9.9.9.9", 53))
ME = os.getpid()


class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("size", ctypes.c_size_t))


class Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("name_size", ctypes.c_uint), ("parts", ctypes.c_void_p),
        ("count", ctypes.c_size_t), ("control", ctypes.c_char_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )  # fmt: skip


class Mmsghdr(ctypes.Structure):
    _fields_ = (("header", Msghdr), ("sent", ctypes.c_uint))


@pytest.fixture
def target() -> Target:
    return Target(system_calls.here().numbers)


def parts_of(*parts: bytes) -> ctypes.Array[Iovec]:
    return (Iovec * len(parts))(*(Iovec(part, len(part)) for part in parts))


def control(level: int, kind: int, data: bytes) -> bytes:
    """One piece of ancillary data, as CMSG_SPACE(3) lays it out."""
    size = socket.CMSG_LEN(len(data))
    return (struct.pack("@Nii", size, level, kind) + data).ljust(socket.CMSG_SPACE(len(data)), b"\0")


def in4(index: int) -> bytes:
    return control(socket.IPPROTO_IP, 8, struct.pack("@i8x", index))


def in6(index: int) -> bytes:
    return control(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, bytes(16) + struct.pack("@i", index))


def test_a_message_is_read(target: Target) -> None:
    parts = parts_of(b"first, ", b"", b"second")
    header = Msghdr(ADDRESS, len(ADDRESS), ctypes.addressof(parts), len(parts), in4(0), len(in4(0)), 0)
    message = read_message(target, ME, ctypes.addressof(header))
    assert (message.address, message.ancillary) == (ADDRESS, in4(0))
    assert message.content(target, ME) == b"first, second"


def test_a_message_of_a_connected_socket_has_nothing_but_its_content(target: Target) -> None:
    parts = parts_of(b"content")
    header = Msghdr(None, 16, ctypes.addressof(parts), 1, None, 8, 0)
    message = read_message(target, ME, ctypes.addressof(header))
    assert (message.address, message.ancillary) == (b"", b"")


def test_messages_are_read_and_the_size_is_written(target: Target) -> None:
    parts = parts_of(b"content")
    headers = (Mmsghdr * 3)()
    for header in headers:
        header.header = Msghdr(ADDRESS, len(ADDRESS), ctypes.addressof(parts), 1, None, 0, 0)
    found = read_messages(target, ME, ctypes.addressof(headers), len(headers))
    assert [message.content(target, ME) for message in found] == [b"content"] * 3
    note_sent(target, ME, found[1], 7)
    assert [header.sent for header in headers] == [0, 7, 0]
    assert read_messages(target, ME, 0, 0) == []


@pytest.mark.parametrize(
    ("ancillary", "names"),
    [
        (b"", False),
        (in4(0), False),
        (in4(1), False),
        (in4(2), True),
        (in6(2), True),
        (control(socket.IPPROTO_IP, socket.IP_TTL, struct.pack("@i", 9)) + in4(2), True),
        (control(socket.IPPROTO_IP, socket.IP_TTL, struct.pack("@i", 9)), False),
        # A size that would lead to an endless search, and data that is cut short.
        (struct.pack("@Nii", 0, 0, 0) + in4(2), True),
        (in4(2)[:20], True),
        (in4(2)[:16], False),
        (in6(2)[:30], False),
    ],
)
def test_an_interface_is_found_in_ancillary_data(target: Target, ancillary: bytes, names: bool) -> None:
    header = Msghdr(None, 0, None, 0, ancillary, len(ancillary), 0)
    assert read_message(target, ME, ctypes.addressof(header)).names_interface == names


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (Msghdr(ADDRESS, 16, None, 0, ADDRESS, 1 << 30, 0), errno.ENOBUFS),
        (Msghdr(ADDRESS, 16, 8, 1, None, 0, 0), errno.EFAULT),
        (Msghdr(ADDRESS, 16, None, 1 << 40, None, 0, 0), errno.EFAULT),
    ],
    ids=["ancillary data", "parts nowhere", "endless parts"],
)
def test_what_the_kernel_refuses_is_refused(target: Target, header: Msghdr, error: int) -> None:
    with pytest.raises(OSError) as raised:
        read_message(target, ME, ctypes.addressof(header)).content(target, ME)
    assert raised.value.errno == error


def test_a_message_is_no_longer_than_a_datagram(target: Target) -> None:
    parts = parts_of(bytes(40_000), bytes(40_000))
    header = Msghdr(ADDRESS, 16, ctypes.addressof(parts), 2, None, 0, 0)
    with pytest.raises(OSError) as raised:
        read_message(target, ME, ctypes.addressof(header)).content(target, ME)
    assert raised.value.errno == errno.EMSGSIZE


def test_a_header_that_is_cut_short_is_no_message(target: Target) -> None:
    with pytest.raises(OSError) as raised:
        read_message(target, ME, 8)
    assert raised.value.errno == errno.EFAULT
