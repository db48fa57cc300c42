"""listen() and accept() of a socket that a proxy listens for, as scenarios of `program`."""

from __future__ import annotations

import select
import socket

from tests.integration.interrupts import walking

# How often a client may have to try again before an interrupted socket has a peer.
ATTEMPTS = 4


def listener() -> socket.socket:
    """A socket whose proxy has not been asked yet; the first of them begins a connection that may be called back."""
    if not _callers:
        caller = socket.socket()
        caller.connect(walking.TARGET)
        _callers.append(caller)
    sock = socket.socket()
    sock.bind(("0.0.0.0", 0))
    return sock


def listening(sock: socket.socket) -> None:
    sock.listen()


def accepting(sock: socket.socket) -> None:
    """The proxy has been asked, and answers that the peer has come."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0:
        sock.listen()
    _exchange(sock)


def polling(sock: socket.socket) -> None:
    """A server that waits until somebody has come, and then takes it."""
    sock.listen()
    sock.setblocking(False)
    for _ in range(200):
        if sock.fileno() < 0 or select.select([sock], [], [], 0.05)[0]:
            break
    sock.setblocking(True)
    _exchange(sock)


def use_listener(sock: socket.socket) -> None:
    """Have an interrupted socket accept somebody after all."""
    sock.settimeout(5)
    failures: list[OSError] = []
    while len(failures) < ATTEMPTS:
        try:
            sock.listen()
            _exchange(sock)
        except OSError as error:
            failures.append(error)
        else:
            return
    raise AssertionError(f"nobody was ever accepted: {failures}")


def _exchange(sock: socket.socket) -> None:
    connection, peer = sock.accept()
    with connection:
        connection.settimeout(5)
        connection.sendall(b"ping")
        answer = connection.recv(4, socket.MSG_WAITALL)
        assert answer == b"ping", answer
        assert peer == connection.getpeername() == (walking.TARGET[0], 1234), peer


_callers: list[socket.socket] = []
