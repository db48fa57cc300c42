"""Signals that arrive while a blocking connect(2) waits. The peer answers after go()."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable

from tests.support.socket_calls.calls import (
    Address,
    connect,
    echoes,
    go,
    opened,
    outcome,
    ready,
    say,
    so_error,
    wait,
    wait_for_connect,
)

# netinet/tcp.h
TCP_CLOSE = 7


def by_a_handler(target: Address) -> None:
    """signal(7): without SA_RESTART the call fails with EINTR, and connect(2): the connect goes on."""
    sock = opened(target, blocking=True)
    _handled(restart=False)
    _meanwhile(sock, _interrupt)
    say(connect(sock, target), outcome(sock.getpeername))
    go()
    say("OUT" in ready(sock), so_error(sock), so_error(sock), connect(sock, target), echoes(sock))


def polled_afterwards(target: Address) -> None:
    sock = opened(target, blocking=True)
    _handled(restart=False)
    _meanwhile(sock, _interrupt)
    say(connect(sock, target), ready(sock, seconds=0.05))


def joined_afterwards(target: Address) -> None:
    """A second blocking connect(2) after EINTR waits for the first one's end."""
    sock = opened(target, blocking=True)
    _handled(restart=False)
    _meanwhile(sock, _interrupt)
    say(connect(sock, target))
    _meanwhile(sock, go)
    say(connect(sock, target), echoes(sock))


def restarted(target: Address) -> None:
    """With SA_RESTART, connect(2) starts again by itself, each time."""
    sock = opened(target, blocking=True)
    _handled(restart=True)

    def signals() -> None:
        for _ in range(5):
            _interrupt()
            select.select([], [], [], 0.02)
        go()

    _meanwhile(sock, signals)
    say(connect(sock, target), so_error(sock), echoes(sock))


def refused_afterwards(target: Address) -> None:
    """The peer refuses after go()."""
    sock = opened(target, blocking=True)
    _handled(restart=False)
    _meanwhile(sock, _interrupt)
    say(connect(sock, target))
    go()
    ready(sock)
    say(so_error(sock), so_error(sock), outcome(sock.getpeername))


def refused_restarted(target: Address) -> None:
    sock = opened(target, blocking=True)
    _handled(restart=True)
    _meanwhile(sock, _interrupt, go)
    say(connect(sock, target), so_error(sock))


def stopped(target: Address) -> None:
    """signal(7): connect(2) goes on after SIGSTOP and SIGCONT."""
    sock, parent = opened(target, blocking=True), os.getpid()
    child = os.fork()
    if child == 0:
        wait_for_connect(parent)
        os.kill(parent, signal.SIGSTOP)
        wait(lambda: _state(parent) == "T")
        os.kill(parent, signal.SIGCONT)
        go()
        os._exit(0)
    say(connect(sock, target), echoes(sock), os.waitpid(child, 0)[1])


def killed(target: Address) -> None:
    """A child that waits in connect(2) ends at once, by SIGTERM and by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        child = os.fork()
        if child == 0:
            connect(opened(target, blocking=True), target)
            os._exit(0)
        wait_for_connect(child)
        os.kill(child, number)
        say(os.WTERMSIG(os.waitpid(child, 0)[1]) == number)


def closed_meanwhile(target: Address) -> None:
    """Another thread closes the descriptor: the call has the socket, and goes on."""
    sock = opened(target, blocking=True)
    other = sock.dup()
    _meanwhile(other, lambda: os.close(sock.detach()), go)
    say(connect(sock, target), echoes(other))


def _tcp_state(sock: socket.socket) -> int:
    """tcp(7): the first byte of TCP_INFO."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _handled(*, restart: bool) -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.siginterrupt(signal.SIGUSR1, not restart)


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def _meanwhile(sock: socket.socket, *actions: Callable[[], object]) -> None:
    """Run the actions in a thread, while the calling thread is in connect(2) and the socket connects."""
    waiting = threading.get_native_id()

    def run() -> None:
        # The signal has to go to the thread that waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        wait(lambda: _tcp_state(sock) != TCP_CLOSE)
        for action in actions:
            wait_for_connect(waiting)
            action()

    threading.Thread(target=run, daemon=True).start()


def _state(pid: int) -> str:
    """proc(5): T is stopped."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
