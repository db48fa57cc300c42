"""sendto() and sendmsg(): what a rule routes is refused, what is direct arrives, and bad arguments are the stdlib's.

Loopback is what is routed here, and a receiver on it would get whatever goes past: what is sent over loopback has
arrived when the call returns.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import warnings
from collections.abc import Callable, Iterator
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest

import socksify
from socksify import _originals
from socksify.routing import local_host, log
from socksify.routing.hosts_file import SystemFile
from tests.support.processes import unavailable
from tests.support.routing import LOOPBACK, SECONDS, routed
from tests.support.servers import Server
from tests.support.streams import receive
from tests.support.targets import Target

URL = "socks5h://192.0.2.1:1080"
NAME = "name.example"
HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
FAMILIES = pytest.mark.parametrize("family", HOSTS, ids=lambda family: family.name)
MAPPED = "::ffff:127.0.0.1"

SHAPES: dict[str, Callable[[socket.socket, Any], int]] = {
    "sendto": lambda sock, address: sock.sendto(b"x", address),
    "sendto with flags": lambda sock, address: sock.sendto(b"x", 0, address),
    "sendto of the class": lambda sock, address: socket.socket.sendto(sock, memoryview(b"x"), address),
    "sendmsg": lambda sock, address: sock.sendmsg([b"x"], [], 0, address),
    "sendmsg of an iterator": lambda sock, address: sock.sendmsg(iter([b"x"]), (), 0, address),
}
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    socksify.uninstall()


Resolver = Callable[[str | None], None]


class Receiver:
    """A datagram socket that sees what arrives."""

    def __init__(self, family: int) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((HOSTS[socket.AddressFamily(family)], 0))
        self.socket.setblocking(False)
        self.host, self.port = self.socket.getsockname()[:2]

    def received(self) -> list[bytes]:
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            found.append(self.socket.recv(100))
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(socket.AF_INET)
    yield made
    made.socket.close()


@pytest.fixture
def receiver6() -> Iterator[Receiver]:
    made = Receiver(socket.AF_INET6)
    yield made
    made.socket.close()


def udp(family: int = socket.AF_INET) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Lets every name be looked up as a host, or none; to be called when socksify is installed."""

    def answer(answer: str | None) -> None:
        original = _originals.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *hints: Any) -> Any:
            # Bytes where it is on our own account.
            if isinstance(host, (str, bytes)) and os.fsencode(host) == NAME.encode():
                assert answer is not None, "a name was looked up"
                host = answer
            return original(host, port, *hints)

        monkeypatch.setattr(_originals, "getaddrinfo", getaddrinfo)

    return answer


def refused(call: Callable[[], object]) -> str:
    """What the refusal says."""
    with pytest.raises(PermissionError) as caught:
        call()
    assert isinstance(caught.value, socksify.ProxyPermissionError)
    assert caught.value.errno == errno.EACCES
    return str(caught.value)


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


# --- what is no UDP ---

OTHERS = {
    "ICMP": (socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "UDP": (socket.SOCK_RAW, socket.IPPROTO_UDP),
    "IP protocol 255": (socket.SOCK_RAW, socket.IPPROTO_RAW),
    "UDP-Lite": (socket.SOCK_DGRAM, 136),
}


@EVERY_SHAPE
@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_stream_is_refused_likewise(what: str, shape: str) -> None:
    with routed(URL), made(socket.AF_INET, *OTHERS[what]) as sock:
        assert f"{what} to 203.0.113.5:0 refused" in refused(lambda: SHAPES[shape](sock, ("203.0.113.5", 0)))


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_stream_may_go_to_loopback(what: str) -> None:
    with routed(URL, routes=()), made(socket.AF_INET, *OTHERS[what]) as sock:
        # Of a header of its own the kernel wants to see one.
        assert sock.sendto(bytes([0x45] + [0] * 27), ("127.0.0.1", 9)) == 28


def made(family: int, kind: int, proto: int) -> socket.socket:
    try:
        return socket.socket(family, kind, proto)
    except OSError as error:
        unavailable(f"no socket of family {family}, type {kind}, protocol {proto}: {error}")
        raise


def of_kind(kind: int, proto: int, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A socket of a protocol that this kernel may not have: both the object and the kernel say that it is one."""
    told = {socket.SO_TYPE: kind, socket.SO_PROTOCOL: proto}
    original = _originals.getsockopt

    def getsockopt(sock: Any, level: int, name: int, *size: int) -> Any:
        return told[name] if level == socket.SOL_SOCKET and name in told else original(sock, level, name, *size)

    monkeypatch.setattr(_originals, "getsockopt", getsockopt)
    return socket.socket(socket.AF_INET, kind, proto, fileno=socket.socket().detach())


SHAKING_HANDS = [("SCTP", (socket.SOCK_STREAM, 132)), ("SCTP", (socket.SOCK_SEQPACKET, 132)), ("DCCP", (6, 33))]


@pytest.mark.parametrize(("what", "kind"), SHAKING_HANDS)
def test_a_handshake_of_another_protocol_is_refused(
    what: str, kind: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with routed(URL), of_kind(*kind, monkeypatch) as sock:
        assert f"{what} to 203.0.113.5:80 refused" in refused(lambda: sock.connect(("203.0.113.5", 80)))
        assert sock.connect_ex(("203.0.113.5", 80)) == errno.EACCES
        assert f"{what} to {NAME}:80 refused" in refused(lambda: sock.connect((NAME, 80)))
        assert f"{what} to 203.0.113.5:80 refused" in refused(lambda: sock.sendto(b"x", ("203.0.113.5", 80)))


@pytest.mark.skipif(not hasattr(socket, "IPPROTO_MPTCP"), reason="Linux 5.6")
def test_multipath_tcp_is_tcp(microsocks: Server, echo_server: Target) -> None:
    with routed(microsocks.url()), made(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as sock:
        sock.settimeout(SECONDS)
        sock.connect(echo_server.address)
        sock.sendall(b"ping")
        assert receive(sock, 4) == b"ping"
        assert sock.getpeername() == echo_server.address


LINK = pytest.mark.skipif(not hasattr(socket, "AF_PACKET"), reason="Linux's link layer")
FRAME = bytes(60)


@LINK
@EVERY_SHAPE
def test_a_frame_goes_past_every_rule_and_is_refused(shape: str) -> None:
    with routed(URL, routes=("*=direct",)), made(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        story = refused(lambda: SHAPES[shape](sock, ("eth0", 0x800)))
    assert story.startswith("[Errno 13] frame to eth0 refused")


@LINK
def test_a_frame_may_go_to_loopback() -> None:
    with routed(URL), made(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        assert sock.sendto(FRAME, ("lo", 0x88B5)) == len(FRAME)
        sock.bind(("lo", 0x88B5))
        assert sock.send(FRAME) == len(FRAME)


@LINK
def test_udp_direct_allows_frames() -> None:
    with (
        routed(URL, udp="direct"),
        made(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock,
        pytest.raises(OSError, match="No such device"),
    ):
        sock.sendto(FRAME, ("no-such-device", 0x88B5))


# --- streams ---


class FastOpen:
    """A number as numpy has them."""

    def __index__(self) -> int:
        return int(socket.MSG_FASTOPEN)


FAST = {
    "sendto": lambda sock, address: sock.sendto(b"ping", socket.MSG_FASTOPEN, address),
    "sendmsg": lambda sock, address: sock.sendmsg([b"pi", b"ng"], [], socket.MSG_FASTOPEN, address),
    "sendto with a number of another type": lambda sock, address: sock.sendto(b"ping", FastOpen(), address),
    "sendmsg with a number of another type": lambda sock, address: sock.sendmsg([b"ping"], [], FastOpen(), address),
}
FAST_OPEN = pytest.mark.skipif(not hasattr(socket, "MSG_FASTOPEN"), reason="Linux's TCP Fast Open")


@FAST_OPEN
@pytest.mark.parametrize("timeout", [None, SECONDS])
@pytest.mark.parametrize("call", FAST)
def test_fast_open_is_a_connect(danted: Server, echo_server: Target, call: str, timeout: float | None) -> None:
    with routed(danted.url()), socket.socket() as sock:
        sock.settimeout(timeout)
        assert FAST[call](sock, echo_server.address) == 4
        assert receive(sock, 4) == b"ping"
        assert sock.getpeername() == echo_server.address
        with pytest.raises(OSError) as caught:
            FAST[call](sock, echo_server.address)
        assert caught.value.errno == errno.EISCONN


@FAST_OPEN
@pytest.mark.parametrize("call", FAST)
def test_fast_open_that_does_not_wait_has_sent_nothing(danted: Server, echo_server: Target, call: str) -> None:
    with routed(danted.url()), socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError) as caught:
            FAST[call](sock, echo_server.address)
        assert caught.value.errno == errno.EINPROGRESS
        assert select.select([], [sock], [], SECONDS)[1] == [sock]
        assert sock.send(b"pong") == 4
        sock.settimeout(SECONDS)
        assert receive(sock, 4) == b"pong"


@FAST_OPEN
@pytest.mark.parametrize("call", FAST)
def test_fast_open_to_a_blocked_destination(echo_server: Target, call: str) -> None:
    with routed(URL, routes=("127.0.0.0/8=block",)), socket.socket() as sock:
        assert "blocked by rule" in refused(lambda: FAST[call](sock, echo_server.address))


@FAST_OPEN
@pytest.mark.parametrize("call", FAST)
def test_fast_open_to_a_direct_destination_is_the_kernels(echo_server: Target, call: str) -> None:
    with routed(URL, routes=()), socket.socket() as sock:
        assert FAST[call](sock, echo_server.address) == 4
        sock.settimeout(SECONDS)
        assert receive(sock, 4) == b"ping"


@FAST_OPEN
def test_fast_open_and_bad_arguments() -> None:
    with routed(URL), socket.socket() as sock:
        with pytest.raises(TypeError, match="a bytes-like object is required, not 'str'"):
            sock.sendto("ping", socket.MSG_FASTOPEN, ("203.0.113.5", 80))  # type: ignore[call-overload]
        with pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN


@pytest.mark.parametrize("host", [NAME, "203.0.113.5", "blocked.example"])
@EVERY_SHAPE
def test_a_connected_stream_does_not_look_at_an_address(echo_server: Target, shape: str, host: str) -> None:
    with routed(URL, routes=("blocked.example=block",)), socket.create_connection(echo_server.address) as sock:
        sock.settimeout(SECONDS)
        assert SHAPES[shape](sock, (host, 80)) == 1
        assert receive(sock, 1) == b"x"


@EVERY_SHAPE
def test_fromfd_may_be_told_that_a_datagram_socket_is_a_stream(receiver: Receiver, shape: str) -> None:
    with (
        routed(URL),
        socket.socket(type=socket.SOCK_DGRAM) as sock,
        socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM) as other,
    ):
        refused(lambda: SHAPES[shape](other, (receiver.host, receiver.port)))
    assert receiver.received() == []


@pytest.mark.parametrize("host", [NAME, "203.0.113.5"])
def test_a_stream_that_is_not_connected_says_so(host: str) -> None:
    with routed(URL), socket.socket() as sock, pytest.raises(BrokenPipeError):
        sock.sendto(b"x", (host, 80))


# --- arguments ---

ADDRESS = ("203.0.113.5", 53)
BAD_ARGUMENTS: dict[str, list[tuple[object, ...]]] = {
    "sendto": [
        (), (b"x",), (ADDRESS,), (b"x", 0, ADDRESS, 1), ("x", ADDRESS), (None, ADDRESS), (b"x", "0", ADDRESS),
        (b"x", 1.5, ADDRESS), (b"x", None, ADDRESS), (b"x", None), (b"x", "203.0.113.5"), (b"x", ()),
        (b"x", ("203.0.113.5",)), (b"x", ("203.0.113.5", "53")), (b"x", ("203.0.113.5", 65536)),
        (b"x", ("203.0.113.5", -1)), (b"x", ("203.0.113.5", 53, 0)), (b"x", ["203.0.113.5", 53]),
        (b"x", (None, 53)), (b"x", (b"\xff", 53)), (b"x", ("a\0b", 53)), (b"x", 1 << 40, ADDRESS),
        (5, ADDRESS), (b"x", ("a" * 64, 53)),
    ],
    "sendmsg": [
        (), (b"x", [], 0, ADDRESS), (5, [], 0, ADDRESS), ([b"x"], [], "0", ADDRESS), ([b"x"], [], 0, ()),
        ([b"x"], [], 0, "203.0.113.5"), ([b"x"], [], 0, ("203.0.113.5", 65536)), (["x"], [], 0, ADDRESS),
        ([b"x"], [], 0, ADDRESS, 5), ([b"x"], 5, 0, ADDRESS), ([b"x"], [(1,)], 0, ADDRESS),
        ([b"x"], [(1, 1, 5)], 0, ADDRESS), ([5], [], 0, ADDRESS), ([b"x"], [], None, ADDRESS),
    ],
}  # fmt: skip
WRONG: dict[str, Callable[[socket.socket], object]] = {
    f"{method}{arguments!r}": methodcaller(method, *arguments)
    for method, calls in BAD_ARGUMENTS.items()
    for arguments in calls
}


@pytest.mark.parametrize("call", WRONG)
def test_bad_arguments_raise_what_the_stdlib_raises(call: str) -> None:
    with udp() as sock:
        natively = raised(lambda: WRONG[call](sock))
        with routed(URL):
            assert raised(lambda: WRONG[call](sock)) == natively


def raised(call: Callable[[], object]) -> tuple[type, str]:
    with warnings.catch_warnings():
        # -bb
        warnings.simplefilter("ignore", BytesWarning)
        with pytest.raises(Exception) as caught:
            call()
    return caught.type, str(caught.value)


def test_keywords_are_refused_as_the_stdlib_refuses_them() -> None:
    with udp() as sock:
        with pytest.raises(TypeError):
            sock.sendto(b"x", address=ADDRESS)  # type: ignore[call-overload]
        with routed(URL), pytest.raises(TypeError):
            sock.sendto(b"x", address=ADDRESS)  # type: ignore[call-overload]


# --- asyncio ---


class Protocol(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()

    def error_received(self, exc: Exception) -> None:
        self.errors.put_nowait(exc)


@pytest.mark.parametrize("host", ["203.0.113.5", "2001:db8::5", NAME])
@pytest.mark.parametrize("connected", [True, False])
def test_an_endpoint_of_asyncio_is_told(host: str, connected: bool) -> None:
    if ":" in host and not _routes_ipv6():
        unavailable("no route to any IPv6 address")

    async def talk() -> Exception:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        where: dict[str, Any] = {"remote_addr": (host, 53)} if connected else {}
        transport, protocol = await loop.create_datagram_endpoint(Protocol, family=family, **where)
        transport.sendto(b"x", None if connected else (host, 53))
        try:
            return await asyncio.wait_for(protocol.errors.get(), SECONDS)
        finally:
            transport.close()

    with routed(URL):
        error = asyncio.run(talk())
    assert isinstance(error, socksify.ProxyPermissionError)
    assert host in str(error)


def _routes_ipv6() -> bool:
    with udp(socket.AF_INET6) as probe:
        return probe.connect_ex(("2001:db8::5", 53)) == 0


def test_sock_sendto_and_sock_sendall_of_a_loop_are_refused() -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        with udp() as sock:
            sock.setblocking(False)
            with pytest.raises(PermissionError):
                await loop.sock_sendto(sock, b"x", ("203.0.113.5", 53))
            await loop.sock_connect(sock, ("203.0.113.5", 53))
            with pytest.raises(PermissionError):
                await loop.sock_sendall(sock, b"x")

    with routed(URL):
        asyncio.run(talk())
