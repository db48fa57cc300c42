"""Failures and ends: wrong peers, proxies that refuse or vanish, closes, forks, uninstall()."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from errno import ECONNREFUSED, EOPNOTSUPP
from typing import Any

import pytest

import socksify
from socksify.tunnel.registry import registry
from tests.support.bad_proxy import BadProxy
from tests.support.bind_proxy import (
    ANYWHERE,
    OUTSIDE,
    SERVER,
    STRANGER,
    BindProxy,
    bind_proxy,
    refuse,
    reply,
)
from tests.support.proxy_listeners import MOMENT, accepted, echoes
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import CLOSE, HANG, READ_HTTP, RESET, Send, http_reply
from tests.support.targets import Target

# --- failures ---


@pytest.mark.parametrize(("scheme", "code"), [("socks5", 2), ("socks5", 1), ("socks4", 91)])
def test_the_wrong_peer(scheme: str, code: int) -> None:
    with bind_proxy(scheme) as proxy, proxy.control(), socket.create_server(("", 0)) as listener:
        proxy.come(peer=STRANGER, code=code)
        with pytest.raises(ConnectionAbortedError, match=r"203\.0\.113\.99 port 666 came") as raised:
            listener.accept()
        assert isinstance(raised.value, socksify.ProxyError) and raised.value.reply == code
        assert raised.value.proxy == proxy.url
        # The next may be the right one.
        assert listener.getsockname() == (OUTSIDE, 40002)
        with accepted(listener, proxy) as stream:
            assert echoes(stream)


@pytest.mark.parametrize("way", ["blocking", "select", "asyncio"])
def test_the_wrong_peer_however_one_waits(proxy: BindProxy, listener: socket.socket, way: str) -> None:
    proxy.come(peer=STRANGER, code=2)
    if way == "asyncio":
        listener.setblocking(False)

        async def main() -> None:
            await asyncio.get_running_loop().sock_accept(listener)

        with pytest.raises(ConnectionAbortedError, match=r"203\.0\.113\.99"):
            asyncio.run(main())
        return
    if way == "select":
        assert select.select([listener], [], [], 10)[0]
    with pytest.raises(ConnectionAbortedError, match=r"203\.0\.113\.99"):
        listener.accept()


@pytest.mark.parametrize(("ending", "error"), [(CLOSE, ConnectionResetError), (RESET, ConnectionResetError)])
@pytest.mark.parametrize("waits", [True, False])
def test_the_proxy_goes_while_one_waits(
    proxy: BindProxy, listener: socket.socket, ending: Any, error: type[OSError], waits: bool
) -> None:
    if waits:
        threading.Timer(MOMENT, proxy.then, [ending]).start()
    else:
        proxy.then(ending)
    with pytest.raises(error, match=r"a connection from 203\.0\.113\.5") as raised:
        listener.accept()
    assert isinstance(raised.value, socksify.ProxyError)


@pytest.mark.parametrize(
    ("scheme", "code", "error"),
    [("socks5", 6, TimeoutError), ("socks5", 1, ConnectionAbortedError), ("socks4", 91, ConnectionAbortedError)],
)
def test_the_proxys_two_minutes_are_over(scheme: str, code: int, error: type[OSError]) -> None:
    with bind_proxy(scheme) as proxy, proxy.control(), socket.create_server(("", 0)) as listener:
        proxy.then(refuse(reply(scheme, code, ("0.0.0.0", 0))))
        with pytest.raises(error) as raised:
            listener.accept()
        assert "came" not in str(raised.value)


def test_the_proxy_is_gone_when_it_is_asked_again(proxy: BindProxy, listener: socket.socket) -> None:
    accepted(listener, proxy).close()
    proxy.first = CLOSE
    for _ in range(2):
        with pytest.raises(OSError) as raised:
            listener.accept()
        assert raised.value.errno == EOPNOTSUPP
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert select.select([listener], [], [], 10)[0]
    with pytest.raises(OSError) as raised:
        listener.accept()
    assert raised.value.errno == EOPNOTSUPP
    proxy.first = None
    listener.settimeout(10)
    with accepted(listener, proxy) as stream:
        assert echoes(stream)


@pytest.mark.parametrize(
    ("scheme", "first", "number"),
    [
        ("socks5", refuse(reply("socks5", 7, ("0.0.0.0", 0))), EOPNOTSUPP),
        ("socks5", CLOSE, EOPNOTSUPP),
        ("socks4", CLOSE, EOPNOTSUPP),
        ("socks4", refuse(reply("socks4", 1, ("0.0.0.0", 0))), ECONNREFUSED),
    ],
    ids=["reply 7", "hangs up", "SOCKS4 hangs up", "SOCKS4 refuses"],
)
def test_a_proxy_that_will_not_listen(scheme: str, first: Any, number: int) -> None:
    with bind_proxy(scheme) as proxy, proxy.control(), socket.socket() as listener:
        proxy.first = first
        listener.bind(("", 0))
        for _ in range(2):
            with pytest.raises(OSError) as raised:
                listener.listen()
            assert raised.value.errno == number
            assert proxy.url in str(raised.value)
            assert number != EOPNOTSUPP or "passive mode" in str(raised.value)
        # And when it will, it may.
        proxy.first = None
        listener.listen()
        with accepted(listener, proxy) as stream:
            assert echoes(stream)


@pytest.mark.parametrize("name", ["microsocks", "ssh_d"])
def test_servers_without_bind(request: pytest.FixtureRequest, echo_server: Target, name: str) -> None:
    server: Server = request.getfixturevalue(name)
    with (
        routed(server.url(), bind_services=[echo_server.port]),
        socket.create_connection(echo_server.address, timeout=10),
        socket.socket() as listener,
    ):
        with pytest.raises(OSError, match="a proxy with BIND, such as Dante") as raised:
            listener.listen()
        assert raised.value.errno == EOPNOTSUPP and server.url() in str(raised.value)


def test_http_has_no_bind() -> None:
    with (
        BadProxy([READ_HTTP, Send(http_reply(200)), HANG]) as bad,
        routed(bad.url("http"), routes=ANYWHERE),
        socket.create_connection(SERVER, timeout=10),
        socket.socket() as listener,
    ):
        with pytest.raises(OSError, match="HTTP can ask for connections") as raised:
            listener.listen()
        assert raised.value.errno == EOPNOTSUPP
        # The proxy was not even asked.
        assert len(bad.sessions) == 1


def test_a_proxy_that_says_nothing() -> None:
    with bind_proxy(connect_timeout=0.1) as proxy, proxy.control(), socket.socket() as listener:
        proxy.first = HANG
        # This is for accept().
        listener.settimeout(30)
        with pytest.raises(TimeoutError, match=r"timed out after 0\.1 s"):
            listener.listen()


# --- ends ---


def test_closed_before_a_peer_came(proxy: BindProxy, listener: socket.socket) -> None:
    listener.close()
    assert proxy.proxy.finished(1).over.is_set()
    assert not registry.unsettled


@pytest.mark.parametrize("timeout", [None, 10])
def test_closed_by_another_thread(proxy: BindProxy, listener: socket.socket, timeout: float | None) -> None:  # noqa: ARG001
    listener.settimeout(timeout)
    failures: list[OSError] = []

    def wait() -> None:
        try:
            listener.accept()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(MOMENT)
    listener.close()
    thread.join(10)
    assert len(failures) == 1


def test_forgotten(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
    with pytest.warns(ResourceWarning):
        listener = socket.create_server(("", 0))
        del listener
    assert proxy.proxy.finished(1).over.is_set()


def test_a_forked_child_leaves_the_peer_to_its_parent(proxy: BindProxy, listener: socket.socket) -> None:
    pid = os.fork()
    if pid == 0:
        listener.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with accepted(listener, proxy) as stream:
        assert echoes(stream)


def test_a_forked_child_that_uninstalls_does_too(proxy: BindProxy, listener: socket.socket) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            socksify.uninstall()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with accepted(listener, proxy) as stream:
        assert echoes(stream)


def test_uninstalled_while_it_listens(proxy: BindProxy, listener: socket.socket) -> None:
    socksify.uninstall()
    assert type(listener) is socket.socket
    with pytest.raises(OSError):
        listener.accept()
    assert proxy.proxy.finished(1).over.is_set()


def test_nothing_piles_up(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
    for _ in range(30):
        with socket.create_server(("", 0)) as listener:
            accepted(listener, proxy).close()
    assert len(registry.by_fd) == 1


@pytest.mark.parametrize("host", [b"\xff\xfe", "\udcff", "x" * 64 + ".example"])
def test_bind_refuses_what_is_no_name_as_it_does_natively(host: str | bytes, proxy: BindProxy) -> None:  # noqa: ARG001
    with socket.socket() as sock:
        natively = TypeError if host == "\udcff" else socket.gaierror
        with pytest.raises(natively):
            sock.bind((host, 1))
