"""gevent's and eventlet's ways to wait for a non-blocking connect: none tells too early, or holds up the others."""

from __future__ import annotations

import sys
import warnings

NAME, WAY, HOST, PORT = sys.argv[1:]
warnings.simplefilter("ignore")
if NAME == "gevent":
    from gevent import monkey

    monkey.patch_all()
    from gevent import sleep, spawn
else:
    import eventlet

    eventlet.monkey_patch()
    from eventlet import sleep, spawn

import errno
import select
import selectors
import socket
from collections.abc import Callable


def by_select(sock: socket.socket) -> None:
    assert select.select([], [sock], [], 10)[1] == [sock]


def by_poll(sock: socket.socket) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    assert poll.poll(10_000) == [(sock.fileno(), select.POLLOUT)]


def by_selector(sock: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        assert [key.fileobj for key, _ in selector.select(10)] == [sock]


def by_fd(sock: socket.socket) -> None:
    if NAME == "gevent":
        from gevent.socket import wait_write

        wait_write(sock.fileno(), timeout=10)
    else:
        from eventlet.hubs import trampoline

        trampoline(sock.fileno(), write=True, timeout=10)


WAYS: dict[str, Callable[[socket.socket], None]] = {
    "select": by_select,
    "poll": by_poll,
    "selector": by_selector,
    "fd": by_fd,
}


def main() -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            sleep(0.005)
            ticks += 1

    spawn(tick)
    sleep(0)
    with socket.socket() as sock:
        sock.setblocking(False)
        assert sock.connect_ex((HOST, int(PORT))) == errno.EINPROGRESS
        before = ticks
        WAYS[WAY](sock)
        waited = ticks - before
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert waited == ticks - before or NAME == "eventlet"
        sock.setblocking(True)
        sock.sendall(b"ping")
        sys.stdout.write(f"{sock.recv(4).decode()} {waited}")


main()
