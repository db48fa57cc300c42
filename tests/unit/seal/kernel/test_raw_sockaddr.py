"""Addresses as they lie in memory: what connect(2) accepts, and the errors that it gives for the rest."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.seal.kernel import raw_sockaddr

IPV4 = b"\x02\x00\x00\x50\x7f\x00\x00\x01" + bytes(8)
IPV6 = b"\x0a\x00\x01\xbb\x00\x00\x00\x07" + bytes(15) + b"\x01" + b"\x03\x00\x00\x00"


def test_an_address_of_ipv4() -> None:
    assert raw_sockaddr.family(IPV4) == socket.AF_INET
    assert raw_sockaddr.parse(IPV4, socket.AF_INET) == ("127.0.0.1", 80)
    assert raw_sockaddr.pack(socket.AF_INET, ("127.0.0.1", 80)) == IPV4


def test_an_address_of_ipv6() -> None:
    assert raw_sockaddr.parse(IPV6, socket.AF_INET6) == ("::1", 443, 7, 3)
    assert raw_sockaddr.pack(socket.AF_INET6, ("::1", 443, 7, 3)) == IPV6
    # RFC 2133: without the scope.
    assert raw_sockaddr.parse(IPV6[:24], socket.AF_INET6) == ("::1", 443, 7, 0)
    assert raw_sockaddr.pack(socket.AF_INET6, ("::1", 443)) == IPV6[:4] + bytes(4) + IPV6[8:24] + bytes(4)


@pytest.mark.parametrize(
    ("raw", "family", "number"),
    [
        (IPV4[:15], socket.AF_INET, errno.EINVAL),
        (IPV6[:23], socket.AF_INET6, errno.EINVAL),
        (IPV4, socket.AF_INET6, errno.EINVAL),
        (IPV4 + bytes(12), socket.AF_INET6, errno.EAFNOSUPPORT),
        (IPV6, socket.AF_INET, errno.EAFNOSUPPORT),
    ],
)
def test_the_errors_are_those_of_the_kernel(raw: bytes, family: int, number: int) -> None:
    with pytest.raises(OSError, match=r"\[Errno") as ours:
        raw_sockaddr.parse(raw, family)
    assert ours.value.errno == number


@pytest.mark.parametrize("raw", [b"", b"\x02"])
def test_an_address_without_a_family(raw: bytes) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        raw_sockaddr.family(raw)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"\x01\x00/run/x\x00rubbish", b"/run/x"),
        (b"\x01\x00/run/x", b"/run/x"),
        (b"\x01\x00\x00abstract\x00name", b"\x00abstract\x00name"),
        (b"\x01\x00", b""),
    ],
)
def test_the_path_of_a_unix_socket(raw: bytes, path: bytes) -> None:
    assert raw_sockaddr.path(raw) == path


@given(st.binary(max_size=raw_sockaddr.LONGEST), st.sampled_from([socket.AF_INET, socket.AF_INET6]))
def test_nothing_but_an_oserror_comes_of_any_bytes(raw: bytes, family: int) -> None:
    try:
        address = raw_sockaddr.parse(raw, family)
    except OSError:
        return
    assert raw_sockaddr.parse(raw_sockaddr.pack(family, address), family) == address
