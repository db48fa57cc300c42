"""Names of the reverse look-up. dnspython makes them from the same addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.seal.dns import reverse


@given(st.ip_addresses())
def test_an_address_is_found_again(address: IPv4Address | IPv6Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    expected = str(mapped or address)
    found = reverse.address(address.reverse_pointer)
    assert found == expected or IPv6Address(found or "") == address


def test_a_mapped_address_is_an_ipv4_address() -> None:
    assert reverse.address(IPv6Address("::ffff:192.0.2.1").reverse_pointer) == "192.0.2.1"


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
    assert reverse.address(name) is None
