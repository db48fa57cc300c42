"""The negotiation may come in any pieces. A client that may not come in, or does not speak SOCKS, is dismissed."""

from __future__ import annotations

import socket

import pytest

from tests.support.streams import receive, receive_all
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.running import Running


@pytest.mark.parametrize(("version", "host"), client.VERSIONS)
def test_byte_by_byte(version: int, host: str, running: Running, echo_server: Target) -> None:
    stream = running.connect()
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if version == 5:
        message = client.GREETING + client.request5(host, echo_server.port)
    else:
        message = client.request4(host, echo_server.port)
    for byte in message:
        stream.sendall(bytes([byte]))
    if version == 5:
        assert receive(stream, 2) == b"\x05\x00"
        assert client.reply5(stream)[0] == 0
    else:
        assert client.reply4(stream) == 90
    stream.sendall(b"x")
    assert receive(stream, 1) == b"x"


def test_everything_in_one_segment(guarded: Running, echo_server: Target) -> None:
    """Greeting, credentials, request and data in one piece, which takes one round trip."""
    stream = guarded.connect()
    secret = client.credentials(b"alice", b"open sesame")
    stream.sendall(b"\x05\x02\x00\x02" + secret + client.request5(*echo_server.address) + b"ping")
    assert receive(stream, 4) == b"\x05\x02\x01\x00"
    assert client.reply5(stream)[0] == 0
    assert receive(stream, 4) == b"ping"


def test_wrong_credentials_are_refused(guarded: Running) -> None:
    stream = guarded.connect()
    stream.sendall(b"\x05\x01\x02")
    assert receive(stream, 2) == b"\x05\x02"
    stream.sendall(client.credentials(b"alice", b"guess"))
    assert receive_all(stream) == b"\x01\x01"
    stream.close()
    report = guarded.report()
    assert (report.outcome, report.user) == ("rejected", None)
    assert "guess" not in repr(report)


@pytest.mark.parametrize(
    ("message", "answer"),
    [(client.GREETING, b"\x05\xff"), (client.request4("127.0.0.1", 9), b"\0\x5b\0\0\0\0\0\0")],
)
def test_no_client_gets_in_without_credentials(message: bytes, answer: bytes, guarded: Running) -> None:
    stream = guarded.connect()
    stream.sendall(message)
    assert receive_all(stream) == answer


def test_an_address_type_that_there_is_not(running: Running) -> None:
    stream = running.connect()
    stream.sendall(client.GREETING)
    receive(stream, 2)
    stream.sendall(b"\x05\x01\x00\x09\x00\x00\x00\x00")
    assert client.reply5(stream)[0] == 8


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00", b"\x16\x03\x01\x02\x00" * 100])
def test_something_else_is_not_answered(noise: bytes, running: Running) -> None:
    stream = running.connect()
    stream.sendall(noise)
    assert receive_all(stream) == b""
    stream.close()
    report = running.report()
    assert report.outcome == "garbled"
    assert "expected SOCKS version 4 or 5" in report.detail


@pytest.mark.parametrize("said", [b"", b"\x05", b"\x05\x01", b"\x05\x01\x00\x05\x01\x00\x03\x50www", b"\x04\x01\x00"])
def test_a_client_that_leaves_early(said: bytes, running: Running) -> None:
    with running.connect() as stream:
        stream.sendall(said)
        stream.shutdown(socket.SHUT_WR)
        # Unread data would turn the close into a reset.
        receive_all(stream)
    assert running.report().outcome == "left"


def test_a_client_that_resets(running: Running) -> None:
    with running.connect() as stream:
        stream.sendall(b"\x05")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert running.report().outcome == "left"


def test_a_silent_client_is_let_go(running: Running) -> None:
    running.limit(handshake_seconds=0.1)
    assert receive_all(running.connect()) == b""
    assert running.report().outcome == "timeout"


def test_credentials_byte_by_byte(guarded: Running, echo_server: Target) -> None:
    stream = guarded.connect()
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"\x05\x01\x02" + client.credentials(b"alice", b"open sesame") + client.request5(*echo_server.address):
        stream.sendall(bytes([byte]))
    assert receive(stream, 4) == b"\x05\x02\x01\x00"
    assert client.reply5(stream)[0] == 0


SECRET = b"hunter2-"


@pytest.mark.parametrize(
    "said",
    [
        b"\x04\x01\x00\x50\x7f\x00\x00\x01" + SECRET * 40,
        # A SOCKS4A name that never ends, a SOCKS5 name with a null in it, and an empty one.
        b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00" + SECRET * 40,
        b"\x05\x01\x00\x05\x01\x00\x03\x09\x00" + SECRET + b"\x00\x50",
        b"\x05\x01\x00\x05\x01\x00\x03\x00" + SECRET,
        # RFC 1929 in another version, in the wrong place, or without having been chosen.
        b"\x05\x01\x02\x05\x02me\x08" + SECRET,
        b"\x01\x02me\x08" + SECRET,
        b"\x05\x01\x00\x01\x02me\x08" + SECRET,
        b"\x05\x01\x00\x05\x01\x00\x07" + SECRET * 2,
        b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic " + SECRET + b"\r\n\r\n",
    ],
)
def test_nothing_that_may_be_a_secret_is_told(said: bytes, running: Running, guarded: Running) -> None:
    for server in (running, guarded):
        with server.connect() as stream:
            stream.sendall(said)
            stream.shutdown(socket.SHUT_WR)
            assert SECRET[:4].decode() not in repr(server.report())


def test_wrong_passwords_and_claims_are_not_told(guarded: Running, running: Running) -> None:
    with guarded.connect() as stream:
        stream.sendall(b"\x05\x01\x02" + client.credentials(SECRET, SECRET))
        stream.shutdown(socket.SHUT_WR)
        assert SECRET[:4].decode() not in repr(guarded.report())
    with running.connect() as stream:
        stream.sendall(b"\x04\x09\x00\x50\x7f\x00\x00\x01" + SECRET + b"\x00")
        stream.shutdown(socket.SHUT_WR)
        assert SECRET[:4].decode() not in repr(running.report())
