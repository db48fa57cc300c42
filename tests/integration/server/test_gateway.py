"""sockd on a gateway, with a network in front of it: what its clients can reach, and what they cannot."""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.processes import require
from tests.support.running_sockd import Sockd, sockd
from tests.support.streams import receive
from tests.unit.server.client import BIND, GREETING, UDP_ASSOCIATE, address5, ask, credentials, reply4, reply5, request5
from tests.unit.server.policies import cheap_hash

GATEWAY, CLIENT, STRANGER, TARGET = "10.9.0.1", "10.9.0.2", "10.9.0.4", "10.9.0.3"
# Where the servers listen that have rules, users, rules about claims, and clients on a link; where the target does.
SOCKS, LOGIN, CLAIM, LINK, PORT = 1080, 1081, 1082, 1083, 7007
HOSTS = f"""
127.0.0.1 localhost rebound.example denied.example
::1 rebound6.example
{GATEWAY} gateway.example
169.254.169.254 metadata.example
{TARGET} target.example permitted.example
"""
RULES = f"""
[[rules]]
action = "deny"
to = ["denied.example", "permitted.example:{PORT}"]
[[rules]]
action = "permit"
from = "{CLIENT}"
to = ["*", "0.0.0.0/0", "::/0"]
"""
# SOCKS4's claims, which identd confirms.
CLAIMS = f"""
[[rules]]
action = "permit"
from = "{CLIENT}"
users = ["alice", "bob"]
ident = "required"
[[rules]]
action = "permit"
from = "{STRANGER}"
ident = "if-answered"
"""
USERS = """
users = "users"
[limits]
per_user = 1
failed_seconds = 0.5
"""
SUCCEEDED, NOT_ALLOWED = 0, 2


class Net:
    """A gateway, and outside of it a client, another host, and a target that accepts connections."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        files = etc(directory / "etc", {"hosts": HOSTS, "nsswitch.conf": "hosts: files\n"})
        self.gateway = stack.enter_context(Namespace(files, "gateway"))
        self.outside = stack.enter_context(Namespace(files, "outside"))
        self.gateway.ip(
            f"link add inner type veth peer name outer netns {self.outside.pid}",
            f"address add {GATEWAY}/24 dev inner",
            "address add fd09:1::1/64 dev inner",
            "address add fe80::1/64 dev inner",
            "route add local fd09:2::/48 dev lo",
            "link set inner up",
        )
        routing = self.gateway.command(require("sh"), "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        subprocess.run(routing, check=True, timeout=30)
        others = [f"address add {address}/24 dev outer" for address in (CLIENT, STRANGER, TARGET)]
        self.outside.ip(*others, "address add fe80::2/64 dev outer", "link set outer up")
        with self.outside.inside():
            stack.enter_context(socket.create_server((TARGET, PORT)))

    def connect(self, source: str = CLIENT, port: int = SOCKS) -> socket.socket:
        """A connection from an outside host to the server."""
        with self.outside.inside():
            return socket.create_connection((GATEWAY, port), timeout=10, source_address=(source, 0))


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    needs_root()
    with ExitStack() as stack:
        yield Net(tmp_path_factory.mktemp("net"), stack)


@pytest.fixture(scope="module")
def ruled(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sockd]:
    yield from serving(net, tmp_path_factory.mktemp("ruled"), RULES, SOCKS)


@pytest.fixture
def guarded(net: Net, tmp_path: Path) -> Iterator[Sockd]:
    (tmp_path / "users").write_text(f"alice:{cheap_hash(b'open sesame')}\n")
    yield from serving(net, tmp_path, USERS, LOGIN)


def serving(net: Net, directory: Path, text: str, port: int, address: str = "0.0.0.0") -> Iterator[Sockd]:
    (directory / "sockd.toml").write_text(text)
    options = ("--config", str(directory / "sockd.toml"), "--listen", f"{address}:{port}")
    with sockd(*options, prefix=tuple(net.gateway.command())) as server:
        yield server


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("host", [TARGET, "target.example"])
@pytest.mark.usefixtures("ruled")
def test_the_target_is_reached(version: int, host: str, net: Net) -> None:
    with net.connect() as client:
        assert ask(client, version, host, PORT) == SUCCEEDED


# The server's own port could be reached at each of these addresses that is the gateway's.
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "169.254.169.254",
        "fe80::1",
        GATEWAY,
        "::ffff:10.9.0.1",
        "2002:a09:1::1",
        "fd09:1::1",
        # The subnet-router anycast address, and an address of a network that is routed to the gateway itself.
        "fd09:1::",
        "fd09:2::1234",
        "localhost",
        "rebound.example",
        "rebound6.example",
        "gateway.example",
        "metadata.example",
        "denied.example",
    ],
)
@pytest.mark.usefixtures("ruled")
def test_guarded_destinations_are_not_reached(host: str, net: Net) -> None:
    with net.connect() as client:
        assert ask(client, 5, host, SOCKS) == NOT_ALLOWED


# Names for getaddrinfo(3), which reads them like inet_aton(3).
@pytest.mark.parametrize("spelling", [b"127.1", b"2130706433", b"0x7f.1", b"0177.0.0.1", b"LOCALHOST.", b"[::1]"])
@pytest.mark.usefixtures("ruled")
def test_no_spelling_gets_round_that(spelling: bytes, net: Net) -> None:
    with net.connect() as client:
        client.sendall(GREETING)
        assert receive(client, 2) == b"\x05\x00"
        client.sendall(b"\x05\x01\x00\x03" + bytes([len(spelling)]) + spelling + SOCKS.to_bytes(2))
        assert reply5(client)[0] in (NOT_ALLOWED, 4)


@pytest.mark.usefixtures("ruled")
def test_a_rule_about_a_name(net: Net) -> None:
    with net.connect() as client:
        assert ask(client, 5, "permitted.example", PORT) == NOT_ALLOWED


def test_a_stranger_is_not_even_answered(net: Net, ruled: Sockd) -> None:
    with net.connect(STRANGER) as client:
        try:
            client.sendall(GREETING)
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
    assert "no rule permits anything to this client" in ruled.line(STRANGER)


def login(client: socket.socket, user: bytes, password: bytes) -> int:
    """Returns the status of RFC 1929's answer."""
    client.sendall(b"\x05\x01\x02")
    assert receive(client, 2) == b"\x05\x02"
    client.sendall(credentials(user, password))
    return receive(client, 2)[1]


def test_users_come_in_from_everywhere_and_failures_are_slowed(guarded: Sockd, net: Net) -> None:
    for delay in (0.5, 1.0):
        with net.connect(STRANGER, LOGIN) as client:
            began = time.monotonic()
            assert login(client, b"alice", b"close sesame") == 1
            assert time.monotonic() - began >= 0.9 * delay
    with net.connect(STRANGER, LOGIN) as client:
        assert login(client, b"alice", b"open sesame") == 0
        client.sendall(request5(TARGET, PORT))
        assert reply5(client)[0] == SUCCEEDED
        # A connection that is open counts for the limit of its user.
        with net.connect(CLIENT, LOGIN) as another:
            another.sendall(b"\x05\x01\x02" + credentials(b"alice", b"open sesame") + request5(TARGET, PORT))
            assert b"\x05\x00\x00" not in drained(another)
        assert f" alice@{CLIENT}:" in guarded.line("denied (limit: per_user = 1)")


@pytest.mark.usefixtures("guarded")
def test_users_do_not_reach_guarded_destinations_either(net: Net) -> None:
    with net.connect(port=LOGIN) as client:
        assert login(client, b"alice", b"open sesame") == 0
        client.sendall(request5("rebound.example", SOCKS))
        assert reply5(client)[0] == NOT_ALLOWED


@pytest.mark.parametrize("message", [GREETING, b"\x04\x01\x1b\x5f\x0a\x09\x00\x03me\x00"])
@pytest.mark.usefixtures("guarded")
def test_no_client_comes_in_without_a_password(message: bytes, net: Net) -> None:
    with net.connect(port=LOGIN) as client:
        client.sendall(message)
        assert drained(client) in (b"\x05\xff", b"\x00\x5b" + bytes(6))


class Identd(socketserver.StreamRequestHandler):
    """An identd that names alice for every connection."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().strip() + b" : USERID : UNIX : alice\r\n")


@pytest.fixture
def claimed(net: Net, tmp_path: Path) -> Iterator[Sockd]:
    with net.outside.inside():
        server = socketserver.ThreadingTCPServer((CLIENT, 113), Identd)
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield from serving(net, tmp_path, CLAIMS, CLAIM)
        finally:
            server.shutdown()
            thread.join()


def test_identd_vouches_for_a_claim(net: Net, claimed: Sockd) -> None:
    """Bob is permitted too, but here alice claims to be bob. Without an identd nothing contradicts her."""
    for source, userid, code in ((CLIENT, b"alice", 90), (CLIENT, b"bob", 91), (STRANGER, b"bob", 90)):
        with net.connect(source, CLAIM) as client:
            client.sendall(b"\x04\x01" + PORT.to_bytes(2) + socket.inet_aton(TARGET) + userid + b"\0")
            assert reply4(client) == code
    assert "the client's identd names another user" in claimed.line("denied")


@pytest.fixture
def linked(net: Net, tmp_path: Path) -> Iterator[Sockd]:
    """A server that listens on the link-local address only."""
    rule = '[[rules]]\naction = "permit"\nfrom = "fe80::/10"\nto = ["*", "fe80::/10"]\n'
    yield from serving(net, tmp_path, rule, LINK, "[fe80::1%inner]")


def on_link(net: Net) -> socket.socket:
    """A connection to the link-local address, which belongs to an interface."""
    with net.outside.inside():
        client = socket.socket(socket.AF_INET6)
        client.settimeout(10)
        client.connect(("fe80::1", LINK, 0, socket.if_nametoindex("outer")))
    return client


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("version", [4, 5])
def test_a_client_on_the_link_reaches_the_target(version: int, net: Net) -> None:
    with on_link(net) as client:
        assert ask(client, version, TARGET, PORT) == SUCCEEDED


@pytest.mark.usefixtures("linked")
def test_a_client_on_the_link_waits_for_a_peer_there(net: Net) -> None:
    with on_link(net) as client:
        client.sendall(GREETING + request5("::", 0, BIND))
        assert receive(client, 2) == b"\x05\x00"
        code, bound = reply5(client)
        assert (code, bound[:17]) == (SUCCEEDED, b"\x04" + socket.inet_pton(socket.AF_INET6, "fe80::1"))
        with net.outside.inside(), socket.socket(socket.AF_INET6) as peer:
            peer.connect(("fe80::1", int.from_bytes(bound[17:]), 0, socket.if_nametoindex("outer")))
            assert reply5(client)[0] == SUCCEEDED


@pytest.mark.usefixtures("linked")
def test_datagrams_of_a_client_on_the_link(net: Net) -> None:
    with on_link(net) as client, net.outside.inside(), ExitStack() as stack:
        client.sendall(GREETING + request5("::", 0, UDP_ASSOCIATE))
        assert receive(client, 2) == b"\x05\x00"
        code, bound = reply5(client)
        assert code == SUCCEEDED
        target = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        target.bind((TARGET, 0))
        index = socket.if_nametoindex("outer")
        sender.bind(("fe80::2", 0, 0, index))
        for end in (target, sender):
            end.settimeout(10)
        header = b"\0\0\0" + address5(*target.getsockname())
        sender.sendto(header + b"question", ("fe80::1", int.from_bytes(bound[17:]), 0, index))
        data, outside = target.recvfrom(100)
        assert data == b"question"
        target.sendto(b"an answer", outside)
        assert sender.recv(100) == header + b"an answer"


def drained(client: socket.socket) -> bytes:
    """Returns everything that the server sends until it closes."""
    said = b""
    try:
        while piece := client.recv(4096):
            said += piece
    except ConnectionResetError:
        pass
    return said


def test_it_is_the_tests_that_are_outside(net: Net) -> None:
    """Without this, the other tests would prove nothing."""
    assert os.stat(f"/proc/{net.gateway.pid}/ns/net").st_ino != os.stat(f"/proc/{net.outside.pid}/ns/net").st_ino
