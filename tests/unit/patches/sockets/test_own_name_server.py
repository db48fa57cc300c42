"""A name server on this machine asks others, so it is not asked, by whatever spelling of this machine's addresses.

What counts is where a question would arrive. Nothing listens on port 53 here: what is let through is refused by the
kernel, or arrives nowhere.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import socksify
from socksify.patches import scope
from socksify.routing import hosts_file, local_host
from socksify.routing.hosts_file import SystemFile
from socksify.routing.route import Blocked, Direct
from socksify.tunnel import datagrams
from tests.support.routing import routed

URL = "socks5h://192.0.2.1:1080"
V4, V6 = socket.AF_INET, socket.AF_INET6
OWN = "own.example"


def own_address() -> str:
    """Of an interface, where there is one beside loopback."""
    return next(iter(local_host.outgoing_addresses()), "127.0.0.1")


SPELLINGS: list[tuple[int, Any]] = [
    (V4, "127.0.0.1"), (V4, "localhost"), (V4, "LOCALHOST."), (V4, "a.localhost"), (V4, "0.0.0.0"), (V4, ""),
    (V4, "0"), (V4, "127.0.0.2"), (V4, "127.1"), (V4, "0x7f.1"), (V4, "0177.0.0.1"), (V4, "2130706433"),
    (V4, b"127.0.0.1"), (V4, bytearray(b"localhost")), (V4, "::ffff:127.0.0.1"), (V4, OWN), (V4, "alias"),
    (V4, "127.255.255.254"), (V6, "::1"), (V6, "::"), (V6, ""), (V6, "::ffff:127.0.0.1"), (V6, "::ffff:7f00:2"),
    (V6, "localhost"), (V6, "0:0:0:0:0:0:0:1"), (V6, "ip6-loopback"),
]  # fmt: skip


def connect_and_send(sock: socket.socket, address: Any) -> int:
    sock.connect(address)
    return sock.send(b"x")


def send_by_copy(sock: socket.socket, address: Any) -> int:
    sock.connect(address)
    with sock.dup() as copy:
        return copy.send(b"x")


CALLS: dict[str, Callable[[socket.socket, Any], object]] = {
    "sendto": lambda sock, address: sock.sendto(b"x", address),
    "sendmsg": lambda sock, address: sock.sendmsg([b"x"], [], 0, address),
    "connect and send": connect_and_send,
    "a copy": send_by_copy,
}


@pytest.fixture(autouse=True, params=["127.0.0.1", "::1", "127.0.0.53", "own"])
def asks_itself(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = own_address() if request.param == "own" else request.param
    (tmp_path / "resolv.conf").write_text(f"nameserver {server}\n")
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost alias\n::1 localhost ip6-loopback\n127.0.1.1 {OWN}\n")
    monkeypatch.setattr(local_host, "RESOLV_CONF", SystemFile(str(tmp_path / "resolv.conf"), local_host._nameservers))
    monkeypatch.setattr(hosts_file, "gethostname", lambda: OWN)
    monkeypatch.setattr(local_host, "HOSTS", hosts_file.HostsFile(str(tmp_path / "hosts")))
    yield
    socksify.uninstall()


@pytest.mark.parametrize(("family", "host"), [*SPELLINGS, (V4, None)], ids=str)
def test_it_is_not_asked(family: int, host: Any) -> None:
    address = (own_address() if host is None else host, 53)
    with routed(URL, routes=()):
        for call in CALLS.values():
            with socket.socket(family, socket.SOCK_DGRAM) as sock, pytest.raises(PermissionError, match="name server"):
                call(sock, address)
        with socket.socket(family) as sock, pytest.raises(PermissionError, match="name server"):
            sock.connect(address)
        with socket.socket(family) as sock:
            assert sock.connect_ex(address) == errno.EACCES


@pytest.mark.parametrize(("family", "host"), [(V4, "127.0.0.2"), (V4, "localhost"), (V6, "::1"), (V4, "0.0.0.0")])
def test_the_rule_that_is_advised_allows_that_and_nothing_else(family: int, host: str) -> None:
    with routed(URL, routes=()):
        route = scope.current().router.decide(family, (host, 53))
        assert isinstance(route, Blocked)
    advised = route.why.split("'")[1]
    with routed(URL, routes=(advised,)):
        assert isinstance(scope.current().router.decide(family, (host, 53)), Direct)
        assert not isinstance(scope.current().router.decide(V4, ("127.0.0.77", 53)), Direct)
        assert not isinstance(datagrams.decide(scope.current().router, V4, ("203.0.113.5", 53)), Direct)


def test_other_ports_and_names_that_are_resolved_here_are_nothing_special() -> None:
    with routed(URL, routes=()):
        assert isinstance(scope.current().router.decide(V4, ("localhost", 5353)), Direct)
    with routed("socks5://192.0.2.1:1080", routes=()):
        assert isinstance(scope.current().router.decide(V4, ("localhost", 53)), Direct)


@pytest.mark.parametrize("where", ["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0"])
def test_dnspython_does_not_ask_it(where: str) -> None:
    import dns.message
    import dns.query

    with routed(URL, routes=()):
        answer = dns.query.udp(dns.message.make_query("name.example", "A"), where, timeout=5)
        assert answer.answer[0][0].to_text().startswith("198.1")
        with pytest.raises(PermissionError):
            dns.query.udp(dns.message.make_query("name.example", "MX"), where, timeout=5)
        with pytest.raises(PermissionError):
            dns.query.tcp(dns.message.make_query("name.example", "MX"), where, timeout=5)


def test_pycares_asks_it_for_names_that_are_direct_alone() -> None:
    import pycares

    from socksify.patches.adapters.pycares import calls

    with routed(URL, routes=("direct.example=direct",)):
        for server in ("127.0.0.1", "127.0.0.2", "[::1]:53"):
            assert calls._may_ask(server)
        assert not calls._may_ask("203.0.113.5")
        failures: list[Any] = []
        channel = pycares.Channel(servers=["127.0.0.2"], timeout=1, tries=1)
        channel.query("name.example", pycares.QUERY_TYPE_MX, callback=lambda _, error: failures.append(error))
        channel.close()
        assert failures == [pycares.errno.ARES_EREFUSED]
