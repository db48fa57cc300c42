"""The name server: messages made by hand, and its answers."""

from __future__ import annotations

import ipaddress
import socket
import struct

from tests.support.network.name_server import AAAA, PTR, A, answer
from tests.support.network.packets import question

ADDRESSES = ("198.51.100.7", "2001:db8:7::7")
KNOWN = {"target.example": ADDRESSES}
NO_ERROR, NO_SUCH_NAME = 0x8180, 0x8183


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in (*name.split("."), ""))
    return struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!2H", kind, 1)


def head(reply: bytes) -> tuple[int, int]:
    """Flags, and the number of answers."""
    _, flags, _, count, _, _ = struct.unpack_from("!6H", reply)
    return flags, count


def test_addresses() -> None:
    for kind, family, address in ((A, socket.AF_INET, ADDRESSES[0]), (AAAA, socket.AF_INET6, ADDRESSES[1])):
        reply = answer(query("Target.example", kind), KNOWN)
        assert head(reply) == (NO_ERROR, 1)
        assert question(reply) == "Target.example"
        assert reply.endswith(socket.inet_pton(family, address))


def test_names_of_addresses() -> None:
    for address in ADDRESSES:
        reply = answer(query(ipaddress.ip_address(address).reverse_pointer, PTR), KNOWN)
        assert head(reply) == (NO_ERROR, 1)
        assert reply.endswith(b"\x06target\x07example\0")


def test_a_name_of_another_type_is_there_and_empty() -> None:
    assert head(answer(query("target.example", PTR), KNOWN)) == (NO_ERROR, 0)


def test_there_are_no_other_names() -> None:
    assert head(answer(query("other.example", A), KNOWN)) == (NO_SUCH_NAME, 0)
