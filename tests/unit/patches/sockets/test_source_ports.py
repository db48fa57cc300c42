"""One source port may lead to several hosts: the way to the proxy has ports of its own."""

from __future__ import annotations

import contextlib
import errno
import http.client
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.processes import free_port
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import good
from tests.support.targets import Target

REFUSAL = good("socks5h", reply=5)


@pytest.fixture(params=["IPv4", "IPv6", "Unix"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A proxy that is reached by each family."""
    if request.param == "IPv4":
        yield request.getfixturevalue("danted").url()
    elif request.param == "IPv6":
        yield request.getfixturevalue("danted6").url()
    else:
        with BadProxy(good("socks5h"), path=tmp_path / "proxy") as proxy:
            yield proxy.url()


def speaks(sock: socket.socket) -> bool:
    sock.settimeout(10)
    sock.sendall(b"ping")
    return sock.recv(4, socket.MSG_WAITALL) == b"ping"


def bound(port: int, option: int = socket.SO_REUSEPORT, host: str = "", family: int = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind((host, port))
    return sock


def blocking(sock: socket.socket, address: tuple[str, int]) -> None:
    sock.connect(address)


def with_timeout(sock: socket.socket, address: tuple[str, int]) -> None:
    sock.settimeout(10)
    sock.connect(address)


def without_waiting(sock: socket.socket, address: tuple[str, int]) -> None:
    sock.setblocking(False)
    assert sock.connect_ex(address) == errno.EINPROGRESS
    assert sock.getsockname()[1]
    assert select.select([], [sock], [], 10)[1] == [sock]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


WAYS = [blocking, with_timeout, without_waiting]
Way = Callable[[socket.socket, tuple[str, int]], None]


@pytest.mark.parametrize("connect", WAYS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_at_once_to_several_hosts(connect: Way, family: int, url: str, echo_server: Target) -> None:
    port = free_port()
    host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
    with routed(url), contextlib.ExitStack() as stack:
        targets = [(host, echo_server.port), ("localhost", echo_server.port)]
        # Linux lets no other one be bound once an IPv6 socket is connected.
        socks = [stack.enter_context(bound(port, family=family)) for _ in targets]
        for sock, target in zip(socks, targets, strict=True):
            connect(sock, target)
            assert sock.getsockname()[1] == port
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1
            assert speaks(sock)


@pytest.mark.parametrize("connect", WAYS)
def test_one_after_another(connect: Way, danted: Server, echo_server: Target) -> None:
    """The client has closed first: the port is in TIME_WAIT, in which it leads to other hosts, natively."""
    port = free_port()
    with routed(danted.url()):
        for name in ("127.0.0.1", "localhost"):
            with bound(port, socket.SO_REUSEADDR) as sock:
                connect(sock, (name, echo_server.port))
                assert sock.getsockname()[1] == port
                assert speaks(sock)


def test_the_host_is_kept(echo_server: Target) -> None:
    port = free_port()
    with (
        BadProxy(good("socks5h")) as proxy,
        routed(proxy.url()),
        bound(port, host="127.0.0.2") as one,
        bound(port, host="127.0.0.2") as other,
    ):
        one.connect(echo_server.address)
        other.connect(("localhost", echo_server.port))
        peers = [session.stream.getpeername() for session in proxy.sessions]
        assert [host for host, _ in peers] == ["127.0.0.2"] * 2
        assert peers[0][1] == port != peers[1][1]
        assert one.getsockname()[1] == other.getsockname()[1] == port


def test_the_same_host_twice_is_refused_as_natively(danted: Server, echo_server: Target) -> None:
    port = free_port()
    with bound(port) as one, bound(port) as other:
        one.connect(echo_server.address)
        native = other.connect_ex(echo_server.address)
    port = free_port()
    with routed(danted.url()), bound(port) as one, bound(port) as other:
        one.connect(echo_server.address)
        with pytest.raises(OSError, match=r"another connection to 127\.0\.0\.1") as caught:
            other.connect(echo_server.address)
        assert caught.value.errno == native == errno.EADDRNOTAVAIL
        assert speaks(one)
        # It is good for another one.
        other.connect(("localhost", echo_server.port))
        assert speaks(other)


@pytest.mark.parametrize("host", ["", "127.0.0.2"])
def test_what_was_chosen_outlives_a_failure(host: str, echo_server: Target) -> None:
    port = free_port()
    with BadProxy(REFUSAL, good("socks5h")) as proxy, routed(proxy.url()), bound(port, host=host) as sock:
        with pytest.raises(ConnectionRefusedError):
            sock.connect(echo_server.address)
        assert sock.getsockname()[1] == port
        sock.connect(echo_server.address)
        assert sock.getsockname()[1] == port
        peer = proxy.sessions[1].stream.getpeername()
        assert peer[0] == (host or "127.0.0.1")
        assert speaks(sock)


def test_no_port_before_connect(danted: Server, echo_server: Target) -> None:
    """ip(7), IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect(), and may be that of others."""
    option = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
    with routed(danted.url()), contextlib.ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.IPPROTO_IP, option, 1)
            sock.bind(("127.0.0.1", 0))
            assert sock.getsockname() == ("127.0.0.1", 0)
            sock.connect(echo_server.address)
            assert sock.getsockname()[1]
            assert sock.getsockopt(socket.IPPROTO_IP, option) == 1
            assert speaks(sock)


def test_the_standard_librarys_source_addresses(danted: Server, http_server: Target, echo_server: Target) -> None:
    port = free_port()
    with routed(danted.url()):
        with socket.create_connection(echo_server.address, 10, ("127.0.0.1", port)) as sock:
            assert sock.getsockname()[1] == port
        connection = http.client.HTTPConnection("127.0.0.1", http_server.port, 10, ("127.0.0.1", free_port()))
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
