"""A small name server over UDP and TCP. It knows the addresses of a few names and the names of these addresses."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import socketserver
import struct
from collections.abc import Iterator, Mapping, Sequence

from tests.support.network.namespaces import Namespace
from tests.support.network.packets import question
from tests.support.targets import Server4, serving

# RFC 1035, 3.2.2 and 4.1.1; RFC 3596.
A, PTR, AAAA, IN = 1, 12, 28, 1
RESPONSE, RECURSION_AVAILABLE, NO_SUCH_NAME = 0x8000, 0x0080, 3
HEADER = struct.Struct("!6H")
TYPES = {4: A, 6: AAAA}
TTL_SECONDS = 60
SECONDS = 10.0
MESSAGE = 4096
# A compression pointer to the name in the question, which follows the header (4.1.4).
THE_NAME_ASKED_FOR = 0xC000 | HEADER.size


def answer(query: bytes, known: Mapping[str, Sequence[str]]) -> bytes:
    """Return the answer to `query` by a server that knows only the names in `known` and their addresses."""
    number, flags, *_ = HEADER.unpack_from(query)
    name = question(query) or ""
    end = HEADER.size + len(name) + 2 + 4
    (wanted,) = struct.unpack_from("!H", query, end - 4)
    records = list(_records(name.lower(), known))
    wanted_ones = [_record(kind, data) for kind, data in records if kind == wanted]
    flags |= RESPONSE | RECURSION_AVAILABLE | (0 if records else NO_SUCH_NAME)
    return HEADER.pack(number, flags, 1, len(wanted_ones), 0, 0) + query[HEADER.size : end] + b"".join(wanted_ones)


def _records(name: str, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[int, bytes]]:
    """Yield type and data of every record of `name`."""
    for host, addresses in known.items():
        for address in map(ipaddress.ip_address, addresses):
            if name == host:
                yield TYPES[address.version], address.packed
            if name == address.reverse_pointer:
                yield PTR, b"".join(bytes([len(label)]) + label.encode() for label in (*host.split("."), ""))


def _record(kind: int, data: bytes) -> bytes:
    return struct.pack("!HHHIH", THE_NAME_ASKED_FOR, kind, IN, TTL_SECONDS, len(data)) + data


@contextlib.contextmanager
def name_server(host: str, known: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Answer queries on port 53 of `host` for the length of the block."""

    class Datagrams(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, server = self.request
            server.sendto(answer(query, known), self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while length := self.rfile.read(2):
                reply = answer(self.rfile.read(int.from_bytes(length)), known)
                self.wfile.write(len(reply).to_bytes(2) + reply)

    with serving(socketserver.ThreadingUDPServer((host, 53), Datagrams)), serving(Server4((host, 53), Stream)):
        yield


@contextlib.contextmanager
def stub(namespace: Namespace, host: str, server: str) -> Iterator[None]:
    """Forward queries by UDP from `host` in a namespace to a name server, as systemd-resolved's stub does."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, asked = self.request
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forward:
                forward.settimeout(SECONDS)
                forward.sendto(query, (server, 53))
                asked.sendto(forward.recv(MESSAGE), self.client_address)

    with contextlib.ExitStack() as stack:
        # The threads that are made inside stay inside, and so do their sockets.
        with namespace.inside():
            stack.enter_context(serving(socketserver.ThreadingUDPServer((host, 53), Forward)))
        yield
