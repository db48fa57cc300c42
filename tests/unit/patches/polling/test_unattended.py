"""A poll of anything goes on with every pending connect of the process, as the kernel does natively."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from socksify import _originals
from socksify.tunnel import connect, unattended
from socksify.tunnel.registry import registry
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.stepping import TARGET, Stepping
from tests.support.steps import HANG, READ_GREETING, good, trickled

SECONDS = 10


def by_select(sock: socket.socket, seconds: float) -> bool:
    return bool(select.select([sock], [], [], seconds)[0])


def by_poll(sock: socket.socket, seconds: float) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(int(seconds * 1000)))


def by_epoll(sock: socket.socket, seconds: float) -> bool:
    with select.epoll() as epoll:
        epoll.register(sock, select.EPOLLIN)
        return bool(epoll.poll(seconds))


def by_accept(sock: socket.socket, seconds: float) -> bool:
    sock.settimeout(seconds)
    try:
        accepted, _ = sock.accept()
    except TimeoutError:
        return False
    accepted.close()
    return True


def by_selector(sock: socket.socket, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(seconds))


WAITS = [by_select, by_poll, by_epoll, by_accept, by_selector]
Wait = Callable[[socket.socket, float], bool]


def nowhere(_: socket.socket) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext()


def in_an_epoll(sock: socket.socket) -> contextlib.AbstractContextManager[object]:
    """An event loop's, which does not turn meanwhile."""
    epoll = select.epoll()
    epoll.register(sock, select.EPOLLOUT)
    return epoll


def polled_before(sock: socket.socket) -> contextlib.AbstractContextManager[object]:
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    poller.poll(0)
    return contextlib.nullcontext()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def begin(address: Any) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    assert sock.connect_ex(address) == errno.EINPROGRESS
    return sock


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("watched", [nowhere, in_an_epoll, polled_before])
@pytest.mark.parametrize("count", [1, 5])
def test_who_polls_the_listener_alone_sees_the_client_come(
    count: int, watched: Callable[..., Any], wait: Wait, listener: socket.socket
) -> None:
    """As Twisted's tests do: the reactor waits for the server's side."""
    with BadProxy(trickled(good("socks5h"))) as proxy, routed(proxy.url()), contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(watched(stack.enter_context(begin(listener.getsockname()))))
        assert wait(listener, SECONDS)


@pytest.mark.parametrize("wait", WAITS)
def test_what_a_wait_went_on_with_is_told_to_who_asks(wait: Wait, listener: socket.socket) -> None:
    steps = Stepping()
    with steps.proxy, routed(steps.url, routes=("*=proxy",)), begin(TARGET) as sock:
        for _ in range(steps.STOPS):
            steps.go()
        selector = selectors.DefaultSelector()
        with selector:
            while sock.connect_ex(TARGET) == errno.EALREADY:
                assert not wait(listener, 0.01)
            assert sock.connect_ex(TARGET) == errno.EISCONN
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            assert [events for _, events in selector.select(SECONDS)] == [selectors.EVENT_WRITE]
        assert sock.getpeername() == TARGET


def test_the_clients_poll_object_keeps_nothing_of_it(listener: socket.socket) -> None:
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url()):
        ours = select.poll()
        ours.register(listener, select.POLLIN)
        with begin(listener.getsockname()) as sock:
            for each in (poller, ours):
                assert each.poll(10) == []
                with pytest.raises(KeyError):
                    each.unregister(sock)
        assert ours.poll(0) == []


@pytest.mark.parametrize("wait", WAITS)
def test_one_that_fails_is_over(wait: Wait, listener: socket.socket) -> None:
    with BadProxy(good("socks5h", reply=5)) as proxy, routed(proxy.url()), begin(listener.getsockname()) as sock:
        while sock.connect_ex(listener.getsockname()) == errno.EALREADY:
            assert not wait(listener, 0.01)
        assert not registry.unattended.beside().fds


@pytest.mark.parametrize("wait", WAITS)
def test_its_time_is_over_whatever_is_polled(wait: Wait, listener: socket.socket) -> None:
    with (
        BadProxy([READ_GREETING, HANG]) as proxy,
        routed(proxy.url(), connect_timeout=0.2),
        begin(listener.getsockname()) as sock,
    ):
        assert not wait(listener, 0.5)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernel's polls, by name."""
    calls: list[str] = []

    def counting(name: str) -> None:
        original = getattr(_originals, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(_originals, name, call)

    for name in ("select", "poll", "epoll_poll"):
        counting(name)
    return calls


@pytest.mark.parametrize("wait", [by_select, by_poll, by_epoll])
def test_it_is_no_busy_loop(wait: Wait, counted: list[str], listener: socket.socket) -> None:
    """Looks again ten times a second at most, as for a socket that is polled itself."""
    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url()), begin(listener.getsockname()) as sock:
        assert not wait(listener, 0.05)
        counted.clear()
        assert not wait(listener, 0.5)
        assert len(counted) <= 16
        sock.close()
        counted.clear()
        assert not wait(listener, 0.05)
        assert len(counted) <= 1


def test_one_event_loop_goes_through_nothing(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is pending is in the loop's own epoll object: a turn costs the same, however many there are."""
    considered: list[object] = []
    own = threading.get_ident()

    def consider(*args: Any) -> None:
        # The servers of other tests poll, too, in threads of their own.
        if threading.get_ident() == own:
            considered.append(args)

    monkeypatch.setattr(unattended, "_consider", consider)
    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url()):

        async def main() -> None:
            loop = asyncio.get_running_loop()
            tasks = []
            for _ in range(50):
                sock = socket.socket()
                sock.setblocking(False)
                tasks.append((sock, asyncio.ensure_future(loop.sock_connect(sock, listener.getsockname()))))
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert not considered
            for sock, task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                sock.close()

        asyncio.run(main())
    assert registry.unattended.is_empty()


def test_two_threads_that_poll_do_not_both_go_on(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is made by one of them, and each connection is whole."""
    failures: list[BaseException] = []
    inside: list[object] = []
    drive = connect._drive

    def alone(tunnel: Any, *args: Any) -> int:
        twice = tunnel in inside
        inside.append(tunnel)
        if twice:
            failures.append(AssertionError("two threads drive one handshake"))
        try:
            return drive(tunnel, *args)
        finally:
            inside.remove(tunnel)

    monkeypatch.setattr(connect, "_drive", alone)
    stop = threading.Event()

    def poll(wait: Wait) -> None:
        other, _ = pair
        try:
            while not stop.is_set():
                assert not wait(other, 0.01)
        except BaseException as error:
            failures.append(error)

    pair = socket.socketpair()
    with pair[0], pair[1], BadProxy(trickled(good("socks5h"))) as proxy, routed(proxy.url()):
        threads = [threading.Thread(target=poll, args=(wait,)) for wait in (by_select, by_poll, by_epoll)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                with begin(listener.getsockname()) as sock:
                    listener.settimeout(SECONDS)
                    accepted, _ = listener.accept()
                    with accepted:
                        accepted.sendall(b"ping")
                        sock.settimeout(SECONDS)
                        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"
        finally:
            stop.set()
            for thread in threads:
                thread.join(SECONDS)
    assert not failures


def test_what_another_threads_loop_goes_on_with_is_left_to_it(listener: socket.socket) -> None:
    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url()), begin(listener.getsockname()) as sock:
        with select.epoll() as epoll:
            epoll.register(sock, select.EPOLLOUT)
            polled = threading.Thread(target=epoll.poll, args=(0,))
            polled.start()
            polled.join()
            others = registry.unattended.beside()
            assert others.is_part and not others.fds
        assert not by_select(listener, 0.01)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_leaves_them_to_its_parent(listener: socket.socket) -> None:
    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url()), begin(listener.getsockname()):
        child = os.fork()
        if not child:
            os._exit(7 if not registry.unattended.beside() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert registry.unattended.beside().fds


def test_select_is_not_given_numbers_that_it_cannot_take(listener: socket.socket) -> None:
    with (
        BadProxy(good("socks5h")) as proxy,
        routed(proxy.url()),
        begin(listener.getsockname()) as sock,
        socket.socket(fileno=_high(sock)) as high,
    ):
        sock.close()
        assert high.fileno() >= 1024
        assert by_select(listener, SECONDS)
        listener.accept()[0].close()


def _high(sock: socket.socket) -> int:
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    return fcntl(sock.fileno(), F_DUPFD_CLOEXEC, 2000)
