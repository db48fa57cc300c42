"""A MySQL server that accepts every user and answers OK to every command."""

from __future__ import annotations

import contextlib
import socketserver

VERSION = b"8.0.0-wire"
SALT = b"12345678", b"123456789012"
# CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION; CLIENT_PLUGIN_AUTH in the upper half.
CAPABILITIES, UPPER_CAPABILITIES = 0x0200 | 0x8000, 0x0008
UTF8MB4, AUTOCOMMIT = 45, 2
OK = bytes([0, 0, 0, AUTOCOMMIT, 0, 0, 0])
QUIT = 1


def greeting() -> bytes:
    """Return the handshake packet, version 10."""
    first, second = SALT
    return b"".join(
        [
            b"\x0a" + VERSION + b"\0" + (1).to_bytes(4, "little") + first + b"\0",
            CAPABILITIES.to_bytes(2, "little") + bytes([UTF8MB4]) + AUTOCOMMIT.to_bytes(2, "little"),
            UPPER_CAPABILITIES.to_bytes(2, "little") + bytes([len(first + second) + 1]) + bytes(10),
            second + b"\0" + b"mysql_native_password\0",
        ]
    )


class Mysql(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self._send(0, greeting())
            while command := self._receive():
                number, body = command
                if number == 0 and body[0] == QUIT:
                    return
                self._send(number + 1, OK)

    def _send(self, number: int, body: bytes) -> None:
        self.wfile.write(len(body).to_bytes(3, "little") + bytes([number]) + body)

    def _receive(self) -> tuple[int, bytes] | None:
        head = self.rfile.read(4)
        return (head[3], self.rfile.read(int.from_bytes(head[:3], "little"))) if head else None
