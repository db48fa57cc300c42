"""What the kernel says of IPv6 addresses, beside whether packets for them come in at a socket of this machine."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from socksify.routing.local_host import stays_here
from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.processes import require


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A router with an address, and a network that is routed to it."""
    needs_root()
    with Namespace(etc(tmp_path_factory.mktemp("router") / "etc", {"hosts": ""}), "router") as router:
        forwarding = Path("/proc/sys/net/ipv6/conf/all/forwarding")
        subprocess.run(router.command(require("sh"), "-c", f"echo 1 >{forwarding}"), check=True, timeout=30)
        router.ip(
            "link add inner type veth peer name outer",
            "link set inner up",
            "link set outer up",
            "address add fd77:1::5/64 dev inner",
            "route add local fd77:2::/48 dev lo",
            "route add blackhole fd77:3::/48",
            "route add fd77:4::/48 via fd77:1::9",
        )
        yield router


@pytest.mark.parametrize(
    ("address", "stays"),
    [
        ("::1", True),
        ("fd77:1::5", True),
        ("fd77:1::6", False),
        # The subnet-router anycast address.
        ("fd77:1::", True),
        ("fd77:2::1234", True),
        ("fd77:4::1", False),
    ],
)
def test_what_stays_here(address: str, stays: bool, router: Namespace) -> None:
    with router.inside(), ExitStack() as stack:
        receiver, sender = (stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) for _ in range(2))
        receiver.bind(("::", 0))
        sender.sendto(b"x", (address, receiver.getsockname()[1]))
        receiver.setblocking(False)
        came = True
        try:
            receiver.recv(1)
        except BlockingIOError:
            came = False
        assert (stays_here(address), came) == (stays, stays)


@pytest.mark.parametrize("address", ["fd77:3::1", "fd77:5::1"])
def test_there_may_be_no_route(address: str, router: Namespace) -> None:
    with router.inside(), pytest.raises(OSError, match="no route"):
        stays_here(address)


def test_addresses_of_ipv4() -> None:
    assert stays_here("127.0.0.1")
    assert stays_here("127.0.0.1", socket.if_nametoindex("lo"))


def test_what_is_no_address() -> None:
    with pytest.raises(OSError):
        stays_here("192.0.2")
