"""The servers under test are themselves tested: a fixture that does not relay would fail its users in riddles."""

from __future__ import annotations

import socket

import pytest

from tests.support import servers
from tests.support.servers import Server
from tests.support.streams import receive
from tests.support.targets import Target


def echoed(server: Server, host: str, port: int) -> bytes:
    """What comes back of "ping" through the SOCKS5 server; the messages are RFC 1928's and RFC 1929's, by hand."""
    with socket.create_connection((server.host, server.port), timeout=10) as stream:
        method = b"\x00" if server.user is None else b"\x02"
        stream.sendall(b"\x05\x01" + method)
        assert receive(stream, 2) == b"\x05" + method
        if server.user is not None and server.password is not None:
            user, password = server.user.encode(), server.password.encode()
            stream.sendall(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
            assert receive(stream, 2) == b"\x01\x00"
        address = b"\x04" + socket.inet_pton(socket.AF_INET6, host) if ":" in host else b"\x01" + socket.inet_aton(host)
        stream.sendall(b"\x05\x01\x00" + address + port.to_bytes(2))
        head = receive(stream, 4)
        assert head[:2] == b"\x05\x00"
        receive(stream, {1: 6, 4: 18}[head[3]])
        stream.sendall(b"ping")
        return receive(stream, 4)


def test_every_server_relays(proxy: Server, echo_server: Target) -> None:
    assert echoed(proxy, *echo_server.address) == b"ping"


def test_every_server_relays_to_ipv6(proxy: Server, echo_server: Target) -> None:
    assert echoed(proxy, "::1", echo_server.port) == b"ping"


@pytest.mark.parametrize("fixture", ["danted6", "danted_with_password", "microsocks_with_password"])
def test_variants_relay(fixture: str, request: pytest.FixtureRequest, echo_server: Target) -> None:
    assert echoed(request.getfixturevalue(fixture), *echo_server.address) == b"ping"


def test_url_carries_the_credentials(microsocks: Server) -> None:
    with_credentials = Server("x", "::1", 1080, microsocks.log, "alice", "open sesame")
    assert with_credentials.url("socks5") == "socks5://alice:open%20sesame@[::1]:1080"
    assert microsocks.url() == f"socks5h://127.0.0.1:{microsocks.port}"


def test_a_server_that_will_not_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "require", lambda _: "/bin/false")
    with pytest.raises(RuntimeError, match="microsocks did not start"), servers.microsocks():
        pass


def test_a_server_ends_with_its_block() -> None:
    with servers.microsocks() as server:
        address = server.host, server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
