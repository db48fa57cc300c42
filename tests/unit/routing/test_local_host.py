"""The names, addresses and name servers of this machine, compared with the answers of the stdlib."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from socksify.routing import hosts_file, local_host
from socksify.routing.hosts_file import SystemFile
from socksify.routing.local_host import stays_here
from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.paths import ROOT
from tests.support.processes import require, unavailable
from tests.support.supervision import as_kernel

Here = Callable[..., None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Give the machine a name and a hosts file."""

    def become(hostname: str, content: str = "") -> None:
        path = tmp_path / "hosts"
        path.write_text(content)
        monkeypatch.setattr(local_host, "HOSTS", hosts_file.HostsFile(str(path)))
        for module in (hosts_file, local_host):
            monkeypatch.setattr(module, "gethostname", lambda: hostname)

    return become


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("host", ("127.0.1.1", "2001:db8::5")),
        ("HOST.", ("127.0.1.1", "2001:db8::5")),
        ("host.corp.example", ("127.0.1.1",)),
        ("localhost", None),
        ("other", None),
        ("", None),
    ],
)
def test_own_names(here: Here, name: str, addresses: tuple[str, ...] | None) -> None:
    here("host", "127.0.0.1 localhost\n127.0.1.1 host.corp.example host\n2001:db8::5 host\n192.0.2.7 other")
    assert local_host.own_addresses(name) == addresses


def test_an_own_name_that_stands_on_no_line_is_where_the_others_are(here: Here) -> None:
    here("host.corp.example", "192.0.2.5 host")
    assert local_host.own_addresses("host.corp.example") == ("192.0.2.5",)


def test_an_own_name_that_the_file_does_not_know(here: Here) -> None:
    here("host.corp.example", "127.0.0.1 localhost")
    found = local_host.own_addresses("host")
    assert found
    assert all(local_host.is_own(literal) for literal in found)


def test_a_machine_without_a_way_out_is_at_loopback(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here("host")
    monkeypatch.setattr(local_host, "_ELSEWHERE", ((socket.AF_INET, "255.255.255.255"),))
    assert local_host.own_addresses("host") == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("name", "content", "addresses"),
    [
        ("localhost", "", ("127.0.0.1", "::1")),
        ("LOCALHOST.", "::1 localhost\n127.0.0.1 localhost", ("::1", "127.0.0.1")),
        ("app.localhost", "127.0.0.1 localhost", ("127.0.0.1",)),
        ("app.localhost", "127.0.0.1 localhost\n127.0.0.9 app.localhost", ("127.0.0.9",)),
        ("host", "192.0.2.5 host", ("192.0.2.5",)),
        ("notlocalhost", "127.0.0.1 localhost", None),
    ],
)
def test_names_that_never_leave_the_machine(
    here: Here, name: str, content: str, addresses: tuple[str, ...] | None
) -> None:
    here("host", content)
    assert local_host.addresses_here(name) == addresses


@pytest.mark.parametrize(
    ("name", "family", "address"),
    [
        ("host", socket.AF_INET, "192.0.2.5"),
        ("host", socket.AF_INET6, "2001:db8::5"),
        ("localhost", socket.AF_INET6, "127.0.0.1"),
        ("other", socket.AF_INET, None),
    ],
)
def test_the_address_for_a_socket(here: Here, name: str, family: int, address: str | None) -> None:
    """Without an address of the family, the kernel has to refuse it."""
    here("host", "127.0.0.1 localhost\n2001:db8::5 host\n192.0.2.5 host")
    assert local_host.address_here(name, family) == address


def test_whose_an_own_address_is(here: Here) -> None:
    here("host", "127.0.0.1 loop.example one\n192.0.2.77 other")
    assert local_host.own_name("127.0.0.1") == "loop.example"
    assert local_host.own_name("127.0.0.9") == "localhost"
    assert local_host.own_name("198.51.100.77") is None
    assert local_host.hosts_entry("192.0.2.77") == ("other", [])
    assert local_host.hosts_entry("192.0.2.78") is None


def test_an_entry_is_the_callers_to_change(here: Here) -> None:
    here("host", "127.0.0.1 localhost one")
    entry = local_host.hosts_entry("127.0.0.1")
    assert entry is not None
    entry[1].clear()
    assert local_host.hosts_entry("127.0.0.1") == ("localhost", ["one"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.200.0.9", True),
        ("198.51.100.77", False),
        ("2001:db8::77", False),
        ("fe80::77", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("255.255.255.255", False),
        ("127.255.255.255", False),
        ("ff02::1", False),
    ],
)
def test_own_addresses(address: str, expected: bool) -> None:
    """A socket can also be bound to a broadcast address or to a group, but no machine owns these."""
    assert local_host.is_own(address) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("nameserver 192.0.2.53", ("192.0.2.53",)),
        ("nameserver\t192.0.2.53 # the first\r\nnameserver 2001:DB8:0::53\n", ("192.0.2.53", "2001:db8::53")),
        ("nameserver fe80::53%eth0\n", ("fe80::53",)),
        ("nameserver ::ffff:192.0.2.53", ("192.0.2.53",)),
        ("nameserver 127.1", ("127.0.0.1",)),
        ("# nameserver 192.0.2.53\n;nameserver 192.0.2.54\nsearch example\noptions ndots:2", ("127.0.0.1",)),
        ("nameserver\nnameserver name.example\nnameservers 192.0.2.53", ("127.0.0.1",)),
        ("", ("127.0.0.1",)),
    ],
)
def test_name_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: tuple[str, ...]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(content.encode())
    monkeypatch.setattr(local_host, "RESOLV_CONF", SystemFile(str(path), local_host._nameservers))
    assert local_host.nameservers() == expected


@pytest.mark.parametrize(
    ("server", "itself"),
    [("127.0.0.53", True), ("::1", True), ("0.0.0.0", True), ("::ffff:127.0.0.1", True), ("203.0.113.53", False)],
)
def test_whether_the_machine_asks_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, itself: bool
) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(f"nameserver {server}\n")
    monkeypatch.setattr(local_host, "RESOLV_CONF", SystemFile(str(path), local_host._nameservers))
    assert local_host.asks_itself() is itself


def test_a_missing_resolv_conf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_host, "RESOLV_CONF", SystemFile("/nonexistent", local_host._nameservers))
    assert local_host.nameservers() == ("127.0.0.1",)


HOSTS = b"""\
# 127.0.0.1 nobody.example
127.0.0.1\tlocalhost\r
127.0.1.1  Host.Corp.Example host  # host2.example
10.9.0.7 host.corp.example other
fd00::7 host
FD00:0::8 HOST host6.example
fe80::1%eth0 host
127.1 host
010.9.0.9 host
10.9.0.8 caf\xe9.example
10.9.0.8 second.example
"""

QUESTIONS = """
import json, socket, sys
socket.sethostname("host")
from socksify.routing import local_host

def native(ask, *arguments):
    try:
        return ask(*arguments)
    except OSError:
        return None

def resolved(name, family):
    return sorted({answer[4][0] for answer in socket.getaddrinfo(name, 0, family)})

families = {socket.AF_INET: ".", socket.AF_INET6: ":"}
forward = {
    f"{name} {kind}": (
        native(resolved, name, family),
        sorted(literal for literal in local_host.addresses_here(name) if kind in literal) or None,
    )
    for name in ("host", "host.corp.example", "HOST6.example", "localhost")
    for family, kind in families.items()
}
addresses = ("127.0.0.1", "127.0.1.1", "10.9.0.7", "fd00::7", "fd00::8", "fe80::1", "10.9.0.9", "10.9.0.11")
reverse = {
    address: (
        (native(socket.gethostbyaddr, address) or [None, []])[:2],
        local_host.hosts_entry(address) or (None, []),
    )
    for address in addresses
}
strangers = [local_host.addresses_here(name) for name in ("nobody.example", "host2.example", "other", "second.example")]
print(json.dumps({"forward": forward, "reverse": reverse, "strangers": strangers}))
"""

OWN = """
import json, sys
from socksify.routing import local_host

def own():
    literals = ("10.9.0.5", "10.9.0.6", "10.9.0.255", "8.8.8.8", "fd77::5", "fd77::6", "2001:db8::9", "224.0.0.1")
    return [literal for literal in literals if local_host.is_own(literal)]

before = own()
for family in ("ipv4", "ipv6"):
    with open(f"/proc/sys/net/{family}/ip_nonlocal_bind", "w") as file:
        file.write("1")
print(json.dumps([before, own(), local_host.outgoing_addresses()]))
"""


def in_namespaces(setup: str, program: str) -> Any:
    """Run commands and then a program in its own network, mount and UTS namespaces. Return its output."""
    if os.geteuid() != 0:
        unavailable("namespaces need root")
    unshare = [require("unshare"), "--net", "--mount", "--uts", "sh", "-ec", f'{setup}\nexec "$@"', "sh"]
    child = subprocess.run(
        [*unshare, sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


def test_hosts_are_read_as_the_stdlib_reads_them(tmp_path: Path) -> None:
    files = {"hosts": HOSTS, "nsswitch.conf": b"hosts: files dns\n", "resolv.conf": b"nameserver 127.0.0.1\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    setup = "\n".join(f"mount --bind '{tmp_path / name}' /etc/{name}" for name in files)
    found = in_namespaces(f"ip link set lo up\n{setup}", QUESTIONS)
    assert found["strangers"] == [None] * 4
    for question in ("forward", "reverse"):
        assert {asked: ours for asked, (_, ours) in found[question].items()} == {
            asked: theirs for asked, (theirs, _) in found[question].items()
        }
    assert sum(theirs is not None for theirs, _ in found["forward"].values()) == 5
    assert sum(theirs[0] is not None for theirs, _ in found["reverse"].values()) == 5


def test_own_is_not_all_that_a_socket_can_be_bound_to() -> None:
    """With net.ipv4.ip_nonlocal_bind a socket can be bound to every address. Machines of a failover pair have it."""
    setup = """
        ip link add d0 type veth peer name d1
        ip addr add 10.9.0.5/24 dev d0
        ip addr add 10.9.0.6/24 dev d0
        ip addr add fd77::5/64 dev d0 nodad
        for link in lo d0 d1; do ip link set $link up; done
        ip route add default via 10.9.0.1
        ip route add default via fd77::1
    """
    require("ip")
    own = ["10.9.0.5", "10.9.0.6", "fd77::5"]
    assert in_namespaces(setup, OWN) == [own, own, ["10.9.0.5", "fd77::5"]]
    # A kernel, or a sandbox, that tells nothing of its routes.
    mute = "from socksify.routing import local_host\nlocal_host._AF_NETLINK = 0\n"
    assert in_namespaces(setup, mute + OWN) == [own, own, ["10.9.0.5", "fd77::5"]]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("192.0.2.99", False), ("2001:db8::99", False), ("239.1.2.3", False)],
)
def test_own_addresses_without_an_answer_about_routes(
    monkeypatch: pytest.MonkeyPatch, address: str, expected: bool
) -> None:
    def stays_here(*_: object) -> bool:
        raise OSError(errno.EPERM, "the filter of a container refuses netlink")

    monkeypatch.setattr(local_host, "stays_here", as_kernel(stays_here))
    assert local_host.is_own(address) is expected


def test_a_family_without_sockets_has_no_source() -> None:
    assert local_host._source(9999, ("192.0.2.1", 9)) is None


def test_the_hosts_file_is_asked_for_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts").write_bytes(b"192.0.2.5 one\n")
    monkeypatch.setattr(local_host, "HOSTS_FILE", str(tmp_path / "hosts"))
    assert local_host.hosts_addresses("one") == ("192.0.2.5",)
    assert local_host.hosts_addresses("two") == ()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """Make a router with an address, and with a network that is routed to it."""
    needs_root()
    with Namespace(etc(tmp_path_factory.mktemp("router") / "etc", {"hosts": ""}), "router") as router:
        forwarding = Path("/proc/sys/net/ipv6/conf/all/forwarding")
        subprocess.run(router.command(require("sh"), "-c", f"echo 1 >{forwarding}"), check=True, timeout=30)
        router.ip(
            "link add inner type veth peer name outer",
            "link set inner up",
            "link set outer up",
            "address add fd77:1::5/64 dev inner nodad",
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
        # On a busy machine the kernel delivers a packet to itself a little later.
        receiver.settimeout(5 if stays else 0)
        came = True
        try:
            receiver.recv(1)
        except (BlockingIOError, TimeoutError):
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
