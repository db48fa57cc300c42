"""A name server as small as can be, over UDP and TCP: it has the addresses of a few names, and no others exist."""

from __future__ import annotations

import contextlib
import ipaddress
import socketserver
import struct
from collections.abc import Iterator, Mapping, Sequence

from tests.targets import Server4, serving
from tests.wire.packets import question

# RFC 1035, 3.2.2 and 4.1.1; RFC 3596.
A, AAAA, IN = 1, 28, 1
RESPONSE, RECURSION_AVAILABLE, NO_SUCH_NAME = 0x8000, 0x0080, 3
HEADER = struct.Struct("!6H")
TYPES = {4: A, 6: AAAA}
TTL_SECONDS = 60
# A pointer to the name in the question, which comes right behind the header (4.1.4).
THE_NAME_ASKED_FOR = 0xC000 | HEADER.size


def answer(query: bytes, known: Mapping[str, Sequence[str]]) -> bytes:
    """The answer to a query, for a server that knows these names' addresses."""
    number, flags, *_ = HEADER.unpack_from(query)
    name = question(query) or ""
    end = HEADER.size + len(name) + 2 + 4
    (wanted,) = struct.unpack_from("!H", query, end - 4)
    addresses = [ipaddress.ip_address(text) for text in known.get(name.lower(), ())]
    records = [_record(address) for address in addresses if TYPES[address.version] == wanted]
    flags |= RESPONSE | RECURSION_AVAILABLE | (0 if addresses else NO_SUCH_NAME)
    return HEADER.pack(number, flags, 1, len(records), 0, 0) + query[HEADER.size : end] + b"".join(records)


def _record(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    head = struct.pack("!HHHIH", THE_NAME_ASKED_FOR, TYPES[address.version], IN, TTL_SECONDS, len(address.packed))
    return head + address.packed


@contextlib.contextmanager
def name_server(host: str, known: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Answers on port 53 of `host`."""

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
