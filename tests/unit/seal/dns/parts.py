"""What the tests of DNS share: messages, a dialer without a proxy, and a name server over TCP that follows a script."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from socksify.routing.route import Via
from socksify.seal.dns.answers import Answers
from socksify.seal.dns.message import framed
from socksify.seal.dns.native_exchange import NativeDial
from socksify.server.core.loop import Loop

HOST = "127.0.0.1"
SECONDS = 20

Serve = Callable[[Answers], int]


def ask(answers: Answers, name: str, kind: str = "A", **options: Any) -> dns.message.Message:
    """Return the response to a query that is answered at once."""
    query = dns.message.make_query(name, kind, **options)
    replies: list[bytes] = []
    assert answers.answer(query.to_wire(), replies.append)
    (data,) = replies
    response = dns.message.from_wire(data)
    assert query.is_response(response)
    return response


def data_of(response: dns.message.Message) -> list[str]:
    """Return the data of the records in the answer. The response has to be one without an error."""
    assert response.rcode() == dns.rcode.NOERROR, response
    return [str(record) for rrset in response.answer for record in rrset]


def response_to(query: dns.message.Message, *records: str, additional: str = "") -> dns.message.Message:
    """Return a response with these records, each as "type data"."""
    response = dns.message.make_response(query, recursion_available=True)
    for record in records:
        kind, _, data = record.partition(" ")
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, data))
    if additional:
        name, kind, data = additional.split()
        response.additional.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, data))
    return response


class LoopbackDialer:
    """Takes the place of the Dialer: it connects to a port of loopback, and keeps the routes. Port 0 is a failure."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.port = 0
        self.routes: list[Via] = []
        self.told: list[str] = []
        self.sock: Any = None

    @property
    def notices(self) -> LoopbackDialer:
        return self

    def tell(self, message: str) -> None:
        self.told.append(message)

    def fresh(self, route: Via, seconds: float, done: Callable[[OSError | None], object]) -> LoopbackDialer:
        self.routes.append(route)
        assert seconds

        def connected(sock: Any) -> None:
            self.sock = sock
            done(None if sock is not None else OSError("no connection"))

        self._connected = connected
        return self

    def start(self) -> None:
        if self.port:
            NativeDial(self._loop, (HOST, self.port), self._connected)
        else:
            self._connected(None)


class Stream:
    """One connection of a client to the server."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb")

    def receive(self) -> dns.message.Message | None:
        """Return the next query, or None at the end."""
        size = self._file.read(2)
        return dns.message.from_wire(self._file.read(int.from_bytes(size, "big"))) if size else None

    def send(self, *responses: dns.message.Message | bytes) -> None:
        messages = [each if isinstance(each, bytes) else each.to_wire(max_size=65535) for each in responses]
        self._socket.sendall(b"".join(map(framed, messages)))

    def close(self) -> None:
        self._file.close()
        self._socket.close()


Script = Callable[[Stream], object]


@contextlib.contextmanager
def tcp_server(*scripts: Script) -> Iterator[int]:
    """Serve one connection after another, each by its script. Yield the port; at the end, all scripts have run."""
    failures: list[BaseException] = []
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(SECONDS)

        def run() -> None:
            try:
                for script in scripts:
                    sock, _ = listener.accept()
                    sock.settimeout(SECONDS)
                    stream = Stream(sock)
                    try:
                        script(stream)
                    finally:
                        stream.close()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(2 * SECONDS)
            assert not thread.is_alive()
            assert not failures, failures
