"""Listening sockets that are the proxy's, as the client sees them: orders of calls, ways to wait, failures, ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from errno import EAGAIN, ECONNREFUSED, EINVAL, EISCONN, ENOTCONN, EOPNOTSUPP
from pathlib import Path
from select import POLLIN, POLLOUT
from typing import Any

import pytest

import socksify
from socksify.tunnel.registry import registry
from tests.support.bad_proxy import BadProxy
from tests.support.calling import (
    ANYWHERE,
    NAME,
    OUTSIDE,
    OUTSIDE6,
    PEER,
    SERVER,
    STRANGER,
    Calling,
    calling,
    refuse,
    reply,
)
from tests.support.certificates import Certificates
from tests.support.pollers import POLLERS
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import CLOSE, HANG, READ_HTTP, RESET, Send, good, http_reply
from tests.support.targets import Target

SCHEMES = ["socks5", "socks5h", "socks4", "socks4a"]
MOMENT = 0.02


@pytest.fixture
def proxy() -> Iterator[Calling]:
    with calling() as proxy:
        yield proxy


@pytest.fixture
def control(proxy: Calling) -> Iterator[socket.socket]:
    with proxy.control() as control:
        yield control


@pytest.fixture
def listener(control: socket.socket) -> Iterator[socket.socket]:  # noqa: ARG001
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(10)
        yield listener


def accepted(listener: socket.socket, proxy: Calling, glued: bytes = b"") -> socket.socket:
    """Has the peer come, and accepts it."""
    proxy.come(glued)
    stream, peer = listener.accept()
    assert peer == PEER
    return stream


def echoes(stream: socket.socket) -> bool:
    """Whether the connection carries bytes there and back."""
    stream.sendall(b"ping")
    return stream.recv(4) == b"ping"


# --- what is asked, and both orders ---


def test_bind_getsockname_listen_accept(proxy: Calling, control: socket.socket) -> None:
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
    with calling(scheme, bind="always") as proxy, proxy.control(), socket.socket() as listener:
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
    with calling(scheme) as proxy, proxy.control() as control, socket.socket() as listener:
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


def test_listen_without_bind(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
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
    with calling(scheme) as proxy, proxy.control(target), socket.create_server(("", 0)):
        asked = bytes(proxy.proxy.sessions[1].received)
        assert asked.removeprefix(b"\x05\x01\x00").startswith(request_)
        assert scheme != "socks4a" or asked.endswith(b"\0server.example\0")


def test_several_servers_of_one_thread_may_all_call(proxy: Calling) -> None:
    with proxy.control(), proxy.control(("203.0.113.6", 21)), socket.create_server(("", 0)):
        assert bytes(proxy.proxy.sessions[2].received[3:]) == b"\x05\x02\x00\x01\0\0\0\0\0\0"


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_the_address_may_be_bytes(proxy: Calling, control: socket.socket, kind: type) -> None:
    with socket.socket() as listener:
        listener.bind((kind(control.getsockname()[0].encode()), 0))
        listener.listen()
        assert listener.getsockname() == proxy.listening


def test_a_port_that_only_the_proxy_has(proxy: Calling, control: socket.socket) -> None:
    with socket.socket() as listener:
        listener.bind((control.getsockname()[0], 4321))
        listener.listen()
        assert bytes(proxy.proxy.sessions[1].received[-2:]) == (4321).to_bytes(2, "big")
        assert listener.getsockname() == proxy.listening


def test_rsh_binds_reserved_ports_by_number(proxy: Calling) -> None:
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


def test_ipv6(proxy: Calling) -> None:
    with proxy.control(), socket.create_server(("::", 0), family=socket.AF_INET6) as listener:
        assert listener.getsockname() == (f"::ffff:{OUTSIDE}", 40001, 0, 0)
        proxy.come()
        stream, peer = listener.accept()
        with stream:
            assert peer == stream.getpeername() == (f"::ffff:{PEER[0]}", PEER[1], 0, 0)
            assert stream.family == socket.AF_INET6 and echoes(stream)


def test_ipv6_all_the_way() -> None:
    with (
        calling(outside=OUTSIDE6) as proxy,
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
    with calling(path=tmp_path / "proxy") as proxy, proxy.control(), socket.create_server(("", 0)) as listener:
        for _ in range(2):
            assert listener.getsockname() == proxy.listening
            with accepted(listener, proxy) as stream:
                assert stream.family == socket.AF_INET and echoes(stream)


def test_through_a_chain() -> None:
    """The last proxy listens; those before are asked to connect."""
    last = Calling("socks5")
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
        calling(scheme, outside="0.0.0.0") as proxy,
        proxy.control() as control,
        socket.create_server(("", 0)) as listener,
    ):
        assert listener.getsockname() == ("127.0.0.1", 40001)
        assert control.getsockname()[0] == "127.0.0.1"


# --- waiting ---


def test_a_blocking_accept_waits(proxy: Calling, listener: socket.socket) -> None:
    listener.settimeout(None)
    timer = threading.Timer(MOMENT, proxy.come)
    timer.start()
    stream, peer = listener.accept()
    timer.join()
    with stream:
        assert peer == PEER and stream.gettimeout() is None and echoes(stream)


def test_a_timeout_of_accept(proxy: Calling, listener: socket.socket) -> None:
    listener.settimeout(MOMENT)
    with pytest.raises(TimeoutError, match="timed out"):
        listener.accept()
    listener.settimeout(10)
    with accepted(listener, proxy) as stream:
        assert stream.gettimeout() is None and os.get_blocking(stream.fileno()) and echoes(stream)


def test_a_default_timeout_is_for_accepted_sockets_too(proxy: Calling, listener: socket.socket) -> None:
    socket.setdefaulttimeout(7)
    try:
        with accepted(listener, proxy) as stream:
            assert stream.gettimeout() == 7
    finally:
        socket.setdefaulttimeout(None)


def test_a_non_blocking_accept(proxy: Calling, listener: socket.socket) -> None:
    listener.setblocking(False)
    with pytest.raises(BlockingIOError) as raised:
        listener.accept()
    assert raised.value.errno == EAGAIN
    proxy.come()
    assert select.select([listener], [], [], 10)[0] == [listener]
    stream, _ = listener.accept()
    with stream:
        assert stream.gettimeout() is None and os.get_blocking(stream.fileno()) and echoes(stream)


def test_listen_waits_on_a_non_blocking_socket(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
    with socket.socket() as listener:
        listener.setblocking(False)
        listener.bind(("", 0))
        listener.listen()
        assert listener.getsockname() == proxy.listening
        assert listener.gettimeout() == 0 and not os.get_blocking(listener.fileno())


@pytest.mark.parametrize("wanted", [POLLIN, POLLIN | POLLOUT], ids=["in", "in and out"])
@pytest.mark.parametrize("name", POLLERS)
def test_pollers(proxy: Calling, listener: socket.socket, name: str, wanted: int) -> None:
    """Readable when the peer has come, and until it is accepted; never writable; so for each peer."""
    poller = POLLERS[name](wanted)
    listener.setblocking(False)
    poller.add(listener)
    for number in range(3):
        for _ in range(500):
            assert poller.wait(MOMENT) == 0
            if proxy.binds > number:
                break
        proxy.come(b"glued")
        assert poller.wait(10) == POLLIN
        if name not in ("EPOLLET", "EPOLLONESHOT"):
            assert poller.wait(10) == POLLIN
        stream, peer = listener.accept()
        with stream:
            assert (peer, stream.recv(5)) == (PEER, b"glued")
        if name == "EPOLLONESHOT":
            poller.remove(listener)
            poller.add(listener)
    poller.remove(listener)
    poller.close()


@pytest.mark.parametrize("name", POLLERS)
def test_registered_before_listen(proxy: Calling, control: socket.socket, name: str) -> None:  # noqa: ARG001
    poller = POLLERS[name](POLLIN)
    with socket.socket() as listener:
        listener.setblocking(False)
        listener.bind(("", 0))
        poller.add(listener)
        listener.listen()
        assert poller.wait(MOMENT) == 0
        proxy.come()
        assert poller.wait(10) == POLLIN
        stream, _ = listener.accept()
        with stream:
            assert echoes(stream)
        poller.remove(listener)
    poller.close()


def test_an_accepted_socket_is_watched_apart_from_its_listener(proxy: Calling, listener: socket.socket) -> None:
    """They were one kernel socket until a moment ago."""
    with select.epoll() as epoll:
        epoll.register(listener, POLLIN)
        with accepted(listener, proxy) as stream:
            epoll.register(stream, POLLIN)
            stream.sendall(b"ping")
            assert epoll.poll(10) == [(stream.fileno(), POLLIN)]
            assert stream.recv(4) == b"ping"
            proxy.come()
            assert epoll.poll(10) == [(listener.fileno(), POLLIN)]


@pytest.mark.parametrize("blocking", [True, False])
def test_an_answer_that_comes_byte_by_byte(proxy: Calling, listener: socket.socket, blocking: bool) -> None:
    proxy.pause = 0.002
    proxy.come(b"glued to it")
    listener.setblocking(blocking)
    stream = None
    while stream is None:
        with contextlib.suppress(BlockingIOError):
            assert select.select([listener], [], [], 10)[0]
            stream, peer = listener.accept()
    with stream:
        assert peer == PEER
        assert b"".join(stream.recv(1) for _ in range(11)) == b"glued to it"


def test_threads_that_accept_on_one_listener(proxy: Calling, listener: socket.socket) -> None:
    """Each takes one peer; the proxy is asked again for those who wait on."""
    streams: list[socket.socket] = []
    threads = [threading.Thread(target=lambda: streams.append(listener.accept()[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(3):
        proxy.asked(number + 1)
        proxy.come()
    for thread in threads:
        thread.join(10)
    assert len(streams) == 3
    for stream in streams:
        with stream:
            assert echoes(stream)


# --- asyncio ---


def test_sock_accept(proxy: Calling, listener: socket.socket) -> None:
    listener.setblocking(False)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            waiting = asyncio.create_task(loop.sock_accept(listener))
            await asyncio.sleep(MOMENT)
            assert not waiting.done()
            proxy.come(b"glued")
            stream, peer = await asyncio.wait_for(waiting, 10)
            with stream:
                assert (peer, await loop.sock_recv(stream, 5)) == (PEER, b"glued")

    asyncio.run(main())


def test_start_server(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
    async def main(**where: Any) -> list[object]:
        served: asyncio.Queue[object] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await served.put((writer.get_extra_info("peername"), await reader.readexactly(5)))
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(serve, **where):
            found = []
            for _ in range(2):
                proxy.come(b"glued")
                found.append(await asyncio.wait_for(served.get(), 10))
        return found

    with socket.socket() as listener:
        listener.bind(("", 0))
        assert asyncio.run(main(sock=listener)) == [(PEER, b"glued")] * 2
    assert asyncio.run(main(host="0.0.0.0", port=0)) == [(PEER, b"glued")] * 2


# --- one after another ---


def test_a_second_accept(proxy: Calling, listener: socket.socket) -> None:
    """A proxy listens for one peer, elsewhere for the next; nobody asks before somebody wants to know."""
    fd = listener.fileno()
    for number in range(1, 4):
        assert listener.getsockname() == proxy.listening == (OUTSIDE, 40000 + number)
        with accepted(listener, proxy) as stream:
            assert stream.fileno() != fd == listener.fileno()
            assert stream.getsockname() == (OUTSIDE, 40000 + number)
            assert echoes(stream) and proxy.binds == number


def test_it_listens_between_two_accepts(proxy: Calling, listener: socket.socket) -> None:
    """SO_ACCEPTCONN is how servers that inherit a socket tell what it is."""
    accepted(listener, proxy).close()
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_who_accepts_one_asks_once(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
    with socket.create_server(("", 0)) as listener:
        accepted(listener, proxy).close()
    assert proxy.binds == 1


def test_the_listener_may_be_closed_first(proxy: Calling, listener: socket.socket) -> None:
    with accepted(listener, proxy) as stream:
        listener.close()
        assert echoes(stream)


def test_options_survive(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
    with socket.create_server(("", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        assert not os.get_inheritable(listener.fileno())
        for _ in range(2):
            with accepted(listener, proxy) as stream:
                assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
                assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
                assert not os.get_inheritable(stream.fileno())


def test_a_dup_of_the_listener(proxy: Calling, listener: socket.socket) -> None:
    with listener.dup() as other:
        for each in (other, listener):
            assert each.getsockname() == proxy.listening
            with accepted(each, proxy) as stream:
                assert echoes(stream)


def test_detached_and_made_anew(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
    first = socket.create_server(("", 0))
    with socket.socket(fileno=first.detach()) as listener, accepted(listener, proxy) as stream:
        assert listener.family == socket.AF_INET and echoes(stream)


def test_a_listener_under_tls(proxy: Calling, listener: socket.socket, tmp_path: Path) -> None:
    """ssl looks whether there are bytes before its handshake: the proxy's answer is none of them."""
    context = Certificates(tmp_path).server()
    proxy.come(b"this is no TLS")
    with context.wrap_socket(listener, server_side=True) as wrapped:
        assert wrapped.getsockname() == proxy.listening
        with pytest.raises(ssl.SSLError):
            wrapped.accept()


# --- what a listening socket cannot do ---


@pytest.mark.parametrize(
    "call",
    [lambda sock: sock.recv(1), lambda sock: sock.send(b"x"), lambda sock: sock.getpeername()],
    ids=["recv", "send", "getpeername"],
)
def test_it_is_not_connected(proxy: Calling, listener: socket.socket, call: Callable[[socket.socket], object]) -> None:
    with pytest.raises(OSError) as raised:
        call(listener)
    assert raised.value.errno == ENOTCONN
    with accepted(listener, proxy) as stream:
        assert echoes(stream)


def test_connect_and_bind_again(listener: socket.socket) -> None:
    assert listener.connect_ex(SERVER) == EISCONN
    with pytest.raises(OSError) as raised:
        listener.bind(("", 0))
    assert raised.value.errno == EINVAL


@pytest.mark.parametrize("backlog", [("x",), (1, 2), (None,)])
def test_a_backlog_that_is_none(proxy: Calling, control: socket.socket, backlog: Any) -> None:  # noqa: ARG001
    with socket.socket() as listener:
        listener.bind(("", 0))
        with pytest.raises(TypeError):
            listener.listen(*backlog)
        assert proxy.binds == 0


def test_listen_again_changes_nothing(proxy: Calling, listener: socket.socket) -> None:
    listener.listen(50)
    assert proxy.binds == 1


def test_a_socket_that_was_bound_may_connect_instead(proxy: Calling, control: socket.socket) -> None:
    with socket.socket() as sock:
        sock.bind((control.getsockname()[0], 0))
        sock.connect(SERVER)
        assert echoes(sock) and proxy.binds == 0


# --- failures ---


@pytest.mark.parametrize(("scheme", "code"), [("socks5", 2), ("socks5", 1), ("socks4", 91)])
def test_the_wrong_peer(scheme: str, code: int) -> None:
    with calling(scheme) as proxy, proxy.control(), socket.create_server(("", 0)) as listener:
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
def test_the_wrong_peer_however_one_waits(proxy: Calling, listener: socket.socket, way: str) -> None:
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
    proxy: Calling, listener: socket.socket, ending: Any, error: type[OSError], waits: bool
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
    with calling(scheme) as proxy, proxy.control(), socket.create_server(("", 0)) as listener:
        proxy.then(refuse(reply(scheme, code, ("0.0.0.0", 0))))
        with pytest.raises(error) as raised:
            listener.accept()
        assert "came" not in str(raised.value)


def test_the_proxy_is_gone_when_it_is_asked_again(proxy: Calling, listener: socket.socket) -> None:
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
    with calling(scheme) as proxy, proxy.control(), socket.socket() as listener:
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
    with calling(connect_timeout=0.1) as proxy, proxy.control(), socket.socket() as listener:
        proxy.first = HANG
        # This is for accept().
        listener.settimeout(30)
        with pytest.raises(TimeoutError, match=r"timed out after 0\.1 s"):
            listener.listen()


# --- ends ---


def test_closed_before_a_peer_came(proxy: Calling, listener: socket.socket) -> None:
    listener.close()
    assert proxy.proxy.finished(1).over.is_set()
    assert not registry.unsettled


@pytest.mark.parametrize("timeout", [None, 10])
def test_closed_by_another_thread(proxy: Calling, listener: socket.socket, timeout: float | None) -> None:  # noqa: ARG001
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


def test_forgotten(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
    with pytest.warns(ResourceWarning):
        listener = socket.create_server(("", 0))
        del listener
    assert proxy.proxy.finished(1).over.is_set()


def test_a_forked_child_leaves_the_peer_to_its_parent(proxy: Calling, listener: socket.socket) -> None:
    pid = os.fork()
    if pid == 0:
        listener.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with accepted(listener, proxy) as stream:
        assert echoes(stream)


def test_a_forked_child_that_uninstalls_does_too(proxy: Calling, listener: socket.socket) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            socksify.uninstall()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with accepted(listener, proxy) as stream:
        assert echoes(stream)


def test_uninstalled_while_it_listens(proxy: Calling, listener: socket.socket) -> None:
    socksify.uninstall()
    assert type(listener) is socket.socket
    with pytest.raises(OSError):
        listener.accept()
    assert proxy.proxy.finished(1).over.is_set()


def test_nothing_piles_up(proxy: Calling, control: socket.socket) -> None:  # noqa: ARG001
    for _ in range(30):
        with socket.create_server(("", 0)) as listener:
            accepted(listener, proxy).close()
    assert len(registry.by_fd) == 1


@pytest.mark.parametrize("host", [b"\xff\xfe", "\udcff", "x" * 64 + ".example"])
def test_bind_refuses_what_is_no_name_as_it_does_natively(host: str | bytes, proxy: Calling) -> None:  # noqa: ARG001
    with socket.socket() as sock:
        natively = TypeError if host == "\udcff" else socket.gaierror
        with pytest.raises(natively):
            sock.bind((host, 1))
