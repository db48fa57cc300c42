"""What a query says, and what its response looks like. dnspython is the reference for both.

Frames of TCP and names of the reverse zone are tested here too.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.seal.dns import message
from socksify.seal.dns.message import HEADER, Incoming, Query, address_of_reverse_name, framed, parse

HEADER_OF_ONE_QUESTION = bytes.fromhex("123401000001000000000000")
QUESTION = b"\3www\7example\0\0\1\0\1"
OPT = b"\0\0\x29\x10\0\0\0\0\0\0\0"


def read(data: bytes) -> Query:
    query = parse(data)
    assert query is not None
    return query


def counted(questions: int, answers: int, authorities: int, additional: int) -> bytes:
    return HEADER.pack(7, 0, questions, answers, authorities, additional)


def test_a_query_has_a_name_a_type_and_a_class() -> None:
    query = read(dns.message.make_query("wWw.Example.COM", "AAAA", use_edns=False).to_wire())
    assert (query.name, query.qtype, query.qclass) == ("www.example.com", message.AAAA, message.IN)
    assert (query.rcode, query.limit) == (message.NOERROR, 512)


def test_a_name_with_a_dot_in_a_label_is_not_taken_for_another_name() -> None:
    query = read(HEADER_OF_ONE_QUESTION + b"\6x.corp\7example\0\0\1\0\1")
    assert query.name == "x\\046corp.example"
    assert read(HEADER_OF_ONE_QUESTION + b"\x0ax\\046corp\7example\0\0\1\0\1").name != query.name


@pytest.mark.parametrize(("size", "limit"), [(0, 512), (511, 512), (1232, 1232), (65535, 65507)])
def test_edns_tells_the_size_of_the_largest_response(size: int, limit: int) -> None:
    asked = dns.message.make_query("www.example", "A", use_edns=0, payload=size)
    assert read(asked.to_wire()).limit == limit
    over_tcp = parse(asked.to_wire(), over_tcp=True)
    assert over_tcp is not None
    assert over_tcp.limit == 65535


@pytest.mark.parametrize("edns", [False, 0])
@pytest.mark.parametrize("flags", [0, dns.flags.RD, dns.flags.RD | dns.flags.CD])
@pytest.mark.parametrize("rcode", [message.NOERROR, message.NXDOMAIN, message.REFUSED])
def test_a_response_is_one_to_its_query(edns: int, flags: int, rcode: int) -> None:
    asked = dns.message.make_query("wWw.example.com", "A", use_edns=edns, flags=flags, want_dnssec=edns is not False)
    response = dns.message.from_wire(read(asked.to_wire()).response(rcode, [message.address_record("192.0.2.1")]))
    assert asked.is_response(response)
    assert response.flags & 0xFFF0 == flags | dns.flags.QR | dns.flags.RA
    assert (response.rcode(), response.edns, response.ednsflags) == (rcode, asked.edns, asked.ednsflags)
    # The case of the question is a nonce for some resolvers.
    assert str(response.question[0].name) == "wWw.example.com."
    assert [str(rrset) for rrset in response.answer] == ["wWw.example.com. 0 IN A 192.0.2.1"]


def test_a_response_that_is_too_large_is_truncated() -> None:
    query = read(dns.message.make_query("www.example.com", "AAAA", use_edns=False).to_wire())
    records = [message.address_record(f"2001:db8::{number:x}") for number in range(1, 20)]
    whole = dns.message.from_wire(query.response(message.NOERROR, records[:17]))
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 17
    cut = dns.message.from_wire(query.response(message.NOERROR, records))
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert cut.question == whole.question


def test_an_unknown_version_of_edns_is_refused() -> None:
    asked = dns.message.make_query("www.example.com", "A", use_edns=1)
    query = read(asked.to_wire())
    response = dns.message.from_wire(query.response(query.rcode))
    assert (query.rcode, response.rcode()) == (message.BADVERS, dns.rcode.BADVERS)


@pytest.mark.parametrize("opcode", [dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE])
def test_other_operations_are_not_implemented(opcode: dns.opcode.Opcode) -> None:
    asked = dns.message.make_query("www.example.com", "A")
    asked.set_opcode(opcode)
    query = read(asked.to_wire())
    response = dns.message.from_wire(query.response(query.rcode))
    assert (response.rcode(), response.opcode(), response.id) == (dns.rcode.NOTIMP, opcode, asked.id)


@pytest.mark.parametrize(
    "data",
    [
        counted(0, 0, 0, 0),
        counted(2, 0, 0, 0) + 2 * QUESTION,
        counted(1, 1, 0, 0) + QUESTION + OPT,
        counted(1, 0, 1, 0) + QUESTION + OPT,
        counted(1, 0, 0, 5) + QUESTION + 5 * b"\0\0\1\0\1\0\0\0\0\0\0",
        counted(1, 0, 0, 2) + QUESTION + 2 * OPT,
        counted(1, 0, 0, 1) + QUESTION + b"\1a" + OPT,
        counted(1, 0, 0, 1) + QUESTION + OPT[:-1],
        counted(1, 0, 0, 1) + QUESTION + OPT[:-1] + b"\1",
        counted(1, 0, 0, 1) + QUESTION + b"\x80" + OPT,
        counted(1, 0, 0, 0) + QUESTION[:-1],
        counted(1, 0, 0, 0) + QUESTION + b"\0",
        counted(1, 0, 0, 0) + b"\3www",
        counted(1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
        counted(1, 0, 0, 0) + b"\3www\xc0\x00\0\1\0\1",
        counted(1, 0, 0, 0) + b"\x40" + 64 * b"a" + b"\0\0\1\0\1",
        counted(1, 0, 0, 0) + 4 * (b"\x3f" + 63 * b"a") + b"\0\0\1\0\1",
    ],
)
def test_a_malformed_query_is_a_format_error(data: bytes) -> None:
    query = read(data)
    assert query.rcode == message.FORMERR
    assert query.response(query.rcode)[:2] == data[:2]


def test_the_longest_name_is_read() -> None:
    labels = 3 * (b"\x3f" + 63 * b"a") + b"\x3d" + 61 * b"b"
    assert read(counted(1, 0, 0, 0) + labels + b"\0\0\1\0\1").rcode == message.NOERROR
    assert read(counted(1, 0, 0, 0) + b"\0\0\1\0\1").name == ""


@pytest.mark.parametrize("data", [b"", HEADER_OF_ONE_QUESTION[:11], b"\x12\x34\x81\x80" + bytes(8) + QUESTION])
def test_what_is_no_query_gets_no_response(data: bytes) -> None:
    assert parse(data) is None


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_read(data: bytes, over_tcp: bool) -> None:
    _check(data, over_tcp)


@given(st.binary(max_size=300), st.integers(0, 6), st.booleans())
def test_a_query_that_begins_well_is_read(rest: bytes, additional: int, over_tcp: bool) -> None:
    _check(counted(1, 0, 0, additional) + rest, over_tcp)
    _check(counted(1, 0, 0, additional) + QUESTION + rest, over_tcp)
    _check(counted(1, 0, 0, additional) + QUESTION + OPT + rest, over_tcp)


def _check(data: bytes, over_tcp: bool) -> None:
    query = parse(data, over_tcp)
    if query is None:
        return
    assert 512 <= query.limit <= 65535
    assert len(query.name) <= 4 * 255
    assert data[12:].startswith(query.question)
    response = query.response(query.rcode, [] if query.rcode else [message.address_record("::1")])
    assert len(response) <= query.limit
    assert response[:2] == data[:2]
    assert response[2] & 0x80
    assert response[12:].startswith(query.question)
    assert parse(response) is None
    dns.message.from_wire(response)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=5))
def test_two_names_have_two_texts(labels: list[bytes]) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    query = read(counted(1, 0, 0, 0) + wire + b"\0\1\0\1")
    if len(wire) > 255:
        assert query.rcode == message.FORMERR
        return
    texts = query.name.split(".") if labels else []
    unescaped = [text.replace("\\046", ".").replace("\\092", "\\").encode("latin-1") for text in texts]
    assert unescaped == [label.lower() for label in labels]


@pytest.mark.parametrize("name", ["", ".", "a..b", f"{64 * 'a'}.example", ".".join(5 * [63 * "a"])])
def test_a_text_that_is_no_name_is_not_encoded(name: str) -> None:
    with pytest.raises(ValueError, match="is"):
        message.encoded_name(name)


def test_a_name_is_encoded() -> None:
    assert message.encoded_name("www.example.") == message.encoded_name("www.example") == b"\3www\7example\0"


@given(st.ip_addresses())
def test_an_address_is_found_again(address: IPv4Address | IPv6Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    expected = str(mapped or address)
    found = address_of_reverse_name(address.reverse_pointer)
    assert found == expected or IPv6Address(found or "") == address


def test_a_mapped_address_is_an_ipv4_address() -> None:
    assert address_of_reverse_name(IPv6Address("::ffff:192.0.2.1").reverse_pointer) == "192.0.2.1"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "in-addr.arpa",
        "2.0.192.in-addr.arpa",
        "1.1.2.0.192.in-addr.arpa",
        "256.2.0.192.in-addr.arpa",
        "01.2.0.192.in-addr.arpa",
        "0-63.2.0.192.in-addr.arpa",
        "\u00b2.2.0.192.in-addr.arpa",
        "+1.2.0.192.in-addr.arpa",
        "1.2.0.192.example",
        "1.ip6.arpa",
        f"{32 * 'g.'}ip6.arpa",
        f"{33 * '0.'}ip6.arpa",
        f"00.{31 * '0.'}ip6.arpa",
    ],
)
def test_other_names_are_none_of_an_address(name: str) -> None:
    assert address_of_reverse_name(name) is None


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_messages_come_out_as_they_were_sent(messages: list[bytes], size: int) -> None:
    sent = b"".join(map(framed, messages))
    incoming = Incoming()
    received = [each for at in range(0, len(sent), size) for each in incoming.feed(sent[at : at + size])]
    assert received == messages
    assert incoming.feed(b"") == []


def test_the_longest_message() -> None:
    incoming = Incoming()
    assert incoming.feed(framed(65535 * b"a")[:-1]) == []
    assert incoming.feed(b"a") == [65535 * b"a"]
