"""A datagram socket that is connected to where it may not send: it tells its addresses, and sends nothing.

Loopback is what is routed here, and a receiver on it would get whatever goes past.
"""

from __future__ import annotations

import array
import errno
import gc
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import socksify
from socksify import _originals
from socksify.patches.guards import datagrams
from socksify.tunnel.apparent_peers import apparent_peers
from tests.support.processes import unavailable
from tests.support.routing import LOOPBACK, routed

URL = "socks5h://192.0.2.1:1080"
NAME = "name.example"

SENDS: dict[str, Callable[[socket.socket], object]] = {
    "send": lambda sock: sock.send(b"x"),
    "send with flags": lambda sock: sock.send(b"x", socket.MSG_DONTWAIT),
    "sendall": lambda sock: sock.sendall(b"x"),
    "sendmsg": lambda sock: sock.sendmsg([b"x"]),
    "sendmsg without an address": lambda sock: sock.sendmsg([b"x"], [], 0, None),
    "sendto": lambda sock: sock.sendto(b"x", sock.getpeername()),
    "sendmsg to an address": lambda sock: sock.sendmsg([b"x"], [], 0, sock.getpeername()),
    "send_fds": lambda sock: socket.send_fds(sock, [b"x"], [0]),
    "a file": lambda sock: sock.makefile("wb", buffering=0).write(b"x"),
    "a copy": lambda sock: closing(sock.dup(), lambda copy: copy.send(b"x")),
    "its fd": lambda sock: closing(socket.socket(fileno=os.dup(sock.fileno())), lambda copy: copy.send(b"x")),
    "fromfd": lambda sock: closing(
        socket.fromfd(sock.fileno(), sock.family, sock.type), lambda copy: copy.sendall(b"x")
    ),
}  # fmt: skip


def closing(copy: socket.socket, call: Callable[[socket.socket], object]) -> object:
    with copy:
        return call(copy)


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    socksify.uninstall()
    assert not datagrams._guarded
    assert not apparent_peers.known


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """Sees what arrives: what is sent over loopback has arrived when the call returns."""
    with udp() as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        yield made


def udp(family: int = socket.AF_INET) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


def nothing_arrived(receiver: socket.socket) -> bool:
    with pytest.raises(BlockingIOError):
        receiver.recv(100)
    return True


@pytest.fixture
def muted(receiver: socket.socket) -> Iterator[socket.socket]:
    """Connected to the receiver, to which it may not send."""
    with routed(URL), udp() as sock:
        sock.connect(receiver.getsockname())
        yield sock


# --- connect() ---


def test_connecting_is_the_kernels(receiver: socket.socket) -> None:
    with routed(URL), udp() as sock, udp() as other:
        assert sock.connect(receiver.getsockname()) is None  # type: ignore[func-returns-value]
        assert other.connect_ex(receiver.getsockname()) == 0
        assert sock.getpeername() == receiver.getsockname()
        assert sock.getsockname()[0] == "127.0.0.1"
        assert other.getsockname()[1] not in (0, sock.getsockname()[1])


@pytest.mark.parametrize("routes", [("*=proxy",), (f"{NAME}=block",)])
@pytest.mark.parametrize(("family", "beginning"), [(socket.AF_INET, "198.1"), (socket.AF_INET6, "100::")])
def test_a_name_is_connected_to_its_fake_address(family: int, beginning: str, routes: tuple[str, ...]) -> None:
    """Where the kernel has a route to it, as on a machine with a network."""
    with routed(URL, routes=routes), udp(family) as sock:
        if (number := sock.connect_ex((NAME, 53))) == errno.ENETUNREACH:
            unavailable(f"no route to {beginning}")
        assert number == 0
        peer = sock.getpeername()
        assert peer[0].startswith(beginning)
        assert peer[:2] == socket.getaddrinfo(NAME, 53, family)[0][4][:2]
        with pytest.raises(PermissionError):
            sock.send(b"x")


def test_what_cannot_be_connected_to_fails_as_ever() -> None:
    with routed(URL), udp() as sock:
        for address, wanted in ((("1.2.3.4", 70000), OverflowError), (("1.2.3.4",), TypeError), ("x", TypeError)):
            with pytest.raises(wanted):
                sock.connect(address)
        with pytest.raises(socket.gaierror):
            sock.connect(("a" * 64, 53))


def test_a_direct_destination_is_nothing_special(receiver: socket.socket) -> None:
    with routed(URL, routes=()), udp() as sock:
        sock.connect(receiver.getsockname())
        assert type(sock) is socket.socket
        sock.send(b"x")
    assert receiver.recv(9) == b"x"


def test_unix_sockets_are_nobodys_business() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with routed(URL), here, there, here.dup() as copy:
        assert type(copy) is socket.socket
        copy.send(b"x")
        assert there.recv(9) == b"x"


# --- what is sent then ---


@pytest.mark.parametrize("way", SENDS)
def test_nothing_is_sent(muted: socket.socket, receiver: socket.socket, way: str) -> None:
    with pytest.raises(PermissionError, match=r'UDP to 127.0.0.1:\d+ refused.*udp="direct"') as caught:
        SENDS[way](muted)
    assert caught.value.errno == errno.EACCES
    assert isinstance(caught.value, socksify.ProxyPermissionError)
    assert nothing_arrived(receiver)


# Descriptors go over Unix sockets alone.
@pytest.mark.parametrize("way", sorted(SENDS.keys() - {"send_fds"}))
def test_where_it_may_send_it_does(receiver: socket.socket, way: str) -> None:
    """Or the test above could not fail."""
    with routed(URL, routes=()), udp() as sock:
        sock.connect(receiver.getsockname())
        SENDS[way](sock)
    assert receiver.recv(9) == b"x"


def test_it_receives_as_ever(muted: socket.socket, receiver: socket.socket) -> None:
    with pytest.raises(PermissionError):
        muted.send(b"x")
    socksify.uninstall()
    receiver.sendto(b"y", muted.getsockname())
    assert muted.recv(9) == b"y"


def test_a_forked_child_sends_nothing(muted: socket.socket, receiver: socket.socket) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            muted.send(b"x")
        except PermissionError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert nothing_arrived(receiver)


def test_a_detached_fd_sends_nothing_under_a_new_object(muted: socket.socket, receiver: socket.socket) -> None:
    with socket.socket(fileno=muted.detach()) as sock, pytest.raises(PermissionError):
        sock.send(b"x")
    assert nothing_arrived(receiver)


def test_an_fd_that_comes_over_a_unix_socket_sends_nothing(muted: socket.socket, receiver: socket.socket) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [muted.fileno()]))])
        _, (fd,), _, _ = socket.recv_fds(there, 1, 1)
    with socket.socket(fileno=fd) as sock, pytest.raises(PermissionError):
        sock.sendall(b"x")
    assert nothing_arrived(receiver)


WRONG: dict[str, Callable[[Any], object]] = {
    "send of text": lambda sock: sock.send("x"),
    "send of nothing": lambda sock: sock.send(),
    "send with odd flags": lambda sock: sock.send(b"x", "0"),
    "send with too much": lambda sock: sock.send(b"x", 0, 0),
    "sendall of text": lambda sock: sock.sendall("x"),
    "sendmsg of bytes": lambda sock: sock.sendmsg(b"x"),
    "sendmsg of nothing": lambda sock: sock.sendmsg(),
    "sendmsg with odd data": lambda sock: sock.sendmsg([b"x"], 5),
    "sendmsg to an odd address": lambda sock: sock.sendmsg([b"x"], [], 0, 5),
}


@pytest.mark.parametrize("call", WRONG)
def test_bad_arguments_raise_what_the_stdlib_raises(receiver: socket.socket, call: str) -> None:
    with udp() as plain:
        plain.connect(receiver.getsockname())
        with pytest.raises(TypeError) as natively:
            WRONG[call](plain)
    with routed(URL), udp() as sock:
        sock.connect(receiver.getsockname())
        with pytest.raises(TypeError) as caught:
            WRONG[call](sock)
    assert str(caught.value) == str(natively.value)


def test_a_closed_one_is_a_bad_descriptor(muted: socket.socket) -> None:
    muted.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        muted.send(b"x")


# --- port 0 ---


RAW = {
    "raw": (socket.SOCK_RAW, socket.IPPROTO_ICMP, "ICMP"),
    "UDP": (socket.SOCK_DGRAM, 0, "UDP"),
}


@pytest.mark.parametrize("kind", RAW)
@pytest.mark.parametrize("routes", [LOOPBACK, (":1-65535=direct", *LOOPBACK)])
def test_a_peer_with_port_0_is_none_to_the_kernel_and_refused(kind: str, routes: tuple[str, ...]) -> None:
    """A rule about ports has nothing to say of it."""
    number, proto, what = RAW[kind]
    with routed(URL, routes=routes), made(number, proto) as sock:
        sock.connect(("127.0.0.1", 0))
        for each in (sock, sock.dup()):
            with each, pytest.raises(PermissionError, match=rf"{what} to 127.0.0.1:0 refused"):
                each.send(bytes(8))


def made(kind: int, proto: int) -> socket.socket:
    try:
        return socket.socket(socket.AF_INET, kind, proto)
    except OSError as error:
        unavailable(f"no socket of type {kind}, protocol {proto}: {error}")
        raise


# --- and when it may send again ---


def test_connected_to_a_direct_destination_it_sends(receiver: socket.socket) -> None:
    with routed(URL, routes=("127.0.0.2=proxy",)), udp() as sock:
        sock.connect(("127.0.0.2", 9))
        with pytest.raises(PermissionError):
            sock.send(b"x")
        sock.connect(receiver.getsockname())
        assert type(sock) is socket.socket
        sock.send(b"y")
    assert receiver.recv(9) == b"y"


def test_connected_by_somebody_else_it_sends(receiver: socket.socket) -> None:
    """The kernel is asked at each send: the guard of a copy does not outlive what it was there for."""
    with routed(URL, routes=("127.0.0.2=proxy",)), udp() as sock:
        sock.connect(("127.0.0.2", 9))
        with sock.dup() as copy:
            sock.connect(receiver.getsockname())
            assert copy.send(b"y") == 1
            assert type(copy) is socket.socket
    assert receiver.recv(9) == b"y"


def test_after_uninstall_it_sends(receiver: socket.socket) -> None:
    socksify.install(URL, routes=LOOPBACK)
    with udp() as sock:
        sock.connect(receiver.getsockname())
        with sock.dup() as copy:
            socksify.uninstall()
            for each in (sock, copy):
                assert type(each) is socket.socket
                each.send(b"y")
                assert receiver.recv(9) == b"y"


def test_with_other_settings_it_sends(receiver: socket.socket) -> None:
    socksify.install(URL, routes=LOOPBACK)
    with udp() as sock:
        sock.connect(receiver.getsockname())
        with pytest.raises(PermissionError):
            sock.send(b"x")
        socksify.install(URL, routes=LOOPBACK, udp="direct")
        sock.send(b"y")
    assert receiver.recv(9) == b"y"


# --- the object ---


class Strange(socket.socket):
    """Of a client's own making: equal to others, so without a hash; with a send() of its own."""

    sent = 0

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def send(self, data: Any, flags: int = 0) -> int:
        self.sent += 1
        return super().send(data, flags)


def test_the_class_is_the_clients_to_see(receiver: socket.socket) -> None:
    with routed(URL), Strange(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(receiver.getsockname())
        assert isinstance(sock, Strange)
        assert type(sock).__name__ == type(sock).__qualname__ == "Strange"
        assert repr(sock).startswith(f"<{__name__}.Strange fd=")
        with pytest.raises(PermissionError):
            sock.send(b"x")
        assert sock.sent == 0
    assert nothing_arrived(receiver)


def test_nothing_is_kept_of_objects_that_are_gone(receiver: socket.socket) -> None:
    with routed(URL):
        for _ in range(50):
            with udp() as sock:
                sock.connect(receiver.getsockname())
        del sock
        gc.collect()
        assert not datagrams._guarded


def test_an_unmuted_object_costs_nothing(receiver: socket.socket) -> None:
    """send and recv are never patched: they are the C methods' own."""
    with routed(URL), udp() as sock:
        assert getattr(sock.send, "__self__") is sock  # noqa: B009 (typeshed takes it for a function)
        assert type(sock.send) is type(len)
        assert "send" not in vars(socket.socket)
        sock.connect(receiver.getsockname())
        assert sys.getsizeof(sock) == sys.getsizeof(receiver)


@pytest.mark.parametrize("shape", ["sendto", "sendmsg"])
def test_a_muted_socket_sends_to_a_direct_destination(receiver: socket.socket, shape: str) -> None:
    """From the port that it tells; test_fence.py has the wire."""
    with routed(URL, routes=("127.0.0.2=proxy",)), udp() as sock:
        sock.connect(("127.0.0.2", 53))
        if shape == "sendto":
            assert sock.sendto(b"x", receiver.getsockname()) == 1
        else:
            assert sock.sendmsg([b"x"], [], 0, receiver.getsockname()) == 1
        assert receiver.recvfrom(100) == (b"x", sock.getsockname())
        with pytest.raises(PermissionError):
            sock.send(b"x")


def test_an_object_that_was_there_before_knows_the_peer_and_sends_nothing(receiver: socket.socket) -> None:
    """It is no other than the guarded one to the kernel, which tells it nothing of the peer."""
    with routed(URL), udp() as sock, sock.dup() as older:
        sock.connect(receiver.getsockname())
        assert older.getpeername() == receiver.getsockname()
        older.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            older.send(b"x")
        assert nothing_arrived(receiver)


def test_options_that_lead_elsewhere_are_told_and_not_applied(receiver: socket.socket) -> None:
    with routed(URL), udp() as sock:
        sock.connect(receiver.getsockname())
        with pytest.raises(OSError, match="No such device"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"none-such\0")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"lo\0"
        assert _originals.getsockopt(sock, socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b""
        socksify.uninstall()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"lo\0"
        sock.send(b"y")
    assert receiver.recv(9) == b"y"


def test_a_port_0_is_no_peer() -> None:
    with routed(URL), udp() as sock:
        sock.connect(("127.0.0.1", 0))
        with pytest.raises(OSError, match="not connected"):
            sock.getpeername()
