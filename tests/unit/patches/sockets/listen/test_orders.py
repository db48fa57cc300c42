"""What the proxy is asked for, in both orders of listen() and getsockname(), and through every kind of proxy."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.bind_proxy import (
    ANYWHERE,
    NAME,
    OUTSIDE,
    OUTSIDE6,
    PEER,
    SERVER,
    BindProxy,
    bind_proxy,
)
from tests.support.proxy_listeners import accepted, echoes
from tests.support.routing import routed
from tests.support.steps import good

SCHEMES = ["socks5", "socks5h", "socks4", "socks4a"]


# --- what is asked, and both orders ---


def test_bind_getsockname_listen_accept(proxy: BindProxy, control: socket.socket) -> None:
    """The original's order; the socket is bound to an address that only the proxy has."""
    with socket.socket() as listener:
        listener.bind((control.getsockname()[0], 0))
        assert listener.getsockname() == proxy.listening == (OUTSIDE, 40001)
        listener.listen(1)
        assert proxy.binds == 1
        with accepted(listener, proxy) as stream:
            assert echoes(stream)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("told_first", [True, False], ids=["getsockname, listen", "listen, getsockname"])
def test_the_originals_order_under_always(scheme: str, told_first: bool) -> None:
    with bind_proxy(scheme, bind="always") as proxy, proxy.control(), socket.socket() as listener:
        listener.bind(("", 0))
        if told_first:
            assert listener.getsockname() == (OUTSIDE, 40001)
        listener.listen(1)
        assert listener.getsockname() == (OUTSIDE, 40001)
        assert proxy.binds == 1
        with accepted(listener, proxy) as stream:
            assert echoes(stream)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bind_listen_getsockname_accept(scheme: str) -> None:
    with bind_proxy(scheme) as proxy, proxy.control() as control, socket.socket() as listener:
        listener.bind(("", 0))
        local = listener.getsockname()
        assert local[0] == "0.0.0.0" and proxy.binds == 0
        listener.listen(1)
        assert listener.getsockname() == proxy.listening == (OUTSIDE, 40001)
        # What FTP's client tells its server: this host, and the listener's port.
        assert control.getsockname()[0] == OUTSIDE
        with accepted(listener, proxy) as stream:
            assert (stream.getsockname(), stream.getpeername()) == (proxy.listening, PEER)
            assert echoes(stream)


def test_listen_without_bind(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
    with socket.socket() as listener:
        listener.listen()
        assert listener.getsockname() == proxy.listening


@pytest.mark.parametrize(
    ("scheme", "target", "request_"),
    [
        ("socks5", SERVER, b"\x05\x02\x00\x01" + socket.inet_aton(SERVER[0]) + b"\0\0"),
        ("socks5h", NAME, b"\x05\x02\x00\x03\x0eserver.example\0\0"),
        (
            "socks5",
            ("2001:db8::5", 21),
            b"\x05\x02\x00\x04" + socket.inet_pton(socket.AF_INET6, "2001:db8::5") + b"\0\0",
        ),
        ("socks4", SERVER, b"\x04\x02\0\0" + socket.inet_aton(SERVER[0])),
        ("socks4a", NAME, b"\x04\x02\0\0\0\0\0\x01"),
    ],
)
def test_the_proxy_is_asked_for_the_peer_of_the_connection(
    scheme: str, target: tuple[str, int], request_: bytes
) -> None:
    with bind_proxy(scheme) as proxy, proxy.control(target), socket.create_server(("", 0)):
        asked = bytes(proxy.proxy.sessions[1].received)
        assert asked.removeprefix(b"\x05\x01\x00").startswith(request_)
        assert scheme != "socks4a" or asked.endswith(b"\0server.example\0")


def test_several_servers_of_one_thread_may_all_call(proxy: BindProxy) -> None:
    with proxy.control(), proxy.control(("203.0.113.6", 21)), socket.create_server(("", 0)):
        assert bytes(proxy.proxy.sessions[2].received[3:]) == b"\x05\x02\x00\x01\0\0\0\0\0\0"


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_the_address_may_be_bytes(proxy: BindProxy, control: socket.socket, kind: type) -> None:
    with socket.socket() as listener:
        listener.bind((kind(control.getsockname()[0].encode()), 0))
        listener.listen()
        assert listener.getsockname() == proxy.listening


def test_a_port_that_only_the_proxy_has(proxy: BindProxy, control: socket.socket) -> None:
    with socket.socket() as listener:
        listener.bind((control.getsockname()[0], 4321))
        listener.listen()
        assert bytes(proxy.proxy.sessions[1].received[-2:]) == (4321).to_bytes(2, "big")
        assert listener.getsockname() == proxy.listening


def test_rsh_binds_reserved_ports_by_number(proxy: BindProxy) -> None:
    with proxy.control((SERVER[0], 514)), socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = next(port for port in range(1023, 511, -1) if _binds(listener, port))
        listener.listen()
        assert bytes(proxy.proxy.sessions[1].received[-2:]) == port.to_bytes(2, "big")
        # Where rsh is told to call, and where the proxy listens, whatever it was asked for.
        assert listener.getsockname() == proxy.listening
        proxy.come()
        stream, _ = listener.accept()
        with stream:
            assert stream.getsockname()[1] != port


def _binds(sock: socket.socket, port: int) -> bool:
    try:
        sock.bind(("", port))
    except PermissionError:
        pytest.skip("NOT TESTED: only root binds reserved ports")
    except OSError:
        return False
    return True


def test_ipv6(proxy: BindProxy) -> None:
    with proxy.control(), socket.create_server(("::", 0), family=socket.AF_INET6) as listener:
        assert listener.getsockname() == (f"::ffff:{OUTSIDE}", 40001, 0, 0)
        proxy.come()
        stream, peer = listener.accept()
        with stream:
            assert peer == stream.getpeername() == (f"::ffff:{PEER[0]}", PEER[1], 0, 0)
            assert stream.family == socket.AF_INET6 and echoes(stream)


def test_ipv6_all_the_way() -> None:
    with (
        bind_proxy(outside=OUTSIDE6) as proxy,
        proxy.control(("2001:db8::5", 21)) as control,
        socket.create_server(("", 0), family=socket.AF_INET6) as listener,
    ):
        assert listener.getsockname() == (OUTSIDE6, 40001, 0, 0)
        assert control.getsockname()[0] == OUTSIDE6
        proxy.come(peer=("2001:db8::5", 20))
        stream, peer = listener.accept()
        with stream:
            assert peer == ("2001:db8::5", 20, 0, 0) and echoes(stream)


def test_a_unix_socket_proxy(tmp_path: Path) -> None:
    with bind_proxy(path=tmp_path / "proxy") as proxy, proxy.control(), socket.create_server(("", 0)) as listener:
        for _ in range(2):
            assert listener.getsockname() == proxy.listening
            with accepted(listener, proxy) as stream:
                assert stream.family == socket.AF_INET and echoes(stream)


def test_through_a_chain() -> None:
    """The last proxy listens; those before are asked to connect."""
    last = BindProxy("socks5")
    with (
        BadProxy(good("socks5")) as first,
        last.proxy,
        routed(first.url("socks5"), last.url, routes=ANYWHERE),
        last.control(),
        socket.create_server(("", 0)) as listener,
    ):
        assert [session.received[4] for session in first.sessions] == [1, 1]
        assert listener.getsockname() == last.listening
        with accepted(listener, last) as stream:
            assert echoes(stream)


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
def test_address_zero_is_the_proxys_own(scheme: str) -> None:
    with (
        bind_proxy(scheme, outside="0.0.0.0") as proxy,
        proxy.control() as control,
        socket.create_server(("", 0)) as listener,
    ):
        assert listener.getsockname() == ("127.0.0.1", 40001)
        assert control.getsockname()[0] == "127.0.0.1"
