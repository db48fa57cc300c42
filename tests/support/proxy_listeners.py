"""What tests do with a socket that listens at the proxy."""

from __future__ import annotations

import socket

from tests.support.bind_proxy import (
    PEER,
    BindProxy,
)

MOMENT = 0.02


def accepted(listener: socket.socket, proxy: BindProxy, glued: bytes = b"") -> socket.socket:
    """Has the peer come, and accepts it."""
    proxy.come(glued)
    stream, peer = listener.accept()
    assert peer == PEER
    return stream


def echoes(stream: socket.socket) -> bool:
    """Whether the connection carries bytes there and back."""
    stream.sendall(b"ping")
    return stream.recv(4) == b"ping"
