"""The header of relayed datagrams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.protocol import socks5
from socksify.protocol.address import Address
from socksify.protocol.errors import Garbled, ProtocolError
from tests.unit.protocol.messages import ADDRESSES, V4, V4_WIRE, Message
from tests.unit.protocol.strategies import addresses

each_address = pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: a.name)


@each_address
def test_is_written_as_the_rfc_says(address: Message) -> None:
    assert socks5.encode_udp_header(address.value) == b"\0\0\0" + address.wire


@each_address
@pytest.mark.parametrize("data", [b"", b"data", b"x" * 65507])
def test_is_read_and_tells_where_the_data_begins(address: Message, data: bytes) -> None:
    header = b"\0\0\0" + address.wire
    assert socks5.parse_udp_header(header + data) == (address.value, 0, len(header))


@each_address
def test_cut_short_anywhere_is_garbled(address: Message) -> None:
    header = b"\0\0\0" + address.wire
    for length in range(len(header)):
        with pytest.raises(Garbled):
            socks5.parse_udp_header(header[:length])


def test_tells_the_fragment_for_the_caller_to_drop() -> None:
    assert socks5.parse_udp_header(b"\0\0\x81" + V4_WIRE) == (V4, 0x81, 10)


@pytest.mark.parametrize("wire", [b"\1\0\0" + V4_WIRE, b"\0\1\0" + V4_WIRE, b"\0\0\0\2" + V4_WIRE[1:]])
def test_what_is_no_header_is_garbled(wire: bytes) -> None:
    with pytest.raises(Garbled):
        socks5.parse_udp_header(wire)


@given(addresses, st.binary(max_size=50))
def test_encode_then_parse_is_identity(address: Address, data: bytes) -> None:
    header = socks5.encode_udp_header(address)
    assert socks5.parse_udp_header(header + data) == (address, 0, len(header))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"\0\0\0" + data))
def test_any_bytes_give_a_header_or_a_protocol_error(data: bytes) -> None:
    try:
        _, fragment, begin = socks5.parse_udp_header(data)
    except ProtocolError:
        return
    assert fragment == data[2]
    assert 3 < begin <= len(data)
