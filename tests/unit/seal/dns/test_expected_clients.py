"""Which connections to our own responder come from the tree."""

from __future__ import annotations

import socket

import pytest

from socksify import _originals
from socksify.seal.dns import expected_clients
from socksify.seal.dns.expected_clients import ExpectedClients


def test_a_connection_is_expected_once() -> None:
    clients = ExpectedClients()
    with socket.create_server(("127.0.0.1", 0)) as server:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")):
            sock = _originals.Socket(family, socket.SOCK_STREAM)
            try:
                _originals.connect(sock, (host, server.getsockname()[1]))
                clients.expect(sock)
            finally:
                sock.close()
            accepted, client = server.accept()
            accepted.close()
            assert [clients.take(client), clients.take(client)] == [True, False]


def test_a_socket_that_is_closed_is_not_expected() -> None:
    sock = _originals.Socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.close()
    clients = ExpectedClients()
    clients.expect(sock)
    assert not clients.take(("127.0.0.1", 1))


def test_the_connections_that_were_never_accepted_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_clients, "_MOST", 1)
    clients = ExpectedClients()
    socks = [_originals.Socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(2)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
            clients.expect(sock)
        assert [clients.take(sock.getsockname()) for sock in socks] == [False, True]
    finally:
        for sock in socks:
            sock.close()
