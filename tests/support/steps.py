"""The steps of a scripted proxy, and scripts made of them (see `tests.support.bad_proxy`).

The messages are written by hand: a proxy that used the product's parsers would have the same mistakes.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from socksify import _originals
from tests.support.bad_proxy import Script, Session

Step = Callable[[Session], None]


@dataclass(frozen=True)
class Read:
    """Reads exactly `count` bytes."""

    count: int

    def __call__(self, session: Session) -> None:
        session.read(self.count)


@dataclass(frozen=True)
class Send:
    """Sends `data` in one call, so that all of it arrives in one segment."""

    data: bytes

    def __call__(self, session: Session) -> None:
        session.stream.sendall(self.data)


@dataclass(frozen=True)
class Trickle:
    """Sends `data` byte by byte, each in a segment, with `pause` seconds between them."""

    data: bytes
    pause: float = 0.002

    def __call__(self, session: Session) -> None:
        for byte in self.data:
            session.stream.sendall(bytes([byte]))
            session.ended.wait(self.pause)


@dataclass(frozen=True)
class Delay:
    """Waits for `seconds`."""

    seconds: float

    def __call__(self, session: Session) -> None:
        session.ended.wait(self.seconds)


@dataclass(frozen=True)
class Wait:
    """Waits until the test sets `event`."""

    event: threading.Event

    def __call__(self, session: Session) -> None:
        while not (self.event.wait(0.01) or session.ended.is_set()):
            pass


def READ_GREETING(session: Session) -> None:
    """Read a SOCKS5 greeting (RFC 1928, section 3)."""
    session.read(session.read(2)[1])


def READ_CREDENTIALS(session: Session) -> None:
    """Read a name and a password (RFC 1929, section 2)."""
    session.read(session.read(2)[1])
    session.read(session.read(1)[0])


def READ_REQUEST(session: Session) -> None:
    """Read a SOCKS5 request (RFC 1928, section 4)."""
    kind = session.read(4)[3]
    host = session.read({1: 4, 4: 16}[kind] if kind != 3 else session.read(1)[0])
    session.target = _host(kind, host), int.from_bytes(session.read(2))


def READ_SOCKS4(session: Session) -> None:
    """Read a SOCKS4 request; with an address of 0.0.0.x it is SOCKS4A."""
    _, _, port, host = struct.unpack("!BBH4s", session.read(8))
    session.read_until(b"\0")
    named = host[:3] == b"\0\0\0" and host[3] != 0
    session.target = session.read_until(b"\0")[:-1].decode() if named else socket.inet_ntoa(host), port


def READ_HTTP(session: Session) -> None:
    """Read the head of an HTTP CONNECT."""
    authority = session.read_until(b"\r\n\r\n").split()[1].decode()
    host, _, port = authority.rpartition(":")
    session.target = host.strip("[]"), int(port)


def HANG(session: Session) -> None:
    """Send nothing more, and record all input until the client closes or the proxy ends."""
    while data := session.stream.recv(65536):
        session.received += data


def CLOSE(session: Session) -> None:
    """End the connection with FIN. Read what the client still sends: unread data would turn FIN into RST."""
    session.stream.shutdown(socket.SHUT_WR)
    HANG(session)


def RESET(session: Session) -> None:
    """End the connection with RST."""
    session.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.stream.close()


def DIAL(session: Session) -> None:
    """Connect to the target that the client asked for."""
    assert session.target is not None
    host, port = session.target
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    session.outbound = socket.socket(family, kind, protocol)
    # The original socket class is neither routed through the proxy nor refused by strict.
    _originals.connect(session.outbound, _originals.InternalAddress(address))


def RELAY(session: Session) -> None:
    """Relay bytes in both directions, each until its end of file."""
    assert session.outbound is not None
    back = threading.Thread(target=_pump, args=(session.outbound, session.stream), daemon=True)
    back.start()
    _pump(session.stream, session.outbound)
    back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _host(kind: int, data: bytes) -> str:
    return data.decode("ascii", "surrogateescape") if kind == 3 else str(ipaddress.ip_address(data))


def good(scheme: str, reply: int | None = None, password: bool = False) -> list[Step]:
    """Return the script of a proxy that works, for `socks4`, `socks4a`, `socks5`, `socks5h` or `http`.

    With `reply`, the request is answered with that code, and the connection closed if it is a refusal. With `password`
    SOCKS5 demands user and password, and takes any.
    """
    negotiation: list[Step] = []
    if scheme.startswith("socks5"):
        negotiation = [READ_GREETING, Send(b"\x05\x02" if password else b"\x05\x00")]
        negotiation += [READ_CREDENTIALS, Send(b"\x01\x00")] if password else []
    request, success, answer = _EXCHANGE[scheme]
    if reply not in (None, success):
        assert reply is not None
        return [*negotiation, request, Send(answer(reply)), CLOSE]
    return [*negotiation, request, DIAL, Send(answer(success)), RELAY]


def socks5_reply(code: int) -> bytes:
    return b"\x05" + bytes([code]) + b"\0\x01\x7f\0\0\x01\x30\x39"


def socks4_reply(code: int) -> bytes:
    return b"\0" + bytes([code]) + b"\x30\x39\x7f\0\0\x01"


def http_reply(code: int) -> bytes:
    return b"HTTP/1.1 %d Whatever\r\nVia: 1.1 bad\r\n\r\n" % code


_EXCHANGE: dict[str, tuple[Step, int, Callable[[int], bytes]]] = {
    "socks5": (READ_REQUEST, 0, socks5_reply),
    "socks5h": (READ_REQUEST, 0, socks5_reply),
    "socks4": (READ_SOCKS4, 90, socks4_reply),
    "socks4a": (READ_SOCKS4, 90, socks4_reply),
    "http": (READ_HTTP, 200, http_reply),
}


def trickled(script: Script, pause: float = 0.002) -> list[Step]:
    """Return the script with everything sent byte by byte."""
    return [Trickle(step.data, pause) if isinstance(step, Send) else step for step in script]


def delayed(script: Script, seconds: float) -> list[Step]:
    """Return the script with a pause of `seconds` before each answer."""
    slowed: list[Step] = []
    for step in script:
        slowed += [Delay(seconds), step] if isinstance(step, Send) else [step]
    return slowed


def garbage(count: int = 1 << 20) -> Step:
    """Return bytes that are no message of any version, the same bytes in each run."""
    return Send(b"\xaa\x55\x00\xff" * (count // 4))
