"""connect() and its kin, through the servers that people run: what a client sees is what it sees without a proxy."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from socksify import _originals
from tests.support.bad_proxy import BadProxy
from tests.support.forwarder import forwarding, listen_ipv6, listen_unix
from tests.support.processes import free_port
from tests.support.routing import gone, routed
from tests.support.servers import Server
from tests.support.stepping import begin, stepping
from tests.support.steps import good
from tests.support.targets import Target

FAMILIES = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


def speaks(stream: socket.socket, words: bytes = b"ping") -> bool:
    """Whether an echo server is at the other end."""
    stream.settimeout(10)
    stream.sendall(words)
    with stream.makefile("rb") as lines:
        return lines.read(len(words)) == words


@pytest.mark.parametrize("timeout", [None, 5.0], ids=["blocking", "timeout"])
@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
def test_a_real_server_is_gone_through(
    proxy: Server, scheme: str, host: str, timeout: float | None, echo_server: Target
) -> None:
    with routed(proxy.url(scheme)), socket.socket(FAMILIES[host]) as sock:
        sock.settimeout(timeout)
        assert sock.connect((host, echo_server.port)) is None  # type: ignore[func-returns-value]
        assert sock.gettimeout() == timeout
        assert sock.getblocking()
        assert sock.getpeername()[:2] == (host, echo_server.port)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert speaks(sock)


@pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
def test_socks4_is_spoken_to_ssh(ssh_d: Server, scheme: str, echo_server: Target) -> None:
    with routed(ssh_d.url(scheme)), socket.create_connection(("127.0.0.1", echo_server.port), timeout=5) as sock:
        assert speaks(sock)


def test_a_password_is_given_where_it_is_asked_for(microsocks_with_password: Server, echo_server: Target) -> None:
    with routed(microsocks_with_password.url()), socket.create_connection(echo_server.address, timeout=5) as sock:
        assert speaks(sock)


@pytest.fixture(params=["IPv4", "IPv6", "Unix"])
def entrance(request: pytest.FixtureRequest, microsocks: Server, tmp_path: Path) -> Iterator[str]:
    """The URL of a way into a real proxy, over each kind of socket."""
    if request.param == "IPv4":
        yield microsocks.url()
        return
    listener = listen_ipv6() if request.param == "IPv6" else listen_unix(tmp_path / "proxy")
    path, port = (tmp_path / "proxy", 0) if request.param == "Unix" else ("", listener.getsockname()[1])
    with forwarding((microsocks.host, microsocks.port), listener):
        yield f"socks5h://localhost{path}" if path else f"socks5h://[::1]:{port}"


@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.parametrize("timeout", [None, 5.0], ids=["blocking", "timeout"])
def test_every_kind_of_socket_gets_through_every_kind_of_entrance(
    entrance: str, host: str, timeout: float | None, echo_server: Target
) -> None:
    kind = FAMILIES[host]
    with routed(entrance), socket.socket(kind) as sock:
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        fd = sock.fileno()
        sock.connect((host, echo_server.port))
        assert sock.fileno() == fd
        assert not sock.get_inheritable()
        assert (sock.family, sock.type, sock.proto) == (kind, socket.SOCK_STREAM, 0)
        assert sock.gettimeout() == timeout
        assert sock.getpeername()[:2] == (host, echo_server.port)
        assert len(sock.getpeername()) == len(sock.getsockname()) == (2 if kind == socket.AF_INET else 4)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == kind
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
        assert speaks(sock)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


@pytest.mark.parametrize("only", [0, 1])
def test_an_ipv6_socket_keeps_its_v6only(entrance: str, only: int, echo_server: Target) -> None:
    with routed(entrance), socket.socket(socket.AF_INET6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.connect(("::1", echo_server.port))
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == only
        assert speaks(sock)


def test_an_ipv6_socket_reaches_a_mapped_target(entrance: str, echo_server: Target) -> None:
    with routed(entrance), socket.socket(socket.AF_INET6) as sock:
        sock.connect(("::ffff:127.0.0.1", echo_server.port))
        assert sock.getpeername() == ("::ffff:127.0.0.1", echo_server.port, 0, 0)
        assert speaks(sock)


def test_a_source_address_is_kept_on_the_way_to_the_proxy(echo_server: Target) -> None:
    with (
        BadProxy(good("socks5")) as proxy,
        routed(proxy.url()),
        socket.create_connection(echo_server.address, timeout=5, source_address=("127.0.0.2", 0)) as sock,
    ):
        assert proxy.sessions[0].stream.getpeername()[0] == "127.0.0.2"
        assert speaks(sock)


def test_a_port_that_the_client_chose_is_the_one_that_it_goes_on_to_see(danted: Server, echo_server: Target) -> None:
    port = free_port()
    source = ("127.0.0.1", port)
    with routed(danted.url()), socket.create_connection(echo_server.address, 5, source) as sock, sock.dup() as copy:
        assert sock.getsockname()[1] == copy.getsockname()[1] == port
        assert speaks(sock)


@pytest.mark.parametrize("bind", ["auto", "never"])
def test_that_is_so_however_the_proxy_is_reached(entrance: str, bind: str, echo_server: Target) -> None:
    port = free_port()
    with routed(entrance, bind=bind), socket.create_connection(echo_server.address, 5, ("127.0.0.1", port)) as sock:
        assert sock.getsockname()[1] == port


@pytest.mark.parametrize("source", [None, ("127.0.0.1", 0)])
def test_any_other_port_is_the_one_that_the_server_sees(danted: Server, source: tuple[str, int] | None) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        routed(danted.url()),
        socket.create_connection(listener.getsockname(), 5, source) as sock,
    ):
        accepted, peer = listener.accept()
        accepted.close()
        assert sock.getsockname() == peer


@pytest.mark.parametrize("kind", [socket.AF_INET, socket.AF_INET6])
def test_the_peer_of_a_socket_that_blocks_again_is_known_once_it_was_accepted(danted: Server, kind: int) -> None:
    """So is the stdlib's socketpair() made where there is none; the proxy answers after the server's accept()."""
    host = "127.0.0.1" if kind == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=kind) as listener, routed(danted.url()):
        for _ in range(20):
            with socket.socket(kind) as sock:
                sock.setblocking(False)
                with pytest.raises(BlockingIOError):
                    sock.connect(listener.getsockname()[:2])
                sock.setblocking(True)
                accepted, peer = listener.accept()
                accepted.close()
                assert (sock.getpeername(), sock.getsockname()) == (listener.getsockname(), peer)


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_pending_socket_has_no_peer(timeout: float) -> None:
    with stepping() as steps, socket.socket() as sock:
        begin(sock)
        sock.settimeout(timeout)
        with pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN
        steps.run()


@pytest.mark.parametrize("kind", [socket.AF_INET, socket.AF_INET6])
def test_a_bound_socket_gets_through(entrance: str, kind: int, echo_server: Target) -> None:
    host = "127.0.0.1" if kind == socket.AF_INET else "::1"
    with routed(entrance), socket.create_connection((host, echo_server.port), 5, (host, 0)) as sock:
        assert sock.getpeername()[:2] == (host, echo_server.port)
        assert speaks(sock)


def test_options_that_a_unix_socket_has_not_are_stored(tmp_path: Path, echo_server: Target) -> None:
    with (
        BadProxy(good("socks5"), path=tmp_path / "proxy") as proxy,
        routed(proxy.url()),
        socket.create_connection(echo_server.address, timeout=5) as sock,
    ):
        for name, value in [(socket.TCP_NODELAY, 1), (socket.TCP_KEEPIDLE, 77), (socket.TCP_QUICKACK, 0)]:
            sock.setsockopt(socket.IPPROTO_TCP, name, value)
            assert sock.getsockopt(socket.IPPROTO_TCP, name) == value
            assert sock.getsockopt(socket.IPPROTO_TCP, name, 4) == value.to_bytes(4, "little")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, (1).to_bytes(4, "little"))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 16)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 16
        with pytest.raises(OSError):
            sock.setsockopt(socket.SOL_SOCKET, 4711, 1)
        assert speaks(sock)


def test_connect_ex_tells_the_errno(echo_server: Target) -> None:
    with (
        BadProxy(good("socks5"), good("socks5", reply=5), good("socks5", reply=2)) as proxy,
        routed(proxy.url()),
        socket.socket() as sock,
    ):
        assert sock.connect_ex(echo_server.address) == 0
        assert sock.connect_ex(echo_server.address) == errno.EISCONN
        for number in (errno.ECONNREFUSED, errno.EACCES):
            with socket.socket() as sock:
                assert sock.connect_ex(echo_server.address) == number


def test_connect_ex_of_a_proxy_that_is_not_there(echo_server: Target) -> None:
    with routed(f"socks5h://127.0.0.1:{free_port()}"), socket.socket() as sock:
        assert sock.connect_ex(echo_server.address) == errno.ECONNREFUSED


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_connected_socket_says_so(timeout: float | None, echo_server: Target) -> None:
    with BadProxy(good("socks5")) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.settimeout(timeout)
        sock.connect(echo_server.address)
        for address in (echo_server.address, ("127.0.0.1", 1)):
            with pytest.raises(OSError) as caught:
                sock.connect(address)
            assert caught.value.errno == errno.EISCONN
        assert speaks(sock)


FAILURES = {"refused": good("socks5", reply=5), "closed": good("socks5")[:1]}


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("failure", FAILURES)
def test_after_a_failure_the_socket_is_as_good_as_new(timeout: float | None, failure: str, echo_server: Target) -> None:
    with BadProxy(FAILURES[failure], good("socks5")) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.set_inheritable(True)
        fd = sock.fileno()
        with pytest.raises(ConnectionError):
            sock.connect(echo_server.address)
        with pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN
        sock.connect(echo_server.address)
        assert (sock.fileno(), sock.gettimeout(), sock.get_inheritable()) == (fd, timeout, True)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert speaks(sock)


@pytest.mark.parametrize("kind", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("unix", [False, True], ids=["IPv4", "Unix"])
def test_options_survive_a_failure_whatever_the_proxy_is_reached_by(
    kind: int, unix: bool, tmp_path: Path, echo_server: Target
) -> None:
    scripts = good("socks5", reply=5), good("socks5")
    host = "127.0.0.1" if kind == socket.AF_INET else "::1"
    with (
        BadProxy(*scripts, path=tmp_path / "proxy" if unix else None) as proxy,
        routed(proxy.url()),
        socket.socket(kind) as sock,
    ):
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        if kind == socket.AF_INET6:
            options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1))
        for option in options:
            sock.setsockopt(*option)
        with pytest.raises(ConnectionRefusedError):
            sock.connect((host, echo_server.port))
        assert [sock.getsockopt(*option[:2]) for option in options] == [1] * len(options)
        sock.connect((host, echo_server.port))
        assert [sock.getsockopt(*option[:2]) for option in options] == [1] * len(options)
        assert speaks(sock)


def test_a_failed_socket_may_go_elsewhere_directly(echo_server: Target) -> None:
    routes = ("127.0.0.1=direct", "127.0.0.0/8=proxy")
    with (
        BadProxy(good("socks5", reply=5)) as proxy,
        routed(proxy.url(), routes=routes),
        socket.socket() as sock,
        pytest.raises(ConnectionRefusedError),
    ):
        sock.connect(("127.0.0.3", echo_server.port))
        sock.connect(echo_server.address)
        assert sock.getpeername() == echo_server.address
        assert speaks(sock)
        assert len(proxy.sessions) == 1


def _has_peer(sock: socket.socket) -> bool:
    try:
        _originals.getpeername(sock)
    except OSError:
        return False
    return True


def test_getpeername_is_the_kernels_once_the_connection_is_over(echo_server: Target) -> None:
    with (
        BadProxy([*good("socks5")[:4], *good("socks5")[4:5]]) as proxy,
        routed(proxy.url()),
        socket.create_connection(echo_server.address, timeout=5) as sock,
    ):
        sock.shutdown(socket.SHUT_RDWR)
        # Until the proxy's FIN has come the kernel still knows the peer.
        gone(lambda: _has_peer(sock))
        with pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN


@pytest.mark.parametrize(
    "arguments",
    [(), (1,), (1, 2), (1, 2, None), (1, 2, {}), (1, 2, 1.5), (1, 2, 3, 4), (1, 2, None, "x"), (1, 2, 3, 4, 5)],
    ids=str,
)
def test_wrong_options_are_refused_in_the_words_of_c(
    microsocks: Server, echo_server: Target, arguments: tuple[Any, ...]
) -> None:
    with routed(microsocks.url()), socket.create_connection(echo_server.address, timeout=5) as sock:
        with pytest.raises(TypeError) as native:
            _originals.setsockopt(sock, *arguments)
        with pytest.raises(TypeError) as ours:
            sock.setsockopt(*arguments)
    assert str(ours.value) == str(native.value)
