"""Questions for name servers: which server hears them, over what, and what the client gets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from errno import EMFILE

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from socksify.routing import local_host
from socksify.routing.fake_addresses import TABLE
from socksify.seal.dns import connection, forwarding, native_exchange
from socksify.seal.dns.answers import Answers
from socksify.server.core.loop import Loop
from tests.support.routing import gone, open_fds
from tests.unit.patches.adapters.name_server import NameServer, name_server
from tests.unit.seal.dns.parts import (
    HOST,
    SECONDS,
    LoopbackDialer,
    Serve,
    Stream,
    ask,
    data_of,
    response_to,
    tcp_server,
)

Make = Callable[..., Answers]
PROXY = "socks5h://192.0.2.1:1080"
SERVER = {"dns_server": "192.0.2.53"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """The machine's own name server, over UDP, on a port that a test may have."""
    with name_server() as server:
        monkeypatch.setattr(forwarding, "_DOMAIN", server.port)
        yield server


def by_udp(port: int, name: str, kind: str, **options: object) -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, kind, **options), HOST, SECONDS, port)  # type: ignore[arg-type]


def by_tcp(port: int, name: str, kind: str) -> dns.message.Message:
    return dns.query.tcp(dns.message.make_query(name, kind), HOST, SECONDS, port)


def test_a_direct_name_is_asked_for_at_the_name_server(answers: Make, serve: Serve, server: NameServer) -> None:
    port = serve(answers("*.lan=direct"))
    assert data_of(by_udp(port, "a.lan", "A")) == ["192.0.2.7"]
    assert data_of(by_udp(port, "a.lan", "AAAA")) == ["2001:db8::7"]
    assert data_of(by_udp(port, "a.lan", "MX")) == ["10 mail.example."]
    assert data_of(by_udp(port, "www.example", "A")) == [TABLE.address_of("www.example")]
    assert server.asked == [("a.lan", "A"), ("a.lan", "AAAA"), ("a.lan", "MX")]


@pytest.mark.parametrize(
    "setting", [{"dns": "local"}, {"proxy": "socks5://192.0.2.1"}, {"proxy": "socks4://192.0.2.1"}]
)
def test_every_name_is_asked_for_where_names_are_resolved_here(
    answers: Make, serve: Serve, server: NameServer, setting: dict[str, str]
) -> None:
    port = serve(answers(**setting))
    assert data_of(by_udp(port, "www.example", "A")) == ["192.0.2.7"]
    assert data_of(by_udp(port, "1.2.0.192.in-addr.arpa", "PTR")) == ["pointed.example."]
    assert server.asked == [("www.example", "A"), ("1.2.0.192.in-addr.arpa", "PTR")]


def test_the_name_of_a_direct_address_is_asked_for(answers: Make, serve: Serve, server: NameServer) -> None:
    port = serve(answers("192.0.2.0/24=direct"))
    assert data_of(by_udp(port, "1.2.0.192.in-addr.arpa", "PTR")) == ["pointed.example."]
    assert by_udp(port, "1.113.0.203.in-addr.arpa", "PTR").rcode() == dns.rcode.NXDOMAIN
    assert server.asked == [("1.2.0.192.in-addr.arpa", "PTR")]


@pytest.mark.usefixtures("server")
def test_a_real_address_in_a_fake_network_is_not_taken_for_a_fake_one(answers: Make, serve: Serve) -> None:
    TABLE.configure(("192.0.2.0/24", "100::/64"))
    try:
        assert TABLE.is_fake("192.0.2.7")
        assert data_of(by_udp(serve(answers("*.lan=direct")), "a.lan", "A")) == ["192.0.2.7"]
        assert not TABLE.is_fake("192.0.2.7")
    finally:
        TABLE.configure(("198.18.0.0/15", "100::/64"))


def test_a_refused_datagram_is_a_failure(answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((HOST, 0))
        monkeypatch.setattr(forwarding, "_DOMAIN", closed.getsockname()[1])
    assert by_udp(serve(answers("*.lan=direct")), "a.lan", "A").rcode() == dns.rcode.SERVFAIL


def test_a_silent_server_is_a_failure(answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_exchange, "_ANSWER_SECONDS", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        monkeypatch.setattr(forwarding, "_DOMAIN", silent.getsockname()[1])
        assert by_udp(serve(answers("*.lan=direct")), "a.lan", "A").rcode() == dns.rcode.SERVFAIL


def test_a_silent_server_is_left_for_the_next_one(
    answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch, server: NameServer
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.2", server.port))
        silent.settimeout(SECONDS)
        monkeypatch.setattr(native_exchange, "_ANSWER_SECONDS", 0.05)
        monkeypatch.setattr(local_host, "nameservers", lambda: ("127.0.0.2", HOST))
        port = serve(answers("*.lan=direct"))
        assert by_udp(port, "a.lan", "A").rcode() == dns.rcode.SERVFAIL
        assert silent.recv(512)
        monkeypatch.setattr(native_exchange, "_ANSWER_SECONDS", float(SECONDS))
        assert data_of(by_udp(port, "a.lan", "A")) == ["192.0.2.7"]
        # If no server answers, the first one is asked again.
        monkeypatch.setattr(local_host, "nameservers", lambda: ("127.0.0.2",))
        monkeypatch.setattr(native_exchange, "_ANSWER_SECONDS", 0.05)
        assert by_udp(port, "a.lan", "A").rcode() == dns.rcode.SERVFAIL
        assert silent.recv(512)


def test_without_a_descriptor_it_is_a_failure(
    answers: Make, monkeypatch: pytest.MonkeyPatch, loop: Loop, dialer: LoopbackDialer
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(EMFILE, "no descriptor is left")

    dialer.port = 9
    monkeypatch.setattr(loop, "stream", refuse)
    monkeypatch.setattr(loop, "datagrams", refuse)
    assert ask(answers(**SERVER), "www.example", "MX").rcode() == dns.rcode.SERVFAIL
    assert ask(answers("*.lan=direct"), "a.lan", "A").rcode() == dns.rcode.SERVFAIL
    monkeypatch.setattr(local_host, "own_name", refuse)
    assert ask(answers(), "1.113.0.203.in-addr.arpa", "PTR").rcode() == dns.rcode.SERVFAIL


def test_a_forged_response_is_not_passed_on(answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, 0))
        server.settimeout(SECONDS)
        monkeypatch.setattr(forwarding, "_DOMAIN", server.getsockname()[1])
        port = serve(answers("*.lan=direct"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(SECONDS)
            query = dns.message.make_query("a.lan", "A", id=7)
            client.sendto(query.to_wire(), (HOST, port))
            data, peer = server.recvfrom(512)
            assert data == query.to_wire()
            forged = dns.message.make_query("a.lan", "A", id=8)
            server.sendto(response_to(forged, "A 203.0.113.66").to_wire(), peer)
            server.sendto(response_to(query, "A 192.0.2.7").to_wire(), peer)
            assert data_of(dns.message.from_wire(client.recv(512))) == ["192.0.2.7"]


def test_a_client_of_tcp_is_answered_over_tcp(answers: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(stream: Stream) -> None:
        query = stream.receive()
        assert query is not None
        stream.send(response_to(query, *(f"A 192.0.2.{number}" for number in range(1, 100))))
        assert stream.receive() is None

    monkeypatch.setattr(connection, "_IDLE_SECONDS", 0.01)
    with tcp_server(script) as server_port:
        monkeypatch.setattr(forwarding, "_DOMAIN", server_port)
        assert len(data_of(by_tcp(serve(answers("*.lan=direct")), "a.lan", "A"))) == 99


def test_the_server_that_the_client_means_is_asked(answers: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(forwarding, "UdpExchange", lambda _, address, *__: asked.append(address[0]))
    monkeypatch.setattr(local_host, "nameservers", lambda: ("192.0.2.53", "2001:db8::53"))
    query = dns.message.make_query("a.lan", "A").to_wire()
    made = answers("*.lan=direct", "198.51.100.53=direct")
    for server in (None, "2001:db8::53", "198.51.100.53"):
        assert made.answer(query, lambda _: None, server)
    assert asked == ["192.0.2.53", "2001:db8::53", "198.51.100.53"]


def test_a_link_local_server_is_asked_by_its_interface(answers: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(forwarding, "sockaddr", lambda host, port: (host, port, 0, 7))
    monkeypatch.setattr(local_host, "nameservers", lambda: ("fe80::53",))
    monkeypatch.setattr(forwarding, "UdpExchange", lambda _, address, *__: asked.append(address))
    monkeypatch.setattr(forwarding, "NativeDial", lambda _, address, __: asked.append(address))
    query = dns.message.make_query("a.lan", "A").to_wire()
    made = answers("*.lan=direct")
    for over_tcp in (False, True):
        assert made.answer(query, lambda _: None, "fe80::53", over_tcp=over_tcp)
    assert asked == 2 * [("fe80::53", 53, 0, 7)]


def test_another_server_is_asked_through_its_proxy(answers: Make, dialer: LoopbackDialer) -> None:
    """As the patches do: a name that is resolved here may be asked for at any server, by the rules for that server."""
    replies: list[bytes] = []
    made = answers("*.lan=direct")
    assert made.answer(dns.message.make_query("a.lan", "A").to_wire(), replies.append, "203.0.113.53")
    (route,) = dialer.routes
    assert (route.target.host, route.target.port, route.chain[0].url) == ("203.0.113.53", 53, PROXY)
    assert [dns.message.from_wire(each).rcode() for each in replies] == [dns.rcode.SERVFAIL]


def test_a_blocked_server_is_not_asked(answers: Make, dialer: LoopbackDialer, log_lines: list[str]) -> None:
    replies: list[bytes] = []
    made = answers("*.lan=direct", "203.0.113.0/24=block")
    assert made.answer(dns.message.make_query("a.lan", "A").to_wire(), replies.append, "203.0.113.53")
    assert [dns.message.from_wire(each).rcode() for each in replies] == [dns.rcode.REFUSED]
    assert "DNS 203.0.113.53:53 denied: blocked by rule" in log_lines[0]
    assert dialer.told[0].startswith("DNS to 203.0.113.53:53 refused: blocked by rule")


def test_other_records_are_asked_for_through_the_proxy(answers: Make, serve: Serve, dialer: LoopbackDialer) -> None:
    def script(stream: Stream) -> None:
        query = stream.receive()
        assert query is not None
        assert (str(query.question[0]), query.edns) == ("www.example. IN MX", 0)
        stream.send(response_to(query, "MX 10 mail.example.", additional="mail.example A 192.0.2.7"))

    with tcp_server(script) as dialer.port:
        port = serve(answers(dns_server="[2001:db8::53]:5353"))
        response = by_udp(port, "www.example", "MX", use_edns=0)
        assert data_of(response) == ["10 mail.example."]
        assert response.additional == []
        assert data_of(by_udp(port, "www.example", "A")) == [TABLE.address_of("www.example")]
    (route,) = dialer.routes
    assert (route.target.host, route.target.port, route.chain[0].url) == ("2001:db8::53", 5353, PROXY)


@pytest.mark.parametrize("kind", ["HTTPS", "SVCB"])
def test_records_with_addresses_in_them_are_empty(answers: Make, dialer: LoopbackDialer, kind: str) -> None:
    assert data_of(ask(answers(**SERVER), "www.example", kind)) == []
    assert not dialer.routes


def test_the_name_of_an_address_is_asked_for_through_the_proxy(
    answers: Make, serve: Serve, dialer: LoopbackDialer
) -> None:
    def script(stream: Stream) -> None:
        query = stream.receive()
        assert query is not None
        stream.send(response_to(query, "PTR pointed.example."))

    with tcp_server(script) as dialer.port:
        port = serve(answers(**SERVER))
        assert data_of(by_udp(port, "1.113.0.203.in-addr.arpa", "PTR")) == ["pointed.example."]


def test_the_name_of_an_unknown_fake_address_is_not_asked_for(answers: Make, dialer: LoopbackDialer) -> None:
    TABLE.configure(("198.18.0.0/16", "100::/64"))
    try:
        assert ask(answers(**SERVER), "9.9.18.198.in-addr.arpa", "PTR").rcode() == dns.rcode.NXDOMAIN
    finally:
        TABLE.configure(("198.18.0.0/15", "100::/64"))
    assert not dialer.routes


def test_a_large_response_makes_the_client_come_by_tcp(answers: Make, serve: Serve, dialer: LoopbackDialer) -> None:
    text = "TXT " + " ".join(f'"{200 * letter}"' for letter in "abcdefgh")

    def script(stream: Stream) -> None:
        for _ in range(2):
            query = stream.receive()
            assert query is not None
            stream.send(response_to(query, text))

    with tcp_server(script) as dialer.port:
        port = serve(answers(**SERVER))
        query = dns.message.make_query("www.example", "TXT", use_edns=0, payload=1232)
        cut = dns.query.udp(query, HOST, SECONDS, port)
        assert cut.flags & dns.flags.TC
        assert (cut.answer, cut.edns) == ([], 0)
        assert len(data_of(by_tcp(port, "www.example", "TXT"))[0]) > 1600
    assert len(dialer.routes) == 1


def test_without_a_connection_it_is_a_failure(answers: Make, dialer: LoopbackDialer) -> None:
    assert ask(answers(**SERVER), "www.example", "MX").rcode() == dns.rcode.SERVFAIL
    assert len(dialer.routes) == 1


def test_a_direct_server_is_asked_natively(answers: Make, serve: Serve, dialer: LoopbackDialer) -> None:
    def script(stream: Stream) -> None:
        query = stream.receive()
        assert query is not None
        stream.send(response_to(query, "MX 10 mail.example."))

    with tcp_server(script) as port:
        assert data_of(by_udp(serve(answers(dns_server=f"{HOST}:{port}")), "www.example", "MX")) == ["10 mail.example."]
    assert not dialer.routes


@pytest.mark.parametrize("rule", ["dns.example=direct", "192.0.2.53=block"])
def test_a_server_that_cannot_be_asked_is_named(
    answers: Make, dialer: LoopbackDialer, log_lines: list[str], rule: str
) -> None:
    host = rule.partition("=")[0]
    assert ask(answers(rule, dns_server=host), "www.example", "MX").rcode() == dns.rcode.REFUSED
    assert f"DNS {host}:53 denied: " in log_lines[0]
    assert not dialer.routes


def test_a_server_whose_proxy_takes_no_names_is_named(answers: Make, dialer: LoopbackDialer) -> None:
    made = answers("dns.example=socks4://192.0.2.4:1080", dns="remote", dns_server="dns.example")
    assert ask(made, "www.example", "MX").rcode() == dns.rcode.REFUSED
    assert "takes no names" in dialer.told[0]


@pytest.mark.parametrize("over_tcp", [False, True])
def test_a_server_that_cannot_be_reached_is_a_failure(
    answers: Make, monkeypatch: pytest.MonkeyPatch, over_tcp: bool
) -> None:
    monkeypatch.setattr(local_host, "nameservers", lambda: ("255.255.255.255",))
    replies: list[bytes] = []
    answers("*.lan=direct").answer(dns.message.make_query("a.lan", "A").to_wire(), replies.append, over_tcp=over_tcp)
    assert [dns.message.from_wire(each).rcode() for each in replies] == [dns.rcode.SERVFAIL]


def test_nothing_is_left_of_many_queries(
    answers: Make, serve: Serve, dialer: LoopbackDialer, monkeypatch: pytest.MonkeyPatch, server: NameServer
) -> None:
    def script(stream: Stream) -> None:
        while (query := stream.receive()) is not None:
            stream.send(response_to(query, "MX 10 mail.example."))

    monkeypatch.setattr(connection, "_IDLE_SECONDS", 0.2)
    port = serve(answers("*.lan=direct", **SERVER))
    before = open_fds()
    with tcp_server(script) as dialer.port:
        for number in range(100):
            assert data_of(by_udp(port, f"a{number}.lan", "A"))
            assert data_of(by_udp(port, f"a{number}.example", "MX"))
    assert len(server.asked) == 100
    gone(lambda: open_fds() - before)


def test_a_named_server_is_resolved_by_the_proxy(answers: Make, dialer: LoopbackDialer) -> None:
    ask(answers(dns_server="dns.example"), "www.example", "MX")
    assert dialer.routes[0].target.host == "dns.example"


def test_the_connection_has_a_circuit_of_its_own(answers: Make, dialer: LoopbackDialer) -> None:
    made = answers(isolate="host", **SERVER)
    for _ in range(2):
        ask(made, "www.example", "MX")
    first, second = dialer.routes
    assert first.isolation is not None
    assert first.isolation != second.isolation


def test_queries_in_flight_are_bounded(answers: Make, monkeypatch: pytest.MonkeyPatch, dialer: LoopbackDialer) -> None:
    monkeypatch.setattr(forwarding, "_MOST_PENDING", 3)
    replies: list[bytes] = []
    with socket.create_server((HOST, 0)) as silent:
        dialer.port = silent.getsockname()[1]
        made = answers(**SERVER)
        for number in range(5):
            made.answer(dns.message.make_query("www.example", "MX", id=number).to_wire(), replies.append)
        assert [dns.message.from_wire(each).id for each in replies] == [3, 4]
        made.close()
        assert [dns.message.from_wire(each).id for each in replies] == [3, 4, 0, 1, 2]
    assert {dns.message.from_wire(each).rcode() for each in replies} == {dns.rcode.SERVFAIL}
