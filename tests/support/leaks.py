"""Makes and ends thousands of connections in every possible way; `routing` checks that nothing is left of them."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import warnings
from collections.abc import Callable

from socksify.tunnel.registry import registry

Ending = Callable[[socket.socket], None]


def close(sock: socket.socket) -> None:
    sock.close()


def leave(sock: socket.socket) -> None:
    with sock:
        pass


def forget(sock: socket.socket) -> None:
    """Keep no reference. The caller's is the last one, and the garbage collector closes the socket."""


def detach(sock: socket.socket) -> None:
    os.close(sock.detach())


def close_the_fd(sock: socket.socket) -> None:
    """Close the descriptor; the socket object is not told."""
    fd = os.dup(sock.fileno())
    sock.close()
    os.close(fd)


def copy(sock: socket.socket) -> None:
    other = sock.dup()
    sock.close()
    other.close()


def adopt(sock: socket.socket) -> None:
    with socket.socket(fileno=sock.detach()):
        pass


def read_to_the_end(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)
    with sock, sock.makefile("rb") as stream:
        assert stream.read() == b""


def fork(sock: socket.socket) -> None:
    pid = os.fork()
    if pid == 0:
        sock.close()
        os._exit(0)
    sock.close()
    assert os.waitpid(pid, 0)[1] == 0


ENDINGS: tuple[Ending, ...] = (close, leave, forget, detach, close_the_fd, copy, adopt, read_to_the_end)


def tls(context: ssl.SSLContext) -> Ending:
    """Do a TLS handshake and unwrap the socket."""

    def end(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_hostname="target.example") as wrapped:
            wrapped.unwrap().close()

    return end


def cycle(address: tuple[str, int], ending: Ending, count: int) -> None:
    """Connect and end `count` times, and check meanwhile that nothing accumulates."""
    for number in range(count):
        ending(socket.create_connection(address, timeout=30))
        if number % 500 == 499:
            most = 2 * 64
            assert len(registry.by_fd) <= most, f"{len(registry.by_fd)} entries"
            assert len(registry.epoll_masks.registrations) <= most


def fail(address: tuple[str, int], ending: Ending, count: int) -> None:
    """Let a connect fail and end the socket, `count` times."""
    for _ in range(count):
        sock = socket.socket()
        sock.settimeout(30)
        try:
            sock.connect(address)
        except OSError:
            ending(sock)
        else:
            raise AssertionError("the connection was to fail")
        del sock


def quietly(run: Callable[[], None]) -> None:
    """Ignore the ResourceWarning for sockets that the garbage collector closes: this is what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        run()
        gc.collect()
