"""fork() in the middle: the child inherits fds, not the parent's handshakes."""

from __future__ import annotations

import errno
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from socksify.tunnel import pending, registry
from tests.bad_proxy import BadProxy
from tests.routing import routed
from tests.steps import READ_GREETING, Send, Wait, good
from tests.targets import Target


@pytest.fixture(autouse=True)
def _forking_with_threads() -> Iterator[None]:
    """From 3.12 on Python warns of it; the child here calls nothing that another thread may hold."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


def child(call: Callable[[], bool]) -> int:
    """The exit status of a forked child: 0 if the call is true, 1 if it is false, 2 if it raises."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = 0 if call() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_uses_the_connection_it_inherits(echo_server: Target) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.connect(echo_server.address)

        def talk() -> bool:
            sock.sendall(b"child")
            return sock.recv(5, socket.MSG_WAITALL) == b"child" and sock.getpeername() == echo_server.address

        assert child(talk) == 0
        sock.sendall(b"parent")
        assert sock.recv(6, socket.MSG_WAITALL) == b"parent"


def test_a_child_makes_connections_of_its_own(echo_server: Target) -> None:
    def talk() -> bool:
        with socket.create_connection(echo_server.address, timeout=10) as sock:
            sock.sendall(b"child")
            return sock.recv(5, socket.MSG_WAITALL) == b"child"

    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()):
        assert child(talk) == 0
        assert len(proxy.sessions) == 1


def test_a_child_leaves_the_parents_pending_connect_alone(echo_server: Target) -> None:
    go = threading.Event()
    script = [READ_GREETING, Wait(go), Send(b"\x05\0"), *good("socks5h")[2:]]
    with BadProxy(script) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.setblocking(False)
        assert sock.connect_ex(echo_server.address) == errno.EINPROGRESS

        def look() -> bool:
            unknown = not pending.everyone() and not registry.unsettled
            try:
                sock.send(b"x")
            except OSError as error:
                unknown = unknown and error.errno in (errno.ENOTCONN, errno.EAGAIN)
            sock.close()
            return unknown

        assert child(look) == 0
        go.set()
        sock.settimeout(10)
        sock.sendall(b"parent")
        assert sock.recv(6, socket.MSG_WAITALL) == b"parent"
        assert sock.getpeername() == echo_server.address
