"""Targets for the clients under test: an echo server and an HTTP server, threaded, on loopback."""

from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from tests.support.processes import free_port

PAGE = b"hello from the target\n"
AnyServer = TypeVar("AnyServer", bound=socketserver.BaseServer)


@dataclass(frozen=True)
class Target:
    """A server on `port` of each of `hosts`. The first host is the IPv4 address."""

    port: int
    hosts: tuple[str, ...]

    @property
    def host(self) -> str:
        return self.hosts[0]

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def url(self) -> str:
        """The HTTP server's base URL with the IPv4 address."""
        return f"http://{self.host}:{self.port}"


class Echo(socketserver.BaseRequestHandler):
    """Sends everything back. After a half-close, it closes when the last byte was sent."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


class Page(http.server.BaseHTTPRequestHandler):
    """Answers GET with `PAGE`, and POST with the posted body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(PAGE)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing into the output of pytest."""


class Server4(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    # Tests make thousands of connections; Linux limits this number to net.core.somaxconn.
    request_queue_size = 4096

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors: many tests close connections on purpose."""


class Server6(Server4):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def serve(handler: type[socketserver.BaseRequestHandler]) -> Iterator[Target]:
    """Serve on a port of 127.0.0.1 and, if the machine has IPv6, of ::1."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(serving(Server4(("127.0.0.1", free_port()), handler)))
        port: int = first.server_address[1]
        hosts = ["127.0.0.1"]
        if _has_ipv6():
            stack.enter_context(serving(Server6(("::1", port), handler)))
            hosts.append("::1")
        yield Target(port, tuple(hosts))


@contextlib.contextmanager
def serving(server: AnyServer) -> Iterator[AnyServer]:
    """Serve in a thread for the length of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True
