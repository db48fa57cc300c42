"""gevent's and eventlet's sockets while a green thread connects: others connect, too, or read, or take its place.

Or it does not wait, and speaks TLS at once.
"""

from __future__ import annotations

import sys
import warnings

NAME, WAY, HOST, PORT, AUTHORITY = sys.argv[1:]
warnings.simplefilter("ignore")
if NAME == "gevent":
    from gevent import Timeout, monkey

    monkey.patch_all()
    from gevent import kill, sleep, spawn
else:
    import eventlet

    eventlet.monkey_patch()
    from eventlet import Timeout, kill, sleep, spawn

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

ADDRESS = (HOST, int(PORT))


def result(thread: Any) -> Any:
    return thread.get() if NAME == "gevent" else thread.wait()


def begun(call: Callable[..., Any], *args: Any) -> Any:
    """A green thread that has come to where it waits."""
    thread = spawn(call, *args)
    sleep(0.05)
    return thread


def answer(sock: socket.socket) -> str:
    sock.sendall(b"ping")
    return sock.recv(4).decode()


def secured() -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=AUTHORITY)
    return context.wrap_socket(socket.socket(), server_hostname="localhost")


def several_connect(sock: socket.socket) -> str:
    for thread in [begun(sock.connect, ADDRESS) for _ in range(3)]:
        result(thread)
    return answer(sock)


def another_reads(sock: socket.socket) -> str:
    connecting = begun(sock.connect, ADDRESS)
    reading = begun(sock.recv, 4)
    result(connecting)
    sock.sendall(b"ping")
    return str(result(reading), "ascii")


def another_writes(sock: socket.socket) -> str:
    connecting = begun(sock.connect, ADDRESS)
    writing = begun(sock.sendall, b"ping")
    result(connecting)
    result(writing)
    return sock.recv(4).decode()


def the_first_is_killed(sock: socket.socket) -> str:
    first = begun(sock.connect, ADDRESS)
    second = begun(sock.connect, ADDRESS)
    kill(first)
    result(second)
    return answer(sock)


def the_second_gives_up(sock: socket.socket) -> str:
    first = begun(sock.connect, ADDRESS)
    with Timeout(0.02, False):
        sock.connect(ADDRESS)
        raise AssertionError("it is connected already")
    result(first)
    return answer(sock)


def the_second_times_out(sock: socket.socket) -> str:
    first = begun(sock.connect, ADDRESS)
    sock.settimeout(0.02)
    assert sock.connect_ex(ADDRESS) == errno.EAGAIN
    sock.settimeout(None)
    result(first)
    return answer(sock)


def tls_without_blocking(_: socket.socket) -> str:
    """Nothing but the calls themselves tells when it is connected."""
    with secured() as sock:
        sock.setblocking(False)
        assert sock.connect_ex(ADDRESS) == errno.EINPROGRESS
        tried(sock.write, b"ping")
        return str(tried(sock.read, 4), "ascii")


def tried(call: Callable[..., Any], *args: Any) -> Any:
    for _ in range(1000):
        try:
            return call(*args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sleep(0.005)
    raise TimeoutError("it is never done")


def tls_at_once(_: socket.socket) -> str:
    with secured() as sock:
        # eventlet does not wait in it.
        assert sock.connect_ex(ADDRESS) in (0, errno.EINPROGRESS)
        return answer(sock)


with socket.socket() as sock:
    sys.stdout.write(globals()[WAY](sock))
