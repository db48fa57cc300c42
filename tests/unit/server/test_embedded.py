"""The embedded server does not disturb the program: hidden, unpatched, closed completely, absent in a child."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from socksify.server import embedded
from tests.support.streams import receive, receive_all
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.running import Running


def test_the_url_is_where_it_listens() -> None:
    server = embedded.start()
    assert server.url == f"socks5h://127.0.0.1:{server.port}"
    socket.create_connection((server.host, server.port), timeout=10).close()
    server.close()


def test_close_ends_everything_and_may_come_twice() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    server = embedded.start()
    address = server.host, server.port
    with socket.create_connection(address, timeout=10) as stream:
        stream.sendall(client.GREETING)
        assert receive(stream, 2) == b"\x05\x00"
        server.close()
        assert receive_all(stream) == b""
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_its_thread_is_not_the_programs() -> None:
    before = threading.enumerate()
    server = embedded.start()
    assert threading.enumerate() == before
    server.close()


def test_patched_sockets_are_not_used(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's sockets may go through this server. The server's own sockets must not."""
    stream = running.connect()
    # The echo server would call the patched accept(). A connection needs only the queue of a listener.
    target = running.connections.enter_context(socket.create_server(("127.0.0.1", 0)))

    def patched(*_: object) -> None:
        raise AssertionError("the server used a patched method")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", patched)
        patch.setattr(socket.socket, "connect_ex", patched)
        patch.setattr(socket.socket, "accept", patched)
        patch.setattr(socket, "getaddrinfo", patched)
        assert client.ask(stream, 5, "localhost", target.getsockname()[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_uses_the_parents_server(running: Running, echo_server: Target) -> None:
    """The child closes its copies of the descriptors, so a connection that the server has ended is closed."""
    through = running.connect()
    assert client.ask(through, 5, *echo_server.address) == 0
    before = len(os.listdir("/proc/self/fd"))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            fewer = len(os.listdir("/proc/self/fd")) < before
            code = client.ask(
                socket.create_connection((running.server.host, running.server.port), 10), 5, *echo_server.address
            )
            os.write(writer, b"%d %d" % (fewer, code))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as told:
        assert told.read() == b"1 0"
    os.waitpid(child, 0)
    through.sendall(b"x")
    assert through.recv(1) == b"x"
