"""sendto() and sendmsg(): what a rule routes is refused, and what is direct arrives.

Loopback is what is routed here, and a receiver on it would get whatever goes past: what is sent over loopback has
arrived when the call returns.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

import socksify
from socksify import _originals
from socksify.routing import local_host, log
from socksify.routing.hosts_file import SystemFile
from tests.support.datagram_sockets import (
    EVERY_SHAPE,
    FAMILIES,
    NAME,
    SHAPES,
    URL,
    Receiver,
    Resolver,
    refused,
    udp,
)
from tests.support.routing import LOOPBACK, SECONDS, routed

MAPPED = "::ffff:127.0.0.1"


# --- what is routed ---


@EVERY_SHAPE
@FAMILIES
def test_a_datagram_to_a_routed_destination_is_refused(shape: str, family: int, request: pytest.FixtureRequest) -> None:
    receiver: Receiver = request.getfixturevalue("receiver6" if family == socket.AF_INET6 else "receiver")
    with udp(family) as sock:
        SHAPES[shape](sock, (receiver.host, receiver.port))
        assert receiver.received() == [b"x"]
        with routed(URL):
            refused(lambda: SHAPES[shape](sock, (receiver.host, receiver.port)))
        assert receiver.received() == []


@EVERY_SHAPE
@FAMILIES
def test_a_mapped_address_is_no_way_round(receiver: Receiver, shape: str, family: int) -> None:
    """The stdlib unmaps it for an IPv4 socket."""
    with udp(family) as sock:
        SHAPES[shape](sock, (MAPPED, receiver.port))
        assert receiver.received() == [b"x"]
        with routed(URL):
            refused(lambda: SHAPES[shape](sock, (MAPPED, receiver.port)))
            sock.connect((MAPPED, receiver.port))
            refused(lambda: sock.send(b"x"))
    assert receiver.received() == []


@EVERY_SHAPE
@FAMILIES
def test_a_name_is_refused_as_such(resolver: Resolver, shape: str, family: int) -> None:
    with routed(URL), udp(family) as sock:
        resolver(None)
        assert f"UDP to {NAME}:53 refused" in refused(lambda: SHAPES[shape](sock, (NAME, 53)))
        fake = socket.getaddrinfo(NAME, 53, family)[0][4]
        assert f"UDP to {NAME}:53 refused" in refused(lambda: SHAPES[shape](sock, fake))


def test_the_refusal_says_what_why_and_what_to_do() -> None:
    with routed("socks5h://alice:secret@192.0.2.1:1080"), udp() as sock:
        story = refused(lambda: sock.sendto(b"x", ("203.0.113.5", 53)))
    assert story == (
        "[Errno 13] UDP to 203.0.113.5:53 refused: rule '*=proxy' (built in) leaves it to proxy"
        " socks5h://alice:***@192.0.2.1:1080, which is asked for TCP alone;"
        ' udp="direct" (--udp direct) or a direct rule allows it'
    )


def test_the_refusal_knows_its_target() -> None:
    with routed(URL), udp(socket.AF_INET6) as sock, pytest.raises(socksify.ProxyPermissionError) as caught:
        sock.sendto(b"x", ("2001:db8::5", 53))
    assert caught.value.target == "[2001:db8::5]:53"


def test_a_blocked_destination_says_which_rule() -> None:
    with routed(URL, routes=("203.0.113.0/24=block",), udp="direct"), udp() as sock:
        story = refused(lambda: sock.sendto(b"x", ("203.0.113.5", 53)))
    assert "blocked by rule '203.0.113.0/24=block'" in story


def test_a_blocked_name_says_so_without_a_look_up(resolver: Resolver) -> None:
    with routed(URL, routes=(f"{NAME}=block",)), udp() as sock:
        resolver(None)
        assert f"UDP to {NAME}:53 refused: blocked by rule" in refused(lambda: sock.sendto(b"x", (NAME, 53)))


def test_a_refusal_stands_in_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(log, "name", "client")
    with routed(URL, log=str(tmp_path / "log")), udp() as sock:
        refused(lambda: sock.sendto(b"x", (NAME, 53)))
    assert f"socksify: client: UDP {NAME}:53 denied: rule '*=proxy'" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("group", ["224.0.0.251", "239.255.255.250", "255.255.255.255", "<broadcast>"])
def test_groups_are_routed_like_everything_else(group: str) -> None:
    with routed(URL), udp() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        refused(lambda: sock.sendto(b"x", (group, 1900)))


def test_groups_of_ipv6_are_routed_like_everything_else() -> None:
    with routed(URL), udp(socket.AF_INET6) as sock:
        refused(lambda: sock.sendto(b"x", ("ff02::fb", 5353, 0, 1)))


def test_a_name_server_on_this_machine_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    monkeypatch.setattr(local_host, "RESOLV_CONF", SystemFile(str(tmp_path / "resolv.conf"), local_host._nameservers))
    with routed(URL, routes=()), udp() as sock:
        assert "name server" in refused(lambda: sock.sendto(b"x", ("127.0.0.53", 53)))


def test_a_closed_socket_is_a_bad_descriptor() -> None:
    sock = udp()
    sock.close()
    with routed(URL), pytest.raises(OSError, match="Bad file descriptor") as caught:
        sock.sendto(b"x", (NAME, 53))
    assert caught.value.errno == errno.EBADF


# --- what is direct ---


@EVERY_SHAPE
@FAMILIES
def test_loopback_is_direct(shape: str, family: int, request: pytest.FixtureRequest) -> None:
    receiver: Receiver = request.getfixturevalue("receiver6" if family == socket.AF_INET6 else "receiver")
    with routed(URL, routes=()), udp(family) as sock:
        assert SHAPES[shape](sock, (receiver.host, receiver.port)) == 1
    assert receiver.received() == [b"x"]


@EVERY_SHAPE
def test_a_direct_rule_allows_a_network(receiver: Receiver, shape: str) -> None:
    with routed(URL, routes=("127.0.0.0/8=direct", "*=proxy")), udp() as sock:
        SHAPES[shape](sock, (receiver.host, receiver.port))
    assert receiver.received() == [b"x"]


@EVERY_SHAPE
def test_a_direct_rule_allows_a_name(resolver: Resolver, receiver: Receiver, shape: str) -> None:
    """By its fake address too, which was given out while the name's port was not known."""
    routes = (f"{NAME}:{receiver.port}=direct", *LOOPBACK)
    with routed(URL, routes=routes), udp() as sock:
        resolver(receiver.host)
        fake = socket.gethostbyname(NAME)
        assert fake.startswith(("198.18.", "198.19."))
        SHAPES[shape](sock, (fake, receiver.port))
    assert receiver.received() == [b"x"]


def test_a_direct_rule_allows_a_group() -> None:
    group = "239.1.2.3"
    with udp() as member, udp() as sock, routed(URL, routes=("224.0.0.0/4=direct", *LOOPBACK)):
        member.bind((group, 0))
        here = socket.inet_aton("127.0.0.1")
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + here)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        sock.sendto(b"x", (group, member.getsockname()[1]))
        member.settimeout(SECONDS)
        assert member.recv(9) == b"x"


@EVERY_SHAPE
def test_udp_direct_allows_everything(resolver: Resolver, receiver: Receiver, shape: str) -> None:
    with routed(URL, udp="direct"), udp() as sock:
        resolver(receiver.host)
        fake = socket.gethostbyname(NAME)
        for host in (receiver.host, NAME, fake):
            SHAPES[shape](sock, (host, receiver.port))
            assert receiver.received() == [b"x"], host


def test_udp_direct_and_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_originals, "getaddrinfo", getaddrinfo)
    with routed(URL, udp="direct"), udp() as sock, pytest.raises(socket.gaierror, match="Name or service not known"):
        sock.sendto(b"x", (NAME, 53))


@pytest.mark.parametrize("shape", ["sendto", "sendmsg"])
def test_unix_sockets_are_nobodys_business(tmp_path: Path, shape: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here, udp(socket.AF_UNIX) as sock, routed(URL):
        here.bind(str(tmp_path / "here"))
        SHAPES[shape](sock, str(tmp_path / "here"))
        assert here.recv(9) == b"x"


def test_without_an_address_sendmsg_is_the_kernels() -> None:
    here, there = socket.socketpair()
    with here, there, routed(URL):
        socket.send_fds(here, [b"x"], [0])
        data, fds, _, _ = socket.recv_fds(there, 9, 1)
        os.close(fds[0])
        assert here.sendmsg([b"y"], [], 0, None) == 1
        assert (data, there.recv(9)) == (b"x", b"y")
