"""Where a datagram of a sealed program goes, and what the user is told."""

from __future__ import annotations

import errno
import socket

import pytest

from socksify.config.loader import load
from socksify.routing import fake_addresses
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.router import Router
from socksify.seal.datagrams.routes import DatagramRoutes, destination, through_loopback
from socksify.seal.kernel import raw_sockaddr
from socksify.seal.notices import Notices

INET, INET6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def routes() -> DatagramRoutes:
    settings = load({"proxy": "socks5h://192.0.2.1:1080", "routes": ["192.0.2.9=block", "*.here=direct"]}, {}, "/", "")
    router = Router(settings)
    return DatagramRoutes(lambda _thread, _inode: router, Notices())


@pytest.mark.parametrize(
    ("family", "address", "found"),
    [
        (INET, ("9.9.9.9", 53), ("9.9.9.9", 53)),
        (INET, ("0.0.0.0", 53), ("127.0.0.1", 53)),
        (INET6, ("::", 9), ("::1", 9)),
        (INET6, ("::ffff:9.9.9.9", 53), ("9.9.9.9", 53)),
        (INET6, ("2001:db8::1", 443, 0, 2), ("2001:db8::1", 443)),
    ],
)
def test_a_destination_is_a_literal_and_a_port(family: int, address: tuple[str, int], found: tuple[str, int]) -> None:
    assert destination(raw_sockaddr.pack(family, address)) == found


def test_an_address_without_a_family_is_one_of_ipv4_as_in_the_kernel() -> None:
    assert destination(bytes(2) + raw_sockaddr.pack(INET, ("9.9.9.9", 53))[2:]) == ("9.9.9.9", 53)


def test_an_address_of_another_family_is_no_destination() -> None:
    assert destination(socket.AF_UNIX.to_bytes(2, "little") + b"/run/log") is None


@pytest.mark.parametrize("raw", [b"\2", raw_sockaddr.pack(INET, ("9.9.9.9", 53))[:15], b"\x0a\0" + bytes(10)])
def test_an_address_that_is_too_short_is_invalid(raw: bytes) -> None:
    with pytest.raises(OSError) as raised:
        destination(raw)
    assert raised.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        (("127.0.0.1", 8125), Direct),
        (("198.51.100.1", 443), Via),
        (("2001:db8::1", 443), Via),
        (("192.0.2.9", 443), Blocked),
    ],
)
def test_the_rules_for_connections_apply(routes: DatagramRoutes, to: tuple[str, int], kind: type) -> None:
    assert isinstance(routes.decide(1, None, to), kind)


@pytest.mark.parametrize("family", [INET, INET6])
def test_a_fake_address_is_blocked_and_its_name_is_not_looked_up(routes: DatagramRoutes, family: int) -> None:
    """The name is direct by a rule, so the router would ask a resolver for it."""
    fake = fake_addresses.TABLE.address_of("name.here", family)
    route = routes.decide(1, None, (fake, 443))
    assert isinstance(route, Blocked) and fake in route.why


def test_a_refusal_is_told_once(routes: DatagramRoutes, capfd: pytest.CaptureFixture[str]) -> None:
    to = ("198.51.100.1", 443)
    for _ in range(3):
        route = routes.decide(1, None, to)
        assert isinstance(route, Via)
        with pytest.raises(PermissionError):
            routes.refuse(route, to)
    assert capfd.readouterr().err.count("UDP to 198.51.100.1:443 refused") == 1


@pytest.mark.parametrize(
    ("address", "moved"),
    [
        (("fe80::1", 53, 0, 2), ("fe80::1", 53, 0, 1)),
        (("febf::1", 53, 7, 9), ("febf::1", 53, 7, 1)),
        (("fe80::1", 53, 0, 1), None),
        (("fe80::1", 53, 0, 0), None),
        (("fec0::1", 53, 0, 2), None),
        (("2001:db8::1", 53, 0, 2), None),
    ],
)
def test_a_link_local_address_gets_the_interface_of_the_namespace(
    address: tuple[str, int, int, int], moved: tuple[str, int, int, int] | None
) -> None:
    expected = moved and raw_sockaddr.pack(INET6, moved)
    assert through_loopback(raw_sockaddr.pack(INET6, address)) == expected


def test_an_address_of_ipv4_has_no_interface() -> None:
    assert through_loopback(raw_sockaddr.pack(INET, ("169.254.1.1", 53))) is None
