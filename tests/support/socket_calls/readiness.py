"""Pollers that know the socket before it connects. The peer answers after go()."""

from __future__ import annotations

import select
import socket

from tests.support.socket_calls.calls import (
    SECONDS,
    Address,
    connect,
    echoes,
    event_names,
    go,
    opened,
    say,
    so_error,
)

ALL = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP


def level_triggered(target: Address) -> None:
    sock, poller = _watched(target, ALL)
    _until_connected(sock, poller, target)
    say(_events(poller, 1), _events(poller, 1))
    sock.send(b"ping")
    poller.modify(sock, select.EPOLLIN)
    say(_events(poller, SECONDS), sock.recv(4), echoes(sock))


def edge_triggered(target: Address) -> None:
    """One event for the connection, and no second one until something happens."""
    sock, poller = _watched(target, ALL | select.EPOLLET)
    _until_connected(sock, poller, target)
    say(_events(poller, 0.05))
    poller.modify(sock, select.EPOLLIN | select.EPOLLET)
    sock.send(b"ping")
    say(_events(poller, SECONDS), _events(poller, 0.05), sock.recv(4))


def one_shot(target: Address) -> None:
    """epoll(7): after an event the descriptor is disabled, until it is armed again."""
    sock, poller = _watched(target, ALL | select.EPOLLONESHOT)
    say(connect(sock, target), _events(poller, 0.05))
    poller.modify(sock, select.EPOLLOUT | select.EPOLLONESHOT)
    say(_events(poller, 0.05))
    go()
    say(_events(poller, SECONDS), _events(poller, 0.05), so_error(sock), echoes(sock))


def of_a_dup(target: Address) -> None:
    """The dup is registered, and the first descriptor is closed while the connect is pending."""
    sock = opened(target)
    dup = sock.dup()
    poller = select.epoll()
    poller.register(dup, select.EPOLLOUT | select.EPOLLET)
    _events(poller, 0)
    say(connect(sock, target))
    sock.close()
    go()
    say(_events(poller, SECONDS), so_error(dup), dup.getpeername() == target, echoes(dup))


def nested(target: Address) -> None:
    """An epoll descriptor in another one."""
    sock, inner = _watched(target, select.EPOLLOUT)
    outer = select.epoll()
    outer.register(inner, select.EPOLLIN)
    say(connect(sock, target), _events(outer, 0.05))
    go()
    say(_events(outer, SECONDS), _events(inner, 0), so_error(sock))


def refused(target: Address) -> None:
    """The peer refuses after go()."""
    sock, poller = _watched(target, ALL | select.EPOLLET)
    _until_connected(sock, poller, target)
    say(so_error(sock), so_error(sock))


def _watched(target: Address, mask: int) -> tuple[socket.socket, select.epoll]:
    """A socket that is registered before it connects. An unconnected one is ready at once, and that is taken."""
    sock, poller = opened(target), select.epoll()
    poller.register(sock, mask)
    say(_events(poller, 1))
    return sock, poller


def _until_connected(sock: socket.socket, poller: select.epoll, target: Address) -> None:
    say(connect(sock, target), _events(poller, 0.05))
    go()
    say(_events(poller, SECONDS))


def _events(poller: select.epoll, seconds: float) -> str:
    return event_names(sum(mask for _, mask in poller.poll(seconds)))
