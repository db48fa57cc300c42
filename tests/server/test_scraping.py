"""The metrics, as HTTP clients ask for them."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from socksify.server.listening import listen
from socksify.server.loop import Loop
from socksify.server.metrics import CONTENT_TYPE
from socksify.server.scraping import scraping
from tests.server.turning import turning


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    def make(loop: Loop) -> tuple[str, int]:
        listener = listen(loop, "127.0.0.1", 0)
        scraping(loop, listener, lambda: "sockd_sessions 3\n")
        name: tuple[str, int] = listener.getsockname()
        return name

    with turning(make) as address:
        yield address


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/metrics", 200, b"sockd_sessions 3\n"),
        ("GET", "/metrics?name=x", 200, b"sockd_sessions 3\n"),
        ("HEAD", "/metrics", 200, b""),
        ("GET", "/", 404, b"The metrics are at /metrics.\n"),
        ("GET", "/metricsandmore", 404, b"The metrics are at /metrics.\n"),
        ("POST", "/metrics", 405, b""),
    ],
)
def test_requests(address: tuple[str, int], method: str, path: str, status: int, body: bytes) -> None:
    client = http.client.HTTPConnection(*address, timeout=10)
    client.request(method, path)
    response = client.getresponse()
    assert (response.status, response.read()) == (status, body)
    assert response.getheader("Connection") == "close"
    if method == "HEAD":
        assert response.getheader("Content-Length") == "17"
    assert response.getheader("Content-Type") == CONTENT_TYPE
    client.close()


def test_what_is_no_http_is_answered_too(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as stream:
        stream.sendall(b"\x05\x01\x00\r\n\r\n")
        assert stream.recv(64).startswith(b"HTTP/1.1 405 ")
