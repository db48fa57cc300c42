"""With bind="auto" local servers stay local, whatever goes through the proxy before, meanwhile and after."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import multiprocessing.managers
import socket
import socketserver
import threading
import urllib.request
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from socksify import _originals
from tests.support.bind_proxy import SERVER, BindProxy, bind_proxy

# An HTTP server, say: nobody expects it to call back.
WEB = (SERVER[0], 80)


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(100))


def ask(address: tuple[str, int]) -> bytes:
    """What an echo server says."""
    with socket.create_connection(("127.0.0.1", address[1]), timeout=10) as stream:
        stream.sendall(b"hello")
        return stream.recv(100)


@contextlib.contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        _, port = server.socket.getsockname()
        yield port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def http_server(host: str) -> None:
    with serving(http.server.ThreadingHTTPServer((host, 0), Hello)) as port:
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/hello", timeout=10).read() == b"/hello"


def socket_server(host: str) -> None:
    with serving(socketserver.ThreadingTCPServer((host, 0), Echo)) as port:
        assert ask(("", port)) == b"hello"


def xmlrpc_server(host: str) -> None:
    server = xmlrpc.server.SimpleXMLRPCServer((host, 0), logRequests=False)
    server.register_function(lambda number: number + 1, "add")
    with serving(server) as port, xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}") as proxy:
        assert proxy.add(1) == 2


def asyncio_server(host: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        async with await asyncio.start_server(serve, host, 0) as server:
            # One for each family, on ports of their own.
            port = next(sock.getsockname()[1] for sock in server.sockets if sock.family == socket.AF_INET)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


class Manager(multiprocessing.managers.BaseManager):
    """A server process of its own."""


def manager(host: str) -> None:
    # The fork server, from Python 3.14 on the default, outlives the test, and with it its descriptors.
    fork = multiprocessing.get_context("fork")
    with Manager((host, 0), authkey=b"secret", ctx=fork) as served:
        assert isinstance(served.address, tuple)
        client = Manager(("127.0.0.1", served.address[1]), authkey=b"secret")
        client.connect()


def free_port(host: str) -> None:
    """As everybody's test suite has it; somebody else listens there afterwards."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    with socket.create_server((host, port)) as listener:
        assert listener.getsockname()[1] == port
        _one_connection(listener)


def oauth_callback(host: str) -> None:
    """One request to a port that was told to a browser: InstalledAppFlow and kin."""
    server = http.server.HTTPServer((host, 0), Hello)
    port = server.server_port
    browser = threading.Thread(target=lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/?code=1").close())
    browser.start()
    server.timeout = 10
    server.handle_request()
    browser.join()
    server.server_close()


def by_hand(host: str) -> None:
    with socket.create_server((host, 0)) as listener:
        assert listener.getsockname()[0] in ("0.0.0.0", "127.0.0.1")
        _one_connection(listener)


def without_bind(host: str) -> None:  # noqa: ARG001
    with socket.socket() as listener:
        listener.listen()
        _one_connection(listener)


def _one_connection(listener: socket.socket) -> None:
    with socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=10):
        listener.accept()[0].close()


SERVERS = [
    http_server,
    socket_server,
    xmlrpc_server,
    asyncio_server,
    manager,
    free_port,
    oauth_callback,
    by_hand,
    without_bind,
]


@pytest.fixture
def web() -> Iterator[BindProxy]:
    with bind_proxy() as proxy:
        yield proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_before_between_and_after(web: BindProxy, server: Callable[[str], None], host: str) -> None:
    server(host)
    with web.control(WEB):
        server(host)
        with web.control(WEB):
            server(host)
    server(host)
    assert web.binds == 0


def test_made_before_and_serving_meanwhile(web: BindProxy) -> None:
    with serving(socketserver.ThreadingTCPServer(("", 0), Echo)) as port:
        assert ask(("", port)) == b"hello"
        with web.control():
            assert ask(("", port)) == b"hello"
        assert ask(("", port)) == b"hello"
    assert web.binds == 0


@pytest.mark.parametrize(
    "server", [http_server, socket_server, asyncio_server, free_port, oauth_callback, by_hand], ids=lambda f: f.__name__
)
def test_on_loopback_while_connected_to_ftp(web: BindProxy, server: Callable[[str], None]) -> None:
    with web.control():
        server("127.0.0.1")
    assert web.binds == 0


def test_on_a_port_of_its_own_while_connected_to_ftp(web: BindProxy) -> None:
    with web.control(), socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
        probe.close()
        with socket.create_server(("", port)) as listener:
            _one_connection(listener)
    assert web.binds == 0


def test_in_another_thread_while_connected_to_ftp(web: BindProxy) -> None:
    with web.control():
        thread = threading.Thread(target=socket_server, args=("",))
        thread.start()
        thread.join()
    assert web.binds == 0


def test_when_ftp_is_over(web: BindProxy) -> None:
    """Bound while it was connected, too."""
    listener = socket.socket()
    with web.control():
        listener.bind(("", 0))
        told = listener.getsockname()
    with listener:
        listener.listen()
        assert listener.getsockname() == told
        _one_connection(listener)
    assert web.binds == 0


def test_who_goes_direct_is_called_directly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ftp, bind_proxy(bind_services=[ftp.getsockname()[1]]) as proxy:
        with socket.create_connection(ftp.getsockname()):
            by_hand("")
        assert proxy.binds == 0


@pytest.mark.parametrize("address", [SERVER, WEB])
def test_never(address: tuple[str, int]) -> None:
    with bind_proxy(bind="never") as proxy, proxy.control(address) as control:
        by_hand("")
        with socket.socket() as sock, pytest.raises(OSError, match="Cannot assign requested address"):
            sock.bind((control.getsockname()[0], 0))
        assert proxy.binds == 0


def test_always_is_after_a_connection_and_never_loopback() -> None:
    with bind_proxy(bind="always") as proxy:
        by_hand("")
        with proxy.control(WEB):
            by_hand("127.0.0.1")
            with socket.socket() as listener:
                listener.bind(("", 0))
                # The original's rule: any bind() after a connect() is for the proxy, its getsockname() too.
                assert listener.getsockname() == proxy.listening
            assert proxy.binds == 1
        by_hand("")


def test_always_from_another_thread() -> None:
    with bind_proxy(bind="always") as proxy, proxy.control(WEB):
        names: list[object] = []

        def listen() -> None:
            with socket.create_server(("", 0)) as listener:
                names.append(listener.getsockname())

        thread = threading.Thread(target=listen)
        thread.start()
        thread.join()
        assert names == [proxy.listening]


def test_which_services_call_back() -> None:
    with bind_proxy(bind_services=[2121]) as proxy:
        with proxy.control():
            by_hand("")
        with proxy.control((SERVER[0], 2121)), socket.create_server(("", 0)) as listener:
            assert listener.getsockname() == proxy.listening


def test_datagram_and_unix_sockets_bind_as_ever(web: BindProxy, tmp_path: Any) -> None:
    with web.control(), socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket(socket.AF_UNIX) as local:
        datagrams.bind(("", 0))
        assert datagrams.getsockname()[0] == "0.0.0.0"
        local.bind(str(tmp_path / "socket"))
        local.listen()
        assert local.getsockname() == str(tmp_path / "socket")
    assert web.binds == 0


@pytest.mark.parametrize("address", [("203.0.113.77", 0), ("127.0.0.1", -1), "x", ("127.0.0.1",), (1, 2), None])
def test_what_cannot_be_bound(web: BindProxy, address: Any) -> None:
    """The stdlib's own error, class and text."""
    with web.control(), socket.socket() as sock:
        outcomes = []
        for bind in (sock.bind, lambda address: _originals.bind(sock, address)):
            with pytest.raises((OSError, TypeError, OverflowError)) as raised:
                bind(address)
            outcomes.append((type(raised.value), str(raised.value).replace("socket.", "")))
        assert outcomes[0] == outcomes[1]
