"""Sockets that several descriptors, threads or processes have. The peer answers after go(), and echoes."""

from __future__ import annotations

import os
import socket
import sys
import threading

from tests.support.socket_calls.calls import (
    Address,
    begun,
    connect,
    echoes,
    go,
    opened,
    ready,
    say,
    so_error,
    wait_for_connect,
)


def a_dup(target: Address) -> None:
    sock = begun(target)
    dup = sock.dup()
    say(connect(dup, target))
    go()
    say(ready(dup), so_error(dup), so_error(sock), connect(sock, target), echoes(dup), echoes(sock))


def a_dup_refused(target: Address) -> None:
    """The peer refuses after go(). The error is the socket's, not the descriptor's."""
    sock = begun(target)
    dup = sock.dup()
    sock.close()
    go()
    say("ERR" in ready(dup), so_error(dup), so_error(dup))


def a_reused_number(target: Address) -> None:
    """A new socket gets the number of one that was closed while its connect was pending."""
    sock = begun(target)
    number = sock.fileno()
    sock.close()
    again = begun(target)
    say(again.fileno() == number)
    go()
    say(ready(again), so_error(again), echoes(again))


def a_fork(target: Address) -> None:
    """Both have the socket. The child finishes the connect, the parent uses it afterwards."""
    sock = begun(target)
    child = os.fork()
    if child == 0:
        go()
        say(ready(sock), so_error(sock), connect(sock, target), echoes(sock))
        os._exit(0)
    say(os.waitpid(child, 0)[1])
    say(connect(sock, target), sock.getpeername() == target, echoes(sock))


def a_fork_alone(target: Address) -> None:
    """Only the child has the socket: the parent has ended."""
    sock = begun(target)
    if os.fork():
        os._exit(0)
    go()
    say(ready(sock), so_error(sock), echoes(sock))


def an_exec(target: Address) -> None:
    """The program that follows has the descriptor 9, and nothing else."""
    sock = begun(target)
    os.dup2(sock.fileno(), 9)
    words = ["-S", "-E", "-m", "tests.support.socket_calls", "shared.after_exec", target[0], str(target[1])]
    os.execv(sys.executable, [sys.executable, *words])


def after_exec(target: Address) -> None:
    sock = socket.socket(fileno=9)
    say(connect(sock, target))
    go()
    say(ready(sock), so_error(sock), connect(sock, target), connect(sock, target), echoes(sock))


def threads(target: Address) -> None:
    """Forty blocking connects at once, each in a thread of its own."""
    found: list[bool] = []

    def run(number: int) -> None:
        sock = opened(target, blocking=True)
        assert connect(sock, target) == "ok"
        found.append(echoes(sock, bytes([number]) * 1000))

    started = [threading.Thread(target=run, args=(number,)) for number in range(40)]
    for thread in started:
        thread.start()
    for thread in started:
        wait_for_connect(thread.native_id or 0)
    go()
    for thread in started:
        thread.join()
    say(found == [True] * 40)


def one_socket_of_two_threads(target: Address) -> None:
    """Two threads are in connect(2) of the same socket: the first to end says success, the other one EISCONN."""
    sock, found = opened(target, blocking=True), []
    started = [threading.Thread(target=lambda: found.append(connect(sock, target))) for _ in range(2)]
    for thread in started:
        thread.start()
    for thread in started:
        wait_for_connect(thread.native_id or 0)
    go()
    for thread in started:
        thread.join()
    say(sorted(found), echoes(sock))


def processes(target: Address) -> None:
    """Twenty children connect at once."""
    children = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            sock = opened(target, blocking=True)
            os._exit(0 if connect(sock, target) == "ok" and echoes(sock) else 1)
        children.append(child)
    for child in children:
        wait_for_connect(child)
    go()
    say({os.waitpid(child, 0)[1] for child in children})
