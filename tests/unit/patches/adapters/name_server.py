"""A name server on loopback that records its questions: a name in one of them has leaked."""

from __future__ import annotations

import contextlib
import socketserver
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.name
import dns.rrset

from tests.support.targets import serving

RECORDS = {
    "A": "192.0.2.7",
    "AAAA": "2001:db8::7",
    "MX": "10 mail.example.",
    "TXT": '"text"',
    "PTR": "pointed.example.",
}


class NameServer(socketserver.ThreadingUDPServer):
    """Answers each question with the record of its type in RECORDS; `asked` are the (name, type) it was asked."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__((host, port), _Answer)

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port


class _Answer(socketserver.BaseRequestHandler):
    server: NameServer

    def handle(self) -> None:
        data, sock = self.request
        query = dns.message.from_wire(data)
        question = query.question[0]
        kind = question.rdtype.name
        self.server.asked.append((question.name.to_text(omit_final_dot=True), kind))
        answer = dns.message.make_response(query, recursion_available=True)
        if kind in RECORDS:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, RECORDS[kind]))
        sock.sendto(answer.to_wire(), self.client_address)


@contextlib.contextmanager
def name_server() -> Iterator[NameServer]:
    """Runs one for the length of the block."""
    with serving(NameServer()) as server:
        yield server
