"""The way to the first proxy: on the client's own socket where that can serve, else on a fresh one on its fd."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

import socksify
from socksify.tunnel.handshake import Handshake
from tests.support.bad_proxy import BadProxy
from tests.support.forwarder import forwarding, listen_ipv6
from tests.support.routing import routed
from tests.support.steps import good
from tests.support.targets import Target


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


@pytest.mark.parametrize("kind", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("only", [0, 1])
def test_the_clients_own_socket_reaches_an_ipv4_proxy(kind: int, only: int, echo_server: Target) -> None:
    host = "127.0.0.1" if kind == socket.AF_INET else "::1"
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()), socket.socket(kind) as sock:
        if kind == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        before = inode(sock)
        sock.connect((host, echo_server.port))
        assert inode(sock) == before


@pytest.mark.parametrize("address", [("::1", 0), ("::", 0)])
def test_an_ipv6_socket_that_is_bound_gets_a_fresh_one_if_it_has_to(
    address: tuple[str, int], echo_server: Target
) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()), socket.socket(socket.AF_INET6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        before = inode(sock)
        sock.connect(("::1", echo_server.port))
        # IPV6_V6ONLY cannot be cleared any more, RFC 3493 section 5.3.
        assert inode(sock) != before
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        sock.sendall(b"ping")
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"


def test_a_unix_socket_gets_a_fresh_one(tmp_path: Path, echo_server: Target) -> None:
    with (
        BadProxy(good("socks5h"), path=tmp_path / "proxy") as proxy,
        routed(proxy.url()),
        socket.socket() as sock,
    ):
        before = inode(sock)
        sock.connect(echo_server.address)
        assert inode(sock) != before


@pytest.mark.parametrize("timeout", [0.0, 5.0])
def test_a_unix_socket_with_no_room_refuses(timeout: float, tmp_path: Path) -> None:
    """connect(2), EAGAIN, which would be taken for a connect that is under way."""
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as crowd:
        listener.bind(str(tmp_path / "proxy"))
        listener.listen(0)
        for _ in range(4):
            stream = crowd.enter_context(socket.socket(socket.AF_UNIX))
            stream.setblocking(False)
            stream.connect_ex(str(tmp_path / "proxy"))
        with routed(f"socks5h://localhost{tmp_path}/proxy", routes=("*=proxy",)), socket.socket() as sock:
            sock.settimeout(timeout)
            with pytest.raises(socksify.ProxyConnectionRefusedError):
                sock.connect(("203.0.113.5", 80))


def test_a_proxy_on_ipv6_alone_is_reached_from_a_bound_ipv4_socket(echo_server: Target) -> None:
    """The address it is bound to means nothing on the way to that proxy."""
    with BadProxy(good("socks5h")) as inner:
        listener = listen_ipv6()
        url = f"socks5h://[::1]:{listener.getsockname()[1]}"
        with forwarding((inner.host, inner.port), listener) as peers, routed(url), socket.socket() as sock:
            sock.bind(("127.0.0.2", 0))
            sock.connect(echo_server.address)
            sock.sendall(b"ping")
            assert sock.recv(4, socket.MSG_WAITALL) == b"ping"
            assert len(peers) == 1


def test_a_handler_that_opens_the_tunnel_right_after_the_first_message_leaves_it_open(
    echo_server: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler may run between the system call that connects and writes, and the look whether it is over."""
    written = Handshake.has_written

    def interrupted(handshake: Handshake, count: int) -> None:
        written(handshake, count)
        sock.sendall(b"pi")

    monkeypatch.setattr(Handshake, "has_written", interrupted)
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.connect(echo_server.address)
        sock.sendall(b"ng")
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"
