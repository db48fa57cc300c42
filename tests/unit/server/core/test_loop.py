"""What the loop promises: no stale event, no needless wake-up, calls from other threads, cancelled timers."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from socksify.server.core.loop import READABLE, WRITABLE, Loop


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_handler_is_called_for_its_events(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    seen: list[bytes] = []

    def read(*_: int) -> None:
        seen.append(pair[0].recv(10))
        loop.stop()

    loop.watch(pair[0].fileno(), READABLE, read)
    pair[1].sendall(b"x")
    loop.run()
    assert seen == [b"x"]


def test_a_watch_is_replaced_and_removed(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    calls: list[str] = []
    fd = pair[0].fileno()
    loop.watch(fd, WRITABLE, lambda *_: calls.append("first"))

    def once(*_: int) -> None:
        calls.append("second")
        loop.watch(fd, 0, once)

    loop.watch(fd, WRITABLE, once)
    loop.after(0.05, loop.stop)
    loop.run()
    assert calls == ["second"]


def test_a_hang_up_does_not_wake_a_loop_that_watches_nothing(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    calls: list[str] = []
    loop.watch(pair[0].fileno(), READABLE, lambda *_: calls.append("hung up"))
    loop.watch(pair[0].fileno(), 0, lambda *_: calls.append("hung up"))
    pair[1].close()
    loop.after(0.05, loop.stop)
    loop.run()
    assert calls == []


def test_a_closed_number_is_not_reused_within_a_batch(loop: Loop) -> None:
    """The handler of the first event of a batch closes both sockets. Nobody must get the second event."""
    streams = [loop.stream(socket.AF_INET) for _ in range(2)]
    fds = [stream.fileno() for stream in streams]
    calls: list[int] = []

    def close_both(*_: int) -> None:
        calls.append(1)
        for stream in streams:
            loop.discard(stream)
        fresh = loop.stream(socket.AF_INET)
        assert fresh.fileno() not in fds
        loop.stop()

    for fd in fds:
        # A socket that was never connected hangs up at once.
        loop.watch(fd, READABLE, close_both)
    loop.run()
    assert calls == [1]
    assert all(stream.fileno() == -1 for stream in streams)


def test_an_accepted_socket_never_blocks_and_has_its_listeners_options(loop: Loop) -> None:
    """accept(2) does not document it. Without these options a relay would be slow, and lose urgent bytes."""
    listener = loop.stream(socket.AF_INET)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with socket.create_connection(listener.getsockname()):
        stream, _ = loop.accept(listener)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
        with pytest.raises(BlockingIOError):
            stream.recv(1)
        assert not os.get_blocking(stream.fileno())


def test_calls_come_from_other_threads(loop: Loop) -> None:
    threads: list[int] = []

    def called() -> None:
        threads.append(threading.get_ident())
        loop.stop()

    caller = threading.Thread(target=loop.call, args=(called,))
    caller.start()
    loop.run()
    caller.join()
    assert threads == [threading.get_ident()]


def test_a_mistake_in_a_handler_is_told_and_not_repeated(
    loop: Loop, pair: tuple[socket.socket, socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    def mistake(*_: int) -> None:
        raise RuntimeError("a mistake")

    loop.watch(pair[0].fileno(), WRITABLE, mistake)
    loop.after(0.05, loop.stop)
    loop.run()
    assert capsys.readouterr().err.count("RuntimeError: a mistake") == 1


def test_a_closed_loop_makes_no_call_and_writes_nothing() -> None:
    loop = Loop()
    stream = loop.stream(socket.AF_INET)
    loop.close()
    assert stream.fileno() == -1
    # The number of the closed descriptor may belong to another file by now.
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    loop.call(lambda: None)
    loop.stop()
    loop.abandon()
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    assert os.fstat(writer)
    os.close(reader)
    os.close(writer)
