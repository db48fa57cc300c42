"""All ways in which a client can wait for a socket, with one interface.

`wait` returns what was reported of the socket as the poll(2) bits that were asked for (for select: POLLIN for
readable, POLLOUT for writable), 0 for nothing.
"""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable
from select import EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, POLLIN, POLLOUT
from typing import Protocol


class Poller(Protocol):
    def add(self, sock: socket.socket) -> None: ...
    def wait(self, seconds: float | None) -> int: ...
    def remove(self, sock: socket.socket) -> None: ...
    def close(self) -> None: ...


class Select:
    """select.select(), looked up at each call as in most programs."""

    def __init__(self, wanted: int = POLLOUT) -> None:
        self._wanted = wanted
        self._socks: list[socket.socket] = []

    def add(self, sock: socket.socket) -> None:
        self._socks.append(sock)

    def wait(self, seconds: float | None) -> int:
        reading = self._socks if self._wanted & POLLIN else []
        writing = self._socks if self._wanted & POLLOUT else []
        readable, writable, exceptional = select.select(reading, writing, self._socks, seconds)
        assert not exceptional
        assert all(sock in self._socks for sock in (*readable, *writable))
        return (POLLIN if readable else 0) | (POLLOUT if writable else 0)

    def remove(self, sock: socket.socket) -> None:
        self._socks.remove(sock)

    def close(self) -> None:
        self._socks.clear()


class Poll:
    """select.poll."""

    def __init__(self, wanted: int = POLLOUT) -> None:
        self._wanted = wanted
        self._poll = select.poll()

    def add(self, sock: socket.socket) -> None:
        self._poll.register(sock, self._wanted)

    def wait(self, seconds: float | None) -> int:
        return only(self._poll.poll(None if seconds is None else seconds * 1000))

    def remove(self, sock: socket.socket) -> None:
        self._poll.unregister(sock)

    def close(self) -> None:
        del self._poll


class Epoll:
    """select.epoll."""

    def __init__(self, wanted: int = POLLOUT) -> None:
        self._wanted = wanted
        self.epoll = select.epoll()

    def add(self, sock: socket.socket) -> None:
        self.epoll.register(sock, self._wanted)

    def wait(self, seconds: float | None) -> int:
        return only(self.epoll.poll(seconds))

    def remove(self, sock: socket.socket) -> None:
        self.epoll.unregister(sock)

    def close(self) -> None:
        self.epoll.close()


class Selector:
    """One of the classes of selectors."""

    def __init__(self, make: Callable[[], selectors.BaseSelector], wanted: int = POLLOUT) -> None:
        self._wanted = selectors.EVENT_WRITE * bool(wanted & POLLOUT) | selectors.EVENT_READ * bool(wanted & POLLIN)
        self._selector = make()

    def add(self, sock: socket.socket) -> None:
        self._selector.register(sock, self._wanted)

    def wait(self, seconds: float | None) -> int:
        events = sum(events for _, events in self._selector.select(seconds))
        return (POLLIN if events & selectors.EVENT_READ else 0) | (POLLOUT if events & selectors.EVENT_WRITE else 0)

    def remove(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)

    def close(self) -> None:
        self._selector.close()


def only(events: list[tuple[int, int]]) -> int:
    """Return the events of the socket that is waited for."""
    assert len(events) <= 1
    return events[0][1] if events else 0


# Makers of pollers by name. The argument is the mask.
POLLERS: dict[str, Callable[[int], Poller]] = {
    "select": Select,
    "poll": Poll,
    "epoll": Epoll,
    "EPOLLET": lambda wanted: Epoll(wanted | EPOLLET),
    "EPOLLONESHOT": lambda wanted: Epoll(wanted | EPOLLONESHOT),
    "EPOLLEXCLUSIVE": lambda wanted: Epoll(wanted | EPOLLEXCLUSIVE),
    "SelectSelector": lambda wanted: Selector(selectors.SelectSelector, wanted),
    "PollSelector": lambda wanted: Selector(selectors.PollSelector, wanted),
    "EpollSelector": lambda wanted: Selector(selectors.EpollSelector, wanted),
}
