"""dnspython asks by datagrams. Questions that could only be refused are answered; others go through the proxy."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import dns.asyncbackend
import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.message
import dns.nameserver
import dns.opcode
import dns.query
import dns.resolver
import dns.reversename
import dns.update
import pytest
import trio

from socksify.routing import fake_addresses, local_host
from tests.support.bad_proxy import BadProxy, Script, Session
from tests.support.routing import routed
from tests.support.steps import READ_GREETING, READ_REQUEST, Send, good, socks5_reply
from tests.unit.patches.adapters.name_server import RECORDS, NameServer, name_server

# Nobody listens there.
PROXY = "socks5h://127.0.0.1:9"
# Nobody is there either: what is sent there past the proxy is lost.
FAR = "203.0.113.53"
SECONDS = 5.0

Ask = Callable[..., Any]


def _in_asyncio(call: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
    async def main() -> Any:
        return await call(*args, backend=dns.asyncbackend.get_backend("asyncio"), **kwargs)

    return asyncio.run(main())


def _in_trio(call: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
    return trio.run(functools.partial(call, *args, backend=dns.asyncbackend.get_backend("trio"), **kwargs))


def _resolver(cls: Any, server: str, port: int = 53) -> Any:
    resolver = cls(configure=False)
    resolver.nameservers, resolver.port = [server], port
    resolver.timeout = resolver.lifetime = SECONDS
    return resolver


# The functions are looked up when they are called: one that was taken out of its module before is not wrapped.
UDP: dict[str, Ask] = {
    "blocking": lambda *args, **kwargs: dns.query.udp(*args, **kwargs),
    "asyncio": lambda *args, **kwargs: _in_asyncio(dns.asyncquery.udp, *args, **kwargs),
    "trio": lambda *args, **kwargs: _in_trio(dns.asyncquery.udp, *args, **kwargs),
    "blocking, with fallback": lambda *args, **kwargs: dns.query.udp_with_fallback(*args, **kwargs)[0],
    "asyncio, with fallback": lambda *args, **kwargs: _in_asyncio(dns.asyncquery.udp_with_fallback, *args, **kwargs)[0],
}
TCP: dict[str, Ask] = {
    "blocking": dns.query.tcp,
    "asyncio": functools.partial(_in_asyncio, dns.asyncquery.tcp),
    "trio": functools.partial(_in_trio, dns.asyncquery.tcp),
}


def resolve_blocking(server: str, port: int, *args: Any, **kwargs: Any) -> Any:
    return _resolver(dns.resolver.Resolver, server, port).resolve(*args, **kwargs)


def resolve_in_asyncio(server: str, port: int, *args: Any, **kwargs: Any) -> Any:
    return _in_asyncio(_resolver(dns.asyncresolver.Resolver, server, port).resolve, *args, **kwargs)


def resolve_in_trio(server: str, port: int, *args: Any, **kwargs: Any) -> Any:
    return _in_trio(_resolver(dns.asyncresolver.Resolver, server, port).resolve, *args, **kwargs)


RESOLVE: dict[str, Ask] = {"blocking": resolve_blocking, "asyncio": resolve_in_asyncio, "trio": resolve_in_trio}


@pytest.fixture(params=UDP)
def udp(request: pytest.FixtureRequest) -> Ask:
    return UDP[request.param]


@pytest.fixture(params=RESOLVE)
def resolve(request: pytest.FixtureRequest) -> Ask:
    return RESOLVE[request.param]


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def asked(server: NameServer) -> list[tuple[str, str]]:
    """What the name server has been asked in this test."""
    server.asked.clear()
    return server.asked


def found(response: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in response.answer for rdata in rrset]


@pytest.mark.parametrize(("kind", "family"), [("A", socket.AF_INET), ("AAAA", socket.AF_INET6)])
@pytest.mark.parametrize("where", [FAR, "2001:db8::53"])
def test_addresses_are_fake(udp: Ask, where: str, kind: str, family: int) -> None:
    query = dns.message.make_query("Routed.example", kind)
    with routed(PROXY, routes=()):
        response = udp(query, where, timeout=SECONDS)
        assert found(response) == [fake_addresses.TABLE.address_of("routed.example", family)]
    assert query.is_response(response)
    assert response.answer[0].ttl == 0


def test_the_resolver_finds_them(resolve: Ask) -> None:
    with routed(PROXY, routes=()):
        assert [record.address for record in resolve(FAR, 53, "routed.example", "A")] == [
            socket.gethostbyname("routed.example")
        ]
        with pytest.raises(dns.resolver.NXDOMAIN):
            resolve(FAR, 53, "with\\032space.example", "A")


def test_a_fake_address_has_its_name(resolve: Ask) -> None:
    with routed(PROXY, routes=()):
        for address in (
            fake_addresses.TABLE.address_of("routed.example", family) for family in (socket.AF_INET, socket.AF_INET6)
        ):
            answer = resolve(FAR, 53, dns.reversename.from_address(address), "PTR")
            assert [record.target.to_text() for record in answer] == ["routed.example."]


def test_taken_out_of_its_module_before_it_is_refused() -> None:
    udp = dns.query.udp
    with routed(PROXY, routes=()), pytest.raises(PermissionError, match="udp"):
        udp(dns.message.make_query("routed.example", "A"), FAR, timeout=SECONDS)


@pytest.mark.parametrize("kind", ["MX", "TXT", "SRV", "HTTPS", "ANY"])
def test_other_records_are_refused_by_datagram(udp: Ask, kind: str) -> None:
    with routed(PROXY, routes=()), pytest.raises(PermissionError, match="udp"):
        udp(dns.message.make_query("routed.example", kind), FAR, timeout=SECONDS)


def test_so_is_the_name_of_a_routed_address(udp: Ask) -> None:
    question = dns.message.make_query(dns.reversename.from_address("203.0.113.5"), "PTR")
    with routed(PROXY, routes=()), pytest.raises(PermissionError, match="udp"):
        udp(question, FAR, timeout=SECONDS)


def no_queries() -> dict[str, dns.message.Message]:
    """Messages that ask nothing of what is known here, though they have its name in them."""
    query = dns.message.make_query("routed.example", "A")
    notify = dns.message.make_query("routed.example", "A")
    notify.set_opcode(dns.opcode.NOTIFY)
    update = dns.update.UpdateMessage("target.example")
    update.add("name", 60, "A", "192.0.2.1")
    of_two = dns.message.make_query("routed.example", "A")
    of_two.question += dns.message.make_query("other.example", "A").question
    of_none = dns.message.make_query("routed.example", "A")
    of_none.question.clear()
    return {
        "a response": dns.message.make_response(query),
        "NOTIFY": notify,
        "UPDATE": update,
        "two questions": of_two,
        "no question": of_none,
        "another class": dns.message.make_query("routed.example", "A", "CH"),
    }


@pytest.mark.parametrize("what", no_queries())
def test_what_is_no_query_is_not_answered(udp: Ask, what: str) -> None:
    with routed(PROXY), pytest.raises(PermissionError):
        udp(no_queries()[what], FAR, timeout=SECONDS)


def test_the_resolver_says_so_at_once(resolve: Ask) -> None:
    with routed(PROXY, routes=()), pytest.raises(dns.resolver.NoNameservers) as caught:
        resolve(FAR, 53, "routed.example", "MX")
    assert "[Errno 13]" in str(caught.value)
    assert "udp" in str(caught.value)


@pytest.mark.parametrize("forwarder", ["127.0.0.53", "::1"])
def test_a_name_server_on_this_machine_is_asked_nothing(
    monkeypatch: pytest.MonkeyPatch, resolve: Ask, forwarder: str
) -> None:
    """systemd-resolved and docker have one that asks others."""
    monkeypatch.setattr(local_host, "nameservers", lambda: (forwarder,))
    with routed(PROXY, routes=()):
        fake = fake_addresses.TABLE.address_of("routed.example")
        assert resolve(forwarder, 53, "routed.example", "A")[0].address == fake
        with pytest.raises(dns.resolver.NoNameservers, match="name server"):
            resolve(forwarder, 53, "routed.example", "MX")


@pytest.mark.parametrize("way", TCP)
def test_by_tcp_it_goes_through_the_proxy(way: str) -> None:
    def answer(session: Session) -> None:
        query = dns.message.from_wire(session.read(int.from_bytes(session.read(2))))
        response = dns.message.make_response(query).to_wire()
        session.stream.sendall(len(response).to_bytes(2) + response)

    script: Script = [READ_GREETING, Send(b"\5\0"), READ_REQUEST, Send(socks5_reply(0)), answer]
    with BadProxy(script) as proxy, routed(proxy.url(), routes=()):
        query = dns.message.make_query("routed.example", "MX")
        assert query.is_response(TCP[way](query, FAR, timeout=SECONDS))
        assert [session.target for session in proxy.sessions] == [(FAR, 53)]


@pytest.mark.parametrize("way", RESOLVE)
def test_the_resolver_by_tcp(way: str) -> None:
    with BadProxy(good("socks5", reply=4)) as proxy, routed(proxy.url(), routes=()):
        with pytest.raises(dns.resolver.NoNameservers, match=r"\[Errno 113\]"):
            RESOLVE[way](FAR, 53, "routed.example", "A", tcp=True)
        assert {session.target for session in proxy.sessions} == {(FAR, 53)}


def test_by_tls_it_goes_through_the_proxy() -> None:
    with BadProxy(good("socks5", reply=4)) as proxy, routed(proxy.url(), routes=()):
        with pytest.raises(OSError, match="No route to host"):
            dns.query.tls(dns.message.make_query("routed.example", "A"), FAR, timeout=SECONDS)
        assert [session.target for session in proxy.sessions] == [(FAR, 853)]


WAYS: dict[str, dict[str, Any]] = {
    "a direct name server": {"routes": ()},
    "names resolved here": {"routes": (), "dns": "local"},
    "datagrams allowed": {"routes": ("127.0.0.0/8=proxy",), "udp": "direct"},
}


@pytest.mark.parametrize("way", WAYS)
def test_what_may_be_asked_is_asked(server: NameServer, asked: list[tuple[str, str]], resolve: Ask, way: str) -> None:
    with routed(PROXY, **WAYS[way]):
        assert resolve("127.0.0.1", server.port, "here.example", "A")[0].address == RECORDS["A"]
        assert resolve("127.0.0.1", server.port, "here.example", "MX")[0].preference == 10
    assert asked == [("here.example", "A"), ("here.example", "MX")]


@pytest.fixture
def overridden(asked: list[tuple[str, str]]) -> Iterator[Callable[[], None]]:
    """dnspython in the place of the system's resolver, which is put back in the end."""
    yield lambda: dns.resolver.override_system_resolver(_resolver(dns.resolver.Resolver, FAR))
    dns.resolver.restore_system_resolver()
    assert socket.gethostbyname.__module__ != "dns.resolver"
    assert asked == []


@pytest.mark.parametrize("when", ["before install()", "after install()"])
def test_the_system_resolver_overridden(
    overridden: Callable[[], None], asked: list[tuple[str, str]], when: str
) -> None:
    if when.startswith("before"):
        overridden()
    with routed(PROXY, routes=()):
        if when.startswith("after"):
            overridden()
        fake = fake_addresses.TABLE.address_of("routed.example")
        assert fake in {item[4][0] for item in socket.getaddrinfo("routed.example", 80)}
        assert socket.gethostbyname("routed.example") == fake
        assert socket.gethostbyname_ex("routed.example")[2] == [fake]
        assert socket.gethostbyaddr(fake)[0] == "routed.example"
        with pytest.raises(dns.resolver.NoNameservers):
            socket.getnameinfo(("203.0.113.5", 80), 0)
    assert asked == []


@pytest.mark.parametrize("when", ["before install()", "after install()"])
def test_the_system_resolver_restored(overridden: Callable[[], None], when: str) -> None:
    """It keeps the originals that it found; those are ours now."""
    if when.startswith("before"):
        overridden()
    with routed(PROXY, routes=()):
        if when.startswith("after"):
            overridden()
        dns.resolver.restore_system_resolver()
        fake = fake_addresses.TABLE.address_of("routed.example")
        assert socket.getaddrinfo("routed.example", 80, type=socket.SOCK_STREAM)[0][4] == (fake, 80)
        assert socket.gethostbyname("routed.example") == fake
        assert socket.gethostbyaddr(fake)[0] == "routed.example"
        assert socket.getnameinfo(("203.0.113.5", 80), 0)[0] == "203.0.113.5"
