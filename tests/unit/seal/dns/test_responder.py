"""The responders on real sockets."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from socksify.routing.fake_addresses import TABLE
from socksify.seal.dns import responder
from socksify.seal.dns.answers import Answers
from socksify.seal.dns.message import framed
from socksify.seal.dns.responder import TcpResponder, UdpResponder
from socksify.server.core.loop import READABLE, Loop
from tests.unit.seal.dns.parts import HOST, SECONDS, LoopbackDialer, Serve, data_of

# <linux/in.h>; Python 3.11 does not have it.
IP_PKTINFO = 8

Make = Callable[..., Answers]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_name_gets_its_fake_address(answers: Make, serve: Serve, transport: str) -> None:
    port = serve(answers())
    for kind in ("A", "AAAA"):
        query = dns.message.make_query("www.target.example", kind)
        response = getattr(dns.query, transport)(query, HOST, SECONDS, port)
        assert TABLE.name_of(data_of(response)[0]) == "www.target.example"


def test_many_queries_over_udp(answers: Make, serve: Serve) -> None:
    port = serve(answers())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect((HOST, port))
        for number in range(100):
            client.send(dns.message.make_query(f"a{number}.example", "A", id=number).to_wire())
        found = [dns.message.from_wire(client.recv(512)) for _ in range(100)]
    assert [each.id for each in found] == list(range(100))
    assert data_of(found[99]) == [TABLE.address_of("a99.example")]


def test_garbage_over_udp_is_passed_over(answers: Make, serve: Serve) -> None:
    port = serve(answers())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect((HOST, port))
        for garbage in (b"", b"x", bytes(12), 60000 * b"\x80"):
            client.send(garbage)
        # The third is a query without a question.
        assert dns.message.from_wire(client.recv(512)).rcode() == dns.rcode.FORMERR
        client.send(dns.message.make_query("a.example", "A").to_wire())
        assert data_of(dns.message.from_wire(client.recv(512))) == [TABLE.address_of("a.example")]


def test_a_client_that_is_gone_does_no_harm(answers: Make, serve: Serve) -> None:
    port = serve(answers())
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(dns.message.make_query("a.example", "A").to_wire(), (HOST, port))
    assert data_of(dns.query.udp(dns.message.make_query("a.example", "A"), HOST, SECONDS, port))


@pytest.mark.parametrize(
    ("family", "host", "option"),
    [
        (socket.AF_INET, "127.0.0.7", (socket.IPPROTO_IP, IP_PKTINFO)),
        (socket.AF_INET6, "::1", (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)),
    ],
)
def test_the_address_that_is_asked_is_known(loop: Loop, family: int, host: str, option: tuple[int, int]) -> None:
    asked: list[str | None] = []

    class Recorder:
        def answer(self, data: bytes, reply: Callable[[bytes], object], server: str | None) -> None:
            asked.append(server)
            reply(data)
            loop.stop()

    datagrams = loop.datagrams(family)
    datagrams.setsockopt(*option, 1)
    datagrams.bind((host, 0))
    UdpResponder(loop, datagrams, Recorder())  # type: ignore[arg-type]
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect(datagrams.getsockname())
        client.send(b"query")
        loop.run()
        assert client.recv(512) == b"query"
    assert asked == [host]


def test_an_error_in_one_answer_does_not_end_the_others(
    answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = answers()
    answer = made.answer

    def fail_once(*_: object, **__: object) -> bool:
        monkeypatch.setattr(made, "answer", answer)
        raise ZeroDivisionError

    monkeypatch.setattr(made, "answer", fail_once)
    port = serve(made)
    query = dns.message.make_query("a.example", "A")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(query.to_wire(), (HOST, port))
        assert data_of(dns.query.udp(query, HOST, SECONDS, port)) == [TABLE.address_of("a.example")]
    assert "ZeroDivisionError" in capfd.readouterr().err


def connected(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), SECONDS)


def received(client: socket.socket, count: int) -> list[dns.message.Message]:
    with client.makefile("rb") as file:
        return [dns.message.from_wire(file.read(int.from_bytes(file.read(2), "big"))) for _ in range(count)]


def at_end(client: socket.socket) -> bool:
    """Return True if the responder has closed the connection. Unread queries make that a reset."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_several_queries_share_a_connection(answers: Make, serve: Serve) -> None:
    queries = [dns.message.make_query(f"a{number}.example", "A", id=number) for number in range(200)]
    sent = b"".join(framed(query.to_wire()) for query in queries)
    with connected(serve(answers())) as client:
        client.sendall(sent[:1001])
        client.sendall(sent[1001:])
        assert [response.id for response in received(client, 200)] == list(range(200))


def test_a_client_may_close_its_side_at_once(answers: Make, serve: Serve) -> None:
    with connected(serve(answers())) as client:
        client.sendall(framed(dns.message.make_query("a.example", "A").to_wire()))
        client.shutdown(socket.SHUT_WR)
        assert data_of(received(client, 1)[0]) == [TABLE.address_of("a.example")]
        assert at_end(client)


def test_responses_that_take_time_are_awaited(answers: Make, serve: Serve, dialer: LoopbackDialer) -> None:
    with socket.create_server((HOST, 0)) as silent:
        silent.settimeout(SECONDS)
        dialer.port = silent.getsockname()[1]
        with connected(serve(answers(dns_server="192.0.2.53"))) as client:
            client.sendall(framed(dns.message.make_query("a.example", "MX", id=1).to_wire()))
            client.sendall(framed(dns.message.make_query("a.example", "A", id=2).to_wire()))
            client.shutdown(socket.SHUT_WR)
            assert received(client, 1)[0].id == 2
            for _ in range(2):
                silent.accept()[0].close()
            assert received(client, 1)[0].rcode() == dns.rcode.SERVFAIL
            assert at_end(client)


@pytest.mark.parametrize("garbage", [b"\0\0", framed(b"x"), framed(b"\0\0\x80" + bytes(9))])
def test_garbage_ends_a_connection(answers: Make, serve: Serve, garbage: bytes) -> None:
    with connected(serve(answers())) as client:
        client.sendall(garbage)
        assert at_end(client)


def test_a_client_that_does_not_read_loses_its_connection(
    answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responder, "_MOST_UNREAD", 100)
    query = framed(dns.message.make_query("a.example", "A").to_wire())
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(SECONDS)
        client.connect((HOST, serve(answers())))
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(100 * query)


def test_an_idle_connection_is_closed(answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "_IDLE_SECONDS", 0.05)
    with connected(serve(answers())) as client:
        assert at_end(client)


def test_connections_are_bounded(answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "_MOST_CLIENTS", 2)
    port = serve(answers())
    query = dns.message.make_query("a.example", "A")
    with connected(port) as first, connected(port) as second:
        for client in (first, second):
            client.sendall(framed(query.to_wire()))
            assert received(client, 1)
        with connected(port) as third:
            assert at_end(third)
    assert data_of(dns.query.udp(query, HOST, SECONDS, port))


def test_a_shortage_of_descriptors_passes(
    answers: Make, serve: Serve, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, refused = loop.accept, threading.Event()

    def refuse_once(listener: Any) -> Any:
        if refused.is_set():
            return accept(listener)
        refused.set()
        raise OSError(errno.EMFILE, "no descriptor is left")

    monkeypatch.setattr(loop, "accept", refuse_once)
    monkeypatch.setattr(responder, "PAUSE_SECONDS", 0.01)
    query = dns.message.make_query("a.example", "A")
    assert data_of(dns.query.tcp(query, HOST, SECONDS, serve(answers())))
    assert refused.is_set()


def test_a_response_may_come_after_close(loop: Loop, answers: Make, dialer: LoopbackDialer) -> None:
    datagrams = loop.datagrams(socket.AF_INET)
    datagrams.bind((HOST, 0))
    made = answers(dns_server="192.0.2.53")
    over_udp = UdpResponder(loop, datagrams, made)
    with socket.create_server((HOST, 0)) as silent, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        dialer.port = silent.getsockname()[1]
        client.sendto(dns.message.make_query("a.example", "MX").to_wire(), datagrams.getsockname())

        def close(*_: int) -> None:
            over_udp.close()
            made.close()
            loop.stop()

        # The query has been taken when the connection for it arrives.
        loop.watch(silent.fileno(), READABLE, close)
        loop.run()
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(512)


def test_nothing_is_left_after_close(loop: Loop, answers: Make) -> None:
    listener = loop.stream(socket.AF_INET)
    listener.bind((HOST, 0))
    listener.listen()
    port = listener.getsockname()[1]
    datagrams = loop.datagrams(socket.AF_INET)
    over_tcp, over_udp = TcpResponder(loop, listener, answers()), UdpResponder(loop, datagrams, answers())
    thread = threading.Thread(target=loop.run)
    thread.start()
    with connected(port) as client:
        client.sendall(framed(dns.message.make_query("a.example", "A").to_wire()))
        assert received(client, 1)
        loop.call(over_udp.close)
        loop.call(over_tcp.close)
        loop.stop()
        assert at_end(client)
    thread.join(SECONDS)
    assert listener.fileno() == datagrams.fileno() == -1
