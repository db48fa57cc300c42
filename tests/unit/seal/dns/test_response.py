"""Responses of other servers are read with care. dnspython writes them."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.seal.dns import message, response
from tests.unit.seal.dns.parts import response_to

QUERY = dns.message.make_query("www.example", "MX", id=0x1234)
PARSED = message.Query(QUERY.to_wire())


def test_a_response_belongs_to_its_query() -> None:
    found = response_to(QUERY, "MX 10 mail.example.")
    assert response.belongs_to(PARSED, found.to_wire())
    other_case = found.to_wire().replace(b"www", b"WWW")
    assert response.belongs_to(PARSED, other_case)


def test_an_error_may_lack_the_question() -> None:
    refusal = dns.message.make_response(QUERY)
    refusal.question.clear()
    assert not response.belongs_to(PARSED, refusal.to_wire())
    refusal.set_rcode(dns.rcode.FORMERR)
    assert response.belongs_to(PARSED, refusal.to_wire())


@pytest.mark.parametrize(
    "query",
    [
        dns.message.make_query("www.example", "MX", id=0x1235),
        dns.message.make_query("www.example", "A", id=0x1234),
        dns.message.make_query("www.example", "MX", "CH", id=0x1234),
        dns.message.make_query("ww2.example", "MX", id=0x1234),
        dns.message.make_query("www.example.org", "MX", id=0x1234),
    ],
)
def test_another_response_does_not(query: dns.message.QueryMessage) -> None:
    assert not response.belongs_to(PARSED, response_to(query).to_wire())


def test_a_query_is_no_response() -> None:
    assert not response.belongs_to(PARSED, QUERY.to_wire())
    assert not response.belongs_to(PARSED, b"")
    assert not response.belongs_to(PARSED, response_to(QUERY).to_wire()[:11])


def test_addresses_of_all_sections() -> None:
    found = response_to(
        QUERY, "A 192.0.2.7", "AAAA 2001:db8::7", "MX 10 mail.example.", additional="b.example A 192.0.2.8"
    )
    assert response.addresses(found.to_wire()) == ["192.0.2.7", "2001:db8::7", "192.0.2.8"]


def test_addresses_beside_the_answer_are_cut_off() -> None:
    query = dns.message.make_query("www.example", "MX", use_edns=0, want_dnssec=True)
    found = response_to(
        query, "MX 10 mail.www.example.", "MX 20 www.example.", additional="mail.www.example A 192.0.2.7"
    )
    cut = dns.message.from_wire(response.without_addresses(found.to_wire()))
    assert str(cut.answer) == str(dns.message.from_wire(found.to_wire()).answer)
    assert cut.additional == []
    assert (cut.edns, cut.ednsflags, cut.flags, cut.id) == (0, found.ednsflags, found.flags, found.id)


def test_without_records_nothing_is_cut_off() -> None:
    found = response_to(dns.message.make_query("www.example", "MX", use_edns=False))
    assert response.without_addresses(found.to_wire()) == found.to_wire()


WHOLE = response_to(QUERY, "MX 10 mail.example.", "A 192.0.2.7", additional="b.example A 192.0.2.8").to_wire()


@pytest.mark.parametrize("size", range(len(WHOLE)))
@pytest.mark.parametrize("read", [response.addresses, response.without_addresses])
def test_a_piece_of_a_response_is_malformed(size: int, read: object) -> None:
    with pytest.raises(response.Malformed):
        read(WHOLE[:size])  # type: ignore[operator]


@given(st.binary(max_size=600), st.binary(max_size=100), st.integers(0, 100))
def test_any_bytes_are_read_or_malformed(data: bytes, inserted: bytes, at: int) -> None:
    for given_data in (data, WHOLE[:at] + inserted + WHOLE[at:], WHOLE[:12] + data):
        response.belongs_to(PARSED, given_data)
        for read in (response.addresses, response.without_addresses):
            try:
                assert len(read(given_data)) <= len(given_data)
            except response.Malformed:
                pass
