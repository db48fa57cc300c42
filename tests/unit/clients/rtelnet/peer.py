"""A server for one connection, which sends and expects the bytes that a test gives."""

from __future__ import annotations

import socket

SECONDS = 10.0


class Peer:
    """Listens on `port`. The first connection is accepted when it is needed."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.heard = b""
        self._listener = socket.create_server((self.host, 0))
        self._listener.settimeout(SECONDS)
        self.port: int = self._listener.getsockname()[1]
        self._connection: socket.socket | None = None

    @property
    def words(self) -> tuple[str, str]:
        """Host and port, for a command line."""
        return self.host, str(self.port)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        if self._connection is not None:
            self._connection.close()

    @property
    def connection(self) -> socket.socket:
        if self._connection is None:
            self._connection, _ = self._listener.accept()
            self._connection.settimeout(SECONDS)
        return self._connection

    def say(self, data: bytes) -> None:
        self.connection.sendall(data)

    def hear(self, data: bytes) -> None:
        """Wait for exactly these bytes since the last call."""
        while len(self.heard) < len(data) and data.startswith(self.heard):
            piece = self.connection.recv(65536)
            assert piece, f"the end came after {self.heard!r}, before {data!r}"
            self.heard += piece
        assert self.heard.startswith(data), f"{self.heard!r} instead of {data!r}"
        self.heard = self.heard[len(data) :]

    def hear_end(self) -> None:
        """Wait for the end of the client's data."""
        assert self.heard == b""
        assert self.connection.recv(65536) == b""

    def close(self) -> None:
        self.connection.close()
