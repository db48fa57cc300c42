"""What the measured clients connect to: a process that echoes, and takes and gives mebibytes.

    python -m tests.bench.target echo|bulk

Prints `listening on 127.0.0.1:PORT` when it is ready and ends on SIGTERM. The echo is a bare epoll loop, so that
little of what is timed is its own; bulk is a count of 8 bytes, that many bytes in, that many out, and a thread each.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading

BACKLOG = 8192
PIECE = 1 << 18


def echo(listener: socket.socket) -> None:
    """Serve everybody from one thread; an end of file is answered by closing."""
    peers: dict[int, socket.socket] = {}
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                peer, _ = listener.accept()
                peers[peer.fileno()] = peer
                poller.register(peer, select.EPOLLIN)
            elif not _answer(peers[fd]):
                peers.pop(fd).close()


def _answer(peer: socket.socket) -> bool:
    try:
        data = peer.recv(65536)
        if data:
            peer.sendall(data)
    except ConnectionError:
        return False
    return bool(data)


def bulk(listener: socket.socket) -> None:
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=_move, args=(peer,), daemon=True).start()


def _move(peer: socket.socket) -> None:
    # A client that has measured enough resets its connection.
    with peer, contextlib.suppress(ConnectionError):
        count = int.from_bytes(peer.recv(8, socket.MSG_WAITALL))
        buffer = memoryview(bytearray(PIECE))
        left = count
        while left and (taken := peer.recv_into(buffer, min(PIECE, left))):
            left -= taken
        for _ in range(count // PIECE):
            peer.sendall(buffer)


def main() -> None:
    serve = {"echo": echo, "bulk": bulk}[sys.argv[1]]
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        host, port = listener.getsockname()
        print(f"listening on {host}:{port}", flush=True)
        serve(listener)


if __name__ == "__main__":
    main()
