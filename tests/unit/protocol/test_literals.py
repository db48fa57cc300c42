"""Literals, compared with the C library's inet_pton and inet_ntop."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socksify.protocol import address

quads = st.lists(st.integers(0, 300).map(str) | st.sampled_from(["", "00", "01", "0x1", "1 ", "+1", "٣"]), max_size=5)
groups = st.sampled_from(["", "", "0", "0", "1", "ffff", "FFFF", "0db8", "12345", "g", "1.2.3.4", "1.2.3.256", " 1"])


def native(family: int, text: str) -> bytes | None:
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None


@given(quads.map(".".join) | st.text(max_size=16))
@example("127.0.0.1")
@example("127.1")
@example("1.2.3.4\0")
def test_ipv4_is_read_as_inet_pton_reads_it(text: str) -> None:
    assert address.ipv4(text) == native(socket.AF_INET, text)


@given(st.lists(groups, max_size=10).map(":".join))
@example("::")
@example(":")
@example(":::")
@example("1::2::3")
@example("1:2:3:4:5:6:7:8")
@example("1:2:3:4:5:6:7::")
@example("::2:3:4:5:6:7:8")
@example("1:2:3:4::5:6:7:8")
@example("1:2:3:4:5:6:7:8:9")
@example("::ffff:1.2.3.4")
@example("1.2.3.4::")
@example("1.2.3.4")
@example("1:2:3:4:5:6:1.2.3.4")
@example("1:2:3:4:5:6:7:1.2.3.4")
def test_ipv6_is_read_as_inet_pton_reads_it(text: str) -> None:
    assert address.ipv6(text) == native(socket.AF_INET6, text)


@given(st.ip_addresses(v=6).map(str))
def test_ipv6_addresses_are_read(text: str) -> None:
    assert address.ipv6(text) == socket.inet_pton(socket.AF_INET6, text)


@given(st.binary(min_size=4, max_size=4))
def test_ipv4_is_written_as_inet_ntop_writes_it(packed: bytes) -> None:
    assert address.ipv4_text(packed) == socket.inet_ntop(socket.AF_INET, packed)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xDB8]), min_size=8, max_size=8))
@example([0, 0, 0, 0, 0, 0xFFFF, 0x102, 0x304])
@example([0, 0, 0, 0, 0, 0xFFFF, 0, 0])
@example([0, 0, 0, 0, 0, 0, 1, 2])
@example([0, 0, 0, 0, 0, 0, 0, 2])
@example([1, 0, 2, 0, 3, 0, 4, 0])
def test_ipv6_is_written_as_inet_ntop_writes_it(words: list[int]) -> None:
    packed = b"".join(word.to_bytes(2, "big") for word in words)
    assert address.ipv6_text(packed) == socket.inet_ntop(socket.AF_INET6, packed)


@pytest.mark.parametrize("text", ["", "localhost", "example.com", "1.2.3", "1.2.3.4.5"])
def test_names_are_no_literals(text: str) -> None:
    assert address.ipv4(text) is None
    assert address.ipv6(text) is None
