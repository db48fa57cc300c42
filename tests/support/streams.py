"""Reads from a stream socket, for tests that send and receive bytes themselves."""

from __future__ import annotations

import socket


def receive(stream: socket.socket, count: int) -> bytes:
    """Return `count` bytes, fewer only at end of file."""
    data = b""
    while len(data) < count and (piece := stream.recv(count - len(data))):
        data += piece
    return data


def receive_all(stream: socket.socket) -> bytes:
    """Return everything up to the end of file."""
    return b"".join(iter(lambda: stream.recv(65536), b""))
