"""The answers to socket(2), connect(2) and sendto(2) of a tree whose UDP sockets come from a pool.

The calls are stood in for; the pool and its sockets are real.
"""

from __future__ import annotations

import errno
import os
import queue
import signal
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from socksify import _originals
from socksify.config.loader import load
from socksify.routing.router import Router
from socksify.seal.datagrams import socket_pool
from socksify.seal.datagrams.pooled import PooledDatagrams
from socksify.seal.datagrams.routes import DatagramRoutes
from socksify.seal.datagrams.socket_pool import SocketPool
from socksify.seal.kernel import raw_sockaddr, system_calls
from socksify.seal.kernel.listener import Listener
from socksify.seal.kernel.target import Target
from socksify.seal.notices import Notices
from socksify.seal.streams.connections import Connections
from socksify.server.core.loop import Loop
from tests.support.network.namespaces import needs_root
from tests.unit.server.loops import running_loop

SECONDS = 10.0
DATAGRAM = socket.SOCK_DGRAM
INET, INET6 = socket.AF_INET, socket.AF_INET6


class Calls:
    """Stands for the listener: what became of each call."""

    def __init__(self) -> None:
        self.ends: queue.Queue[tuple[str, Any]] = queue.Queue()
        # An error of ADDFD.
        self.full = 0

    def answer(self, _id: int, value: int = 0, error: int = 0) -> bool:
        self.ends.put(("answered", error or value))
        return True

    def proceed(self, _id: int) -> None:
        self.ends.put(("left to the kernel", None))

    def is_valid(self, _id: int) -> bool:
        return True

    def add_descriptor(self, _id: int, fd: int, close_on_exec: bool) -> None:
        if self.full:
            raise OSError(self.full, os.strerror(self.full))
        self.ends.put(("given", (os.dup(fd), close_on_exec)))


class Handled:
    """The handlers of one tree, whose loop runs in a thread."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.calls, self.pool, self.connections = loop, Calls(), SocketPool(), Connections()
        router = Router(load({"proxy": "socks5h://192.0.2.1:1080"}, {}, "/", ""))
        self.datagrams = PooledDatagrams(
            loop,
            cast(Listener, self.calls),
            Target(system_calls.here().numbers),
            self.connections,
            DatagramRoutes(lambda _thread, _inode: router, Notices()),
            self.pool,
        )

    def end_of(self, call: str, *arguments: Any) -> tuple[str, Any]:
        """Return what becomes of a call of this thread."""

        def handle() -> None:
            try:
                getattr(self.datagrams, call)(1, os.getpid(), *arguments)
            except OSError as error:
                self.calls.ends.put(("failed", error.errno))

        self.loop.call(handle)
        return self.calls.ends.get(timeout=SECONDS)

    def socket(self, family: int, flags: int = 0) -> tuple[socket.socket, bool]:
        end, made = self.end_of("socket", family, DATAGRAM | flags, 0, 0, 0, 0)
        assert end == "given"
        return socket.socket(fileno=made[0]), made[1]


@pytest.fixture
def handled() -> Iterator[Handled]:
    needs_root()
    with running_loop(Handled) as handled:
        yield handled
    handled.pool.close()


@pytest.mark.parametrize("family", [INET, INET6])
@pytest.mark.parametrize("flags", [0, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC])
def test_a_socket_has_its_family_and_its_flags(handled: Handled, family: int, flags: int) -> None:
    made, closes_on_exec = handled.socket(family, flags)
    with made:
        assert (made.family, made.type) == (family, DATAGRAM)
        assert os.get_blocking(made.fileno()) == (flags != socket.SOCK_NONBLOCK)
        assert closes_on_exec == (flags == socket.SOCK_CLOEXEC)


def test_unknown_flags_are_invalid(handled: Handled) -> None:
    assert handled.end_of("socket", INET, DATAGRAM | 0x10, 0) == ("failed", errno.EINVAL)


def test_a_program_without_descriptors_is_told(handled: Handled) -> None:
    handled.calls.full = errno.EMFILE
    assert handled.end_of("socket", INET, DATAGRAM, 0) == ("answered", errno.EMFILE)


def test_without_the_pools_process_there_are_no_sockets(handled: Handled) -> None:
    os.kill(handled.pool.process, signal.SIGKILL)
    ends = [handled.end_of("socket", INET, DATAGRAM, 0) for _ in range(3 * socket_pool.STOCK)]
    for end, made in ends:
        if end == "given":
            os.close(made[0])
    assert ends[-1] == ("answered", errno.ENETDOWN)


def connect(handled: Handled, sock: socket.socket, raw: bytes) -> tuple[str, Any]:
    own = _originals.Socket(fileno=os.dup(sock.fileno()))
    try:
        return handled.end_of("connect", own, os.fstat(own.fileno()).st_ino, raw)
    finally:
        own.close()


@pytest.mark.parametrize(
    ("family", "address"), [(INET, ("9.9.9.9", 53)), (INET, ("198.51.100.1", 443)), (INET6, ("2001:db8::1", 443))]
)
def test_connects_are_left_to_the_kernel(handled: Handled, family: int, address: tuple[str, int]) -> None:
    made, _ = handled.socket(family)
    with made:
        assert connect(handled, made, raw_sockaddr.pack(family, address)) == ("left to the kernel", None)


def test_a_socket_can_be_disconnected(handled: Handled) -> None:
    made, _ = handled.socket(INET)
    with made:
        assert connect(handled, made, bytes(16)) == ("left to the kernel", None)


def test_a_link_local_name_server_is_connected_to_by_the_interface_of_the_namespace(handled: Handled) -> None:
    made, _ = handled.socket(INET6)
    with made:
        raw = raw_sockaddr.pack(INET6, ("fe80::53", 53, 0, 7))
        assert connect(handled, made, raw) == ("answered", 0)
        assert made.getpeername() == ("fe80::53", 53, 0, 1)
        # What getpeername(2) of the program reports.
        inode = os.fstat(made.fileno()).st_ino
        assert handled.connections.peer(inode) == raw
        connect(handled, made, raw_sockaddr.pack(INET6, ("2001:db8::1", 53)))
        assert handled.connections.peer(inode) is None


def test_a_connect_opens_the_way_to_a_service(handled: Handled) -> None:
    made, _ = handled.socket(INET)
    with socket.socket(INET, DATAGRAM) as service, made:
        service.bind(("127.0.0.1", 0))
        service.settimeout(SECONDS)
        address = service.getsockname()
        assert connect(handled, made, raw_sockaddr.pack(INET, address)) == ("left to the kernel", None)
        made.sendto(b"through", address)
        assert service.recv(100) == b"through"
