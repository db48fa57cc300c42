"""The metrics, asked for by HTTP."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from socksify.server.core.loop import Loop
from socksify.server.net.listeners import listen
from socksify.server.operation.metrics import CONTENT_TYPE, serve_metrics
from tests.support.streams import receive_all
from tests.unit.server.loops import running_loop


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    def make(loop: Loop) -> tuple[str, int]:
        listener = listen(loop, "127.0.0.1", 0)
        serve_metrics(loop, listener, lambda: "sockd_sessions 3\n")
        name: tuple[str, int] = listener.getsockname()
        return name

    with running_loop(make) as address:
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


def request(address: tuple[str, int], head: str) -> bytes:
    with socket.create_connection(address, 10) as stream:
        stream.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n")
        return receive_all(stream)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:9108", "localhost.", "127.0.0.1", "127.0.0.1:9108", "127.9.9.9:1", "[::1]", "[::1]:9108"],
)
def test_this_machine_s_own_names_are_answered(address: tuple[str, int], host: str) -> None:
    assert request(address, f"GET /metrics HTTP/1.1\nhOST:  {host} ").endswith(b"\r\n\r\nsockd_sessions 3\n")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9108",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example, localhost",
        "[::1].evil.example:80",
        "[2001:db8::1]",
        "192.0.2.1",
        "",
        "\u00e9vil",
    ],
)
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_other_people_s_names_are_not(address: tuple[str, int], host: str, version: str) -> None:
    """Such names belong to web pages whose names resolve to a loopback address."""
    answer = request(address, f"GET /metrics {version}\nAccept: */*\nHost: {host}")
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"sockd_sessions" not in answer


@pytest.mark.parametrize(
    "fields", ["", "\nHost: localhost\nHost: evil.example", "\nHost : evil.example", "\nX: localhost"]
)
def test_one_host_is_named(address: tuple[str, int], fields: str) -> None:
    assert request(address, f"GET /metrics HTTP/1.1{fields}").startswith(b"HTTP/1.1 400 ")


def test_http_1_0_had_no_host(address: tuple[str, int]) -> None:
    assert request(address, "GET /metrics HTTP/1.0").endswith(b"sockd_sessions 3\n")
