"""A SOCKS5 server with Tor's commands RESOLVE and RESOLVE_PTR, which torsocks needs for look-ups.

See Tor's socks-extensions.txt. The reply holds the address or the name, and the connection ends after the reply.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping

from tests.support.targets import Server4, serving

CONNECT, RESOLVE, RESOLVE_PTR = 1, 0xF0, 0xF1
IPV4, NAME, IPV6 = 1, 3, 4
GRANTED, UNREACHABLE = 0, 4
SECONDS = 10.0


@contextlib.contextmanager
def tor(address: tuple[str, int], known: Mapping[str, str]) -> Iterator[None]:
    """Serve on `address` for the length of the block. `known` maps names to IPv4 addresses."""

    class Handler(Tor):
        names = known

    with serving(Server4(address, Handler)):
        yield


class Tor(socketserver.StreamRequestHandler):
    """One connection: CONNECT, RESOLVE or RESOLVE_PTR."""

    names: Mapping[str, str]

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.rfile.read(self.rfile.read(2)[1])
            self.wfile.write(b"\x05\x00")
            _, command, _, kind = self.rfile.read(4)
            host = self._host(kind)
            port = int.from_bytes(self.rfile.read(2))
            {CONNECT: self._connect, RESOLVE: self._resolve, RESOLVE_PTR: self._reverse}[command](host, port)

    def _host(self, kind: int) -> str:
        if kind == NAME:
            return self.rfile.read(self.rfile.read(1)[0]).decode()
        return str(ipaddress.ip_address(self.rfile.read({IPV4: 4, IPV6: 16}[kind])))

    def _connect(self, host: str, port: int) -> None:
        try:
            target = socket.create_connection((self.names.get(host, host), port), timeout=SECONDS)
        except OSError:
            self._reply(UNREACHABLE)
            return
        with target:
            target.settimeout(None)
            self._reply(GRANTED)
            back = threading.Thread(target=_pump, args=(target, self.connection), daemon=True)
            back.start()
            _pump(self.connection, target)
            back.join()

    def _resolve(self, host: str, _: int) -> None:
        address = self.names.get(host)
        self._reply(UNREACHABLE) if address is None else self._reply(GRANTED, bytes([IPV4]) + socket.inet_aton(address))

    def _reverse(self, host: str, _: int) -> None:
        names = [name.encode() for name, address in self.names.items() if address == host]
        self._reply(GRANTED, bytes([NAME, len(names[0])]) + names[0]) if names else self._reply(UNREACHABLE)

    def _reply(self, code: int, address: bytes = bytes([IPV4, 0, 0, 0, 0])) -> None:
        self.wfile.write(bytes([5, code, 0]) + address + bytes(2))


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the end of file, then shut down the other side for writing."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
