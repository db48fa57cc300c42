"""Every way to wait for the peer: accept() that blocks or not, pollers, threads, asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import threading
from errno import EAGAIN
from select import POLLIN, POLLOUT
from typing import Any

import pytest

from tests.support.bind_proxy import (
    PEER,
    BindProxy,
)
from tests.support.pollers import POLLERS
from tests.support.proxy_listeners import MOMENT, accepted, echoes

# --- waiting ---


def test_a_blocking_accept_waits(proxy: BindProxy, listener: socket.socket) -> None:
    listener.settimeout(None)
    timer = threading.Timer(MOMENT, proxy.come)
    timer.start()
    stream, peer = listener.accept()
    timer.join()
    with stream:
        assert peer == PEER and stream.gettimeout() is None and echoes(stream)


def test_a_timeout_of_accept(proxy: BindProxy, listener: socket.socket) -> None:
    listener.settimeout(MOMENT)
    with pytest.raises(TimeoutError, match="timed out"):
        listener.accept()
    listener.settimeout(10)
    with accepted(listener, proxy) as stream:
        assert stream.gettimeout() is None and os.get_blocking(stream.fileno()) and echoes(stream)


def test_a_default_timeout_is_for_accepted_sockets_too(proxy: BindProxy, listener: socket.socket) -> None:
    socket.setdefaulttimeout(7)
    try:
        with accepted(listener, proxy) as stream:
            assert stream.gettimeout() == 7
    finally:
        socket.setdefaulttimeout(None)


def test_a_non_blocking_accept(proxy: BindProxy, listener: socket.socket) -> None:
    listener.setblocking(False)
    with pytest.raises(BlockingIOError) as raised:
        listener.accept()
    assert raised.value.errno == EAGAIN
    proxy.come()
    assert select.select([listener], [], [], 10)[0] == [listener]
    stream, _ = listener.accept()
    with stream:
        assert stream.gettimeout() is None and os.get_blocking(stream.fileno()) and echoes(stream)


def test_listen_waits_on_a_non_blocking_socket(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
    with socket.socket() as listener:
        listener.setblocking(False)
        listener.bind(("", 0))
        listener.listen()
        assert listener.getsockname() == proxy.listening
        assert listener.gettimeout() == 0 and not os.get_blocking(listener.fileno())


@pytest.mark.parametrize("wanted", [POLLIN, POLLIN | POLLOUT], ids=["in", "in and out"])
@pytest.mark.parametrize("name", POLLERS)
def test_pollers(proxy: BindProxy, listener: socket.socket, name: str, wanted: int) -> None:
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
def test_registered_before_listen(proxy: BindProxy, control: socket.socket, name: str) -> None:  # noqa: ARG001
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


def test_an_accepted_socket_is_watched_apart_from_its_listener(proxy: BindProxy, listener: socket.socket) -> None:
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
def test_an_answer_that_comes_byte_by_byte(proxy: BindProxy, listener: socket.socket, blocking: bool) -> None:
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


def test_threads_that_accept_on_one_listener(proxy: BindProxy, listener: socket.socket) -> None:
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


def test_sock_accept(proxy: BindProxy, listener: socket.socket) -> None:
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


def test_start_server(proxy: BindProxy, control: socket.socket) -> None:  # noqa: ARG001
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
