from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.config.ip import parse_ip
from socksify.config.match import parse
from socksify.config.rules import never
from socksify.server.policy.protected import destination, embedded, is_inside, reads_as_address

# What no client of another machine may reach by "permit everything", in every spelling that some program understands.
CLOSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "::127.0.0.1": "loopback in other words",
    "::ffff:0:127.0.0.1": "loopback in other words",
    "64:ff9b::127.0.0.1": "loopback in other words",
    "64:ff9b::7f00:1": "loopback in other words",
    "64:ff9b:1::127.0.0.1": "loopback in other words",
    "64:ff9b:1:7f00:0:100::": "loopback in other words",
    "64:ff9b:1:7f:0:1::": "loopback in other words",
    "64:ff9b:1:0:7f:0:100:0": "loopback in other words",
    "2002:7f00:1::": "loopback in other words",
    "2002:7f00:1:ffff::5": "loopback in other words",
    "2001:0:c000:201::80ff:fffe": "loopback in other words",
    "2001:db8::5efe:127.0.0.1": "loopback in other words",
    "2001:db8::200:5efe:7f00:1": "loopback in other words",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "::": "unspecified",
    "169.254.169.254": "link-local",
    "169.254.170.2": "link-local",
    "::ffff:169.254.169.254": "link-local",
    "64:ff9b::a9fe:a9fe": "link-local in other words",
    "2002:a9fe:a9fe::1": "link-local in other words",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fe80::a9fe:a9fe": "link-local",
    "febf:ffff::1": "link-local",
    "fd00:ec2::254": "a metadata address",
    "fd20:ce::254": "a metadata address",
    "100.100.100.200": "a metadata address",
    "168.63.129.16": "a metadata address",
    "192.0.0.192": "a metadata address",
    "fd00:42::42": "a metadata address",
    "64:ff9b::100.100.100.200": "a metadata address in other words",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "broadcast",
    # Addresses of this machine; see OWN.
    "192.0.2.1": "an address of this server",
    "2001:db8::1": "an address of this server",
    "64:ff9b::192.0.2.1": "an address of this server in other words",
    "2002:c000:201::": "an address of this server in other words",
}
OWN = {"192.0.2.1", "2001:db8::1"}.__contains__
OPEN = (
    *("128.0.0.1", "126.255.255.255", "1.0.0.0", "169.253.255.255", "169.255.0.0", "223.255.255.255", "10.0.0.1"),
    *("192.0.2.2", "2001:db8::2", "2606:4700::1111", "fec0::1", "fd00:ec2::253", "2002:c000:202::", "64:ff9b::808:808"),
    # NAT64 with a local prefix of each length; each stands for 8.8.8.8.
    *("64:ff9b:1::808:808", "64:ff9b:1:808:8:800::", "64:ff9b:1:8:8:808::", "64:ff9b:1:0:8:808:800:0"),
    # This is neither ISATAP nor in a prefix that a gateway knows.
    *("2001:db8::127.0.0.1", "2001:db8::5eff:127.0.0.1", "2003:7f00:1::", "64:ff9c::127.0.0.1"),
)


@pytest.mark.parametrize(("literal", "what"), CLOSED.items())
def test_destinations_that_are_guarded(literal: str, what: str) -> None:
    guard = destination(None, literal, 80, OWN).guard
    assert guard is not None
    assert guard.what == what
    assert destination("any.example", literal, 80, OWN).guard == guard


@pytest.mark.parametrize("literal", OPEN)
def test_destinations_that_are_not_guarded(literal: str) -> None:
    assert destination(None, literal, 80, OWN).guard is None


@pytest.mark.parametrize("literal", CLOSED)
def test_nothing_is_closed_to_local_clients(literal: str) -> None:
    assert destination(None, literal, 80, None).guard is None


def test_a_scope_is_no_part_of_an_own_address() -> None:
    asked: list[str] = []

    def is_own(literal: str) -> bool:
        asked.append(literal)
        return False

    destination(None, "2001:db8::9%eth0", 80, is_own)
    assert asked == ["2001:db8::9"]


@given(st.ip_addresses(v=6), st.ip_addresses(v=4))
def test_a_nat64_address_stands_for_the_ipv4_one(prefix: object, ipv4: object) -> None:
    number = parse_ip(f"64:ff9b::{ipv4}")
    assert number is not None
    assert parse_ip(str(ipv4)) in list(embedded(number))
    other = parse_ip(str(prefix))
    assert other is not None
    assert all(bits == 32 and 0 <= value < 1 << 32 for bits, value in embedded(other))


@given(st.none() | st.text(), st.none() | st.text() | st.ip_addresses().map(str), st.integers(0, 65535))
def test_anything_is_a_destination(name: str | None, literal: str | None, port: int) -> None:
    assert destination(name, literal, port, never).port == port


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("127.0.0.1", True),
        ("127.0.0.0/8", True),
        ("127.1.0.0/16", True),
        ("126.0.0.0/7", False),
        ("0.0.0.0/0", False),
        ("10.0.0.0/8", False),
        ("::1", False),
    ],
)
def test_networks_inside_of_a_guard(text: str, named: bool) -> None:
    guard = destination(None, "127.0.0.1", 80, never).guard
    assert guard is not None
    assert is_inside(parse(text, "").network, guard) is named


def test_an_own_address_is_named_by_itself_alone() -> None:
    guard = destination(None, "192.0.2.1", 80, OWN).guard
    assert guard is not None
    assert is_inside(parse("192.0.2.1", "").network, guard)
    assert not is_inside(parse("192.0.2.0/31", "").network, guard)
    assert not is_inside(None, guard)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("a.localhost", True),
        ("2130706433", True),
        ("127.1", True),
        ("0177.0.0.1", True),
        ("0x7f000001", True),
        ("0x7f.1", True),
        ("*", True),
        ("fe80::1%eth0", True),
        ("１２７.1", True),  # noqa: RUF001
        ("\udcff.example", True),
        ("example.com", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("x0x", False),
    ],
)
def test_names_that_are_addresses_in_disguise(name: str, read: bool) -> None:
    assert reads_as_address(name) is read
