"""What of a sealed program's UDP is on the wire: nothing, unless the user lets UDP go direct."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.network.addresses import NAME_SERVER, TARGET, TARGET4, TARGET6
from tests.support.network.recorded import Client, RecordedNetwork
from tests.support.paths import ROOT
from tests.support.unprivileged import as_user

MODES = pytest.mark.parametrize("mode", ["pool", "native"])
USERS = pytest.mark.parametrize("user", ["root", "nobody"])
PROXY = "socks5h://192.0.2.1:1080"

# Sends by every call that can send a datagram. IP_PKTINFO (8) and IPV6_PKTINFO (50) name the interface to leave by.
# Prints how many of the calls have failed: some of them, and not always the same ones.
SENDING = f"""
import socket, struct
TARGETS = ((socket.AF_INET, "{TARGET4}"), (socket.AF_INET6, "{TARGET6}"), (socket.AF_INET6, "::ffff:{TARGET4}"))
DEVICE = socket.if_nametoindex("eth0")

def information(family, host):
    if family == socket.AF_INET:
        return [(socket.IPPROTO_IP, 8, struct.pack("@i8x", DEVICE))]
    own = bytes(10) + bytes((255, 255)) + bytes(4) if host.startswith("::ffff") else bytes(16)
    return [(socket.IPPROTO_IPV6, 50, own + struct.pack("@i", DEVICE))]

def sends(family, host, port):
    def connected(sock):
        sock.connect((host, port))
        sock.send(b"connected")

    yield connected
    yield lambda sock: sock.sendto(b"to", (host, port))
    yield lambda sock: sock.sendmsg([b"message"], [], 0, (host, port))
    yield lambda sock: sock.sendmsg([b"with information"], information(family, host), 0, (host, port))

    def bound(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sock.sendto(b"bound", (host, port))

    yield bound

failed = 0
for family, host in TARGETS:
    for port in (53, 443):
        for send in sends(family, host, port):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                try:
                    send(sock)
                except OSError:
                    failed += 1
print(failed)
"""


@pytest.fixture
def client(network: RecordedNetwork) -> Iterator[Client]:
    with network.client() as client:
        client.packets()
        yield client


def run(client: Client, user: str, argv: list[str]) -> str:
    command, python = as_user(user)
    done = subprocess.run(
        client.command(*command, *[python if word == "python" else word for word in argv]),
        capture_output=True, text=True, timeout=60, cwd="/",
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def sealed(client: Client, user: str, mode: str, argv: list[str], **settings: object) -> str:
    text = json.dumps({"proxy": PROXY, **settings})
    return run(client, user, ["python", "-m", "tests.support.sealed_datagrams", mode, text, *argv])


@USERS
def test_without_a_seal_all_of_them_leave(client: Client, user: str) -> None:
    assert run(client, user, ["python", "-c", SENDING]) == "0\n"
    packets = client.packets()
    assert {(packet.target, packet.port) for packet in packets} == {
        (host, port) for host in (TARGET4, TARGET6) for port in (53, 443)
    }
    assert len(packets) == 30


@MODES
@USERS
def test_nothing_leaves(client: Client, mode: str, user: str) -> None:
    sealed(client, user, mode, ["python", "-c", SENDING])
    assert client.packets() == []


# Sends to all hosts of the link, by their groups. The interface is in the address, or an option of the socket.
TO_GROUPS = """
import socket, struct
DEVICE = socket.if_nametoindex("eth0")
failed = 0
for family, address, option in (
    (socket.AF_INET, ("224.0.0.251", 5353), (socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@8xi", DEVICE))),
    (socket.AF_INET6, ("ff02::fb", 5353, 0, DEVICE), (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, DEVICE)),
):
    for send in ("sendto", "sendmsg", "connect"):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.setsockopt(*option)
                if send == "sendto":
                    sock.sendto(b"to", address)
                elif send == "sendmsg":
                    sock.sendmsg([b"message"], [], 0, address)
                else:
                    sock.connect(address)
                    sock.send(b"connected")
            except OSError:
                failed += 1
print(failed)
"""


def test_without_a_seal_groups_hear_all_of_them(client: Client) -> None:
    assert run(client, "nobody", ["python", "-c", TO_GROUPS]) == "0\n"
    assert sorted(packet.target for packet in client.packets()) == ["224.0.0.251"] * 3 + ["ff02::fb"] * 3


@MODES
@USERS
def test_groups_hear_nothing(client: Client, mode: str, user: str) -> None:
    sealed(client, user, mode, ["python", "-c", TO_GROUPS])
    assert client.packets() == []


@MODES
def test_a_name_is_told_to_nobody(client: Client, mode: str) -> None:
    assert sealed(client, "nobody", mode, ["getent", "ahostsv4", TARGET]).startswith("198.1")
    assert client.packets() == []


def test_datagrams_leave_if_the_user_says_so_and_names_stay(client: Client) -> None:
    sealed(client, "nobody", "native", ["python", "-c", SENDING], udp="direct")
    assert {(packet.target, packet.port) for packet in client.packets()} == {(TARGET4, 443), (TARGET6, 443)}
    assert sealed(client, "nobody", "native", ["getent", "ahostsv4", TARGET], udp="direct").startswith("198.1")
    assert client.packets() == []


DIRECT = f"""
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    try:
        sock.sendto(b"to", (sys.argv[1], 443))
    except OSError as error:
        print(error.errno)
    sock.connect(("{TARGET4}", 443))
    sock.send(b"connected")
"""


@pytest.mark.parametrize(("mode", "reaches"), [("pool", True), ("native", False)])
def test_a_rule_of_the_user_lets_datagrams_to_a_host_go(client: Client, mode: str, reaches: bool) -> None:
    said = sealed(client, "nobody", mode, ["python", "-c", DIRECT, TARGET4], routes=[f"{TARGET4}=direct"])
    # Without a pool no datagram leaves this machine, and the program is told (EACCES).
    assert said == ("" if reaches else "13\n")
    assert [(packet.target, packet.port) for packet in client.packets()] == [(TARGET4, 443)] * (2 if reaches else 0)


def test_a_blocked_host_gets_nothing_although_udp_is_direct(client: Client) -> None:
    routes = [f"{NAME_SERVER}=block"]
    said = sealed(client, "nobody", "native", ["python", "-c", DIRECT, NAME_SERVER], udp="direct", routes=routes)
    assert said == "13\n"
    assert {packet.target for packet in client.packets()} == {TARGET4}
