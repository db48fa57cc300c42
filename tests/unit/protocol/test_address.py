"""Addresses: the type of a host, and the errors of the stdlib for a host that is impossible."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socksify.protocol import address
from socksify.protocol.address import IPV4, IPV6, NAME, Address, encode_name
from socksify.protocol.errors import Garbled
from tests.unit.protocol.strategies import addresses
from tests.unit.protocol.wire import parse, script_of


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", Address(IPV4, "192.0.2.1", 80)),
        ("2001:DB8:0::1", Address(IPV6, "2001:db8::1", 80)),
        ("::ffff:192.0.2.1", Address(IPV6, "::ffff:192.0.2.1", 80)),
        ("::ffff:c000:201", Address(IPV6, "::ffff:192.0.2.1", 80)),
        ("fe80::1%eth0", Address(IPV6, "fe80::1", 80)),
        ("Example.COM", Address(NAME, "Example.COM", 80)),
        ("example.com.", Address(NAME, "example.com.", 80)),
        ("127.1", Address(NAME, "127.1", 80)),
        ("a:b", Address(NAME, "a:b", 80)),
        ("bücher.example", Address(NAME, "bücher.example", 80)),
    ],
)
def test_of(host: str, expected: Address) -> None:
    assert Address.of(host, 80) == expected


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_port_out_of_range_is_what_connect_raises(port: int) -> None:
    with socket.socket() as native, pytest.raises(OverflowError, match="port must be 0-65535") as expected:
        native.connect(("127.0.0.1", port))
    with pytest.raises(OverflowError) as caught:
        Address.of("example.com", port)
    assert str(expected.value).endswith(str(caught.value))


@pytest.mark.parametrize("port", [0, 65535])
def test_every_port_in_range_is_fine(port: int) -> None:
    assert parse(script_of(Address), Address.of("h", port).encode()).port == port


@pytest.mark.parametrize("host", ["", "a" * 256, "a\0b", "é." + "a" * 250])
def test_a_name_that_cannot_be_sent_is_a_value_error(host: str) -> None:
    with pytest.raises(ValueError):
        Address.of(host, 80)
    with pytest.raises(ValueError):
        Address(NAME, host, 80).encode()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "is empty"),
        ("a" * 256, "is 256 bytes long, 255 at most can be sent"),
        ("a\0b", "must not contain null character"),
    ],
)
def test_the_error_says_why_a_name_cannot_be_sent(host: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^host name {said}$"):
        encode_name(host)


def test_a_bad_label_is_what_the_stdlib_raises() -> None:
    host = "é" * 64 + ".example"
    with pytest.raises(UnicodeError):
        socket.getaddrinfo(host, 80)
    with pytest.raises(UnicodeError):
        Address.of(host, 80)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Example.COM", b"Example.COM"),
        ("under_score", b"under_score"),
        ("a" * 200, b"a" * 200),
        ("bücher.example", b"xn--bcher-kva.example"),
        ("caf\udce9", b"caf\xe9"),
    ],
)
def test_names_are_encoded(host: str, name: bytes) -> None:
    assert encode_name(host) == name


@pytest.mark.parametrize(
    "bad", [Address(IPV4, "example.com", 1), Address(IPV6, "192.0.2.1", 1), Address(IPV4, "::", 1)]
)
def test_a_host_of_another_type_is_a_value_error(bad: Address) -> None:
    with pytest.raises(ValueError, match="is not an address of type"):
        bad.encode()


@pytest.mark.parametrize("kind", [0, 2, 5, 255])
def test_an_unknown_type_is_garbled_with_the_code_to_answer(kind: int) -> None:
    with pytest.raises(Garbled, match="address type") as caught:
        parse(script_of(Address), bytes((kind, 0)))
    assert caught.value.reply == 8


def test_an_empty_name_is_read_for_some_servers_bind_nothing() -> None:
    assert parse(script_of(Address), b"\x03\x00\x00\x00") == Address(NAME, "", 0)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (Address(NAME, "192.0.2.1", 5), Address(IPV4, "192.0.2.1", 5)),
        (Address(NAME, "2001:DB8::1", 5), Address(IPV6, "2001:db8::1", 5)),
        (Address(NAME, "example.com", 5), Address(NAME, "example.com", 5)),
        (Address(IPV4, "192.0.2.1", 5), Address(IPV4, "192.0.2.1", 5)),
    ],
)
def test_literal(address: Address, expected: Address) -> None:
    assert address.literal() == expected


@given(addresses)
def test_encode_then_parse_is_identity(address: Address) -> None:
    assert parse(script_of(Address), address.encode()) == address


@given(st.text(max_size=300), st.integers())
def test_any_host_gives_an_address_or_the_documented_error(host: str, port: int) -> None:
    try:
        address = Address.of(host, port)
    except (ValueError, OverflowError):
        return
    assert len(address.encode()) <= 1 + 1 + 255 + 2


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
