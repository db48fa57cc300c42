"""What a question gets that is answered here, and the names that a resolver makes by its search list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, AF_INET6, gethostname

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socksify.routing import local_host
from socksify.routing.fake_addresses import TABLE
from socksify.routing.hosts_file import HostsFile, SystemFile
from socksify.seal.dns import answers as subject
from socksify.seal.dns.answers import Answers, parse_search_list
from tests.unit.seal.dns.parts import LoopbackDialer, ask, data_of

Make = Callable[..., Answers]
CLUSTER = b"nameserver 192.0.2.53\nsearch ns.svc.cluster.local svc.cluster.local Cluster.local.\noptions ndots:5\n"


@pytest.mark.parametrize("name", ["www.target.example", "WWW.tarGet.EXAMPLE.", "a_b.target.example", "single"])
def test_a_name_for_the_proxy_gets_its_fake_address(answers: Make, name: str) -> None:
    plain = name.lower().removesuffix(".")
    assert data_of(ask(answers(), name, "A")) == [TABLE.address_of(plain)]
    assert data_of(ask(answers(), name, "AAAA")) == [TABLE.address_of(plain, AF_INET6)]
    assert TABLE.name_of(TABLE.address_of(plain)) == plain


def test_nobody_may_keep_a_fake_address(answers: Make) -> None:
    assert [rrset.ttl for rrset in ask(answers(), "www.target.example").answer] == [0]


def test_a_question_for_any_record_gets_both_addresses(answers: Make) -> None:
    expected = [TABLE.address_of("any.example"), TABLE.address_of("any.example", AF_INET6)]
    assert data_of(ask(answers(), "any.example", "ANY")) == expected


def test_a_blocked_name_gets_an_address_too(answers: Make) -> None:
    assert data_of(ask(answers("blocked.example=block"), "blocked.example")) == [TABLE.address_of("blocked.example")]


@pytest.mark.parametrize("kind", ["MX", "TXT", "SRV", "NS", "SOA", "HTTPS", "SVCB", "NAPTR", "TYPE9999"])
@pytest.mark.parametrize("name", ["www.target.example", "_sip._tcp.target.example", "", "a b.target.example"])
def test_other_records_of_a_name_for_the_proxy_are_empty(answers: Make, name: str, kind: str) -> None:
    assert data_of(ask(answers(), name, kind)) == []


@pytest.mark.parametrize("name", ["a b.example", "-a.example", "1.2.3.4.5", r"x\.y.example", "b\\252cher.example", ""])
@pytest.mark.parametrize("kind", ["A", "AAAA", "ANY"])
def test_nobodys_name_does_not_exist(answers: Make, name: str, kind: str) -> None:
    response = ask(answers(), name, kind)
    assert (response.rcode(), response.answer) == (dns.rcode.NXDOMAIN, [])


@pytest.mark.parametrize("name", ["localhost", "a.localhost", "LOCALHOST."])
def test_localhost_is_this_machine(answers: Make, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_host, "HOSTS", HostsFile("/nonexistent"))
    assert data_of(ask(answers("*=proxy"), name, "A")) == ["127.0.0.1"]
    assert data_of(ask(answers("*=proxy"), name, "AAAA")) == ["::1"]
    assert data_of(ask(answers("*=proxy"), name, "MX")) == []


def test_a_name_of_this_machine_without_an_address_of_the_family_exists(
    answers: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An answer that the name does not exist would end musl's look-up of the other family."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"192.0.2.9 {gethostname()} myself.example\n192.0.2.10 myself.example\n")
    monkeypatch.setattr(local_host, "HOSTS", HostsFile(str(hosts)))
    assert data_of(ask(answers(), "Myself.example", "A")) == ["192.0.2.9", "192.0.2.10"]
    assert data_of(ask(answers(), "myself.example", "AAAA")) == []
    assert data_of(ask(answers(), "myself.example", "ANY")) == ["192.0.2.9", "192.0.2.10"]
    assert data_of(ask(answers(), "myself.example", "TXT")) == []


def test_a_name_for_a_proxy_without_names_is_refused(
    answers: Make, dialer: LoopbackDialer, log_lines: list[str]
) -> None:
    made = answers(proxy="socks4://192.0.2.1:1080", dns="remote")
    for kind in ("A", "MX"):
        assert ask(made, "www.target.example", kind).rcode() == dns.rcode.REFUSED
        assert "look-up of www.target.example denied: proxy socks4://192.0.2.1:1080 takes no names" in log_lines.pop()
        assert dialer.told.pop().startswith("www.target.example: proxy socks4://192.0.2.1:1080 takes no names")


@pytest.mark.parametrize("kind", ["AXFR", "IXFR", "TKEY", "TSIG", "MAILB", "OPT"])
def test_other_requests_are_refused(answers: Make, kind: str) -> None:
    assert ask(answers(), "www.target.example", kind).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("of_class", ["CH", "HS", "NONE", "ANY"])
def test_other_classes_are_refused(answers: Make, of_class: str) -> None:
    assert ask(answers(), "version.bind", "TXT", rdclass=of_class).rcode() == dns.rcode.REFUSED


def test_what_is_no_query_gets_no_response(answers: Make) -> None:
    query = dns.message.make_query("www.target.example", "A")
    query.flags |= dns.flags.QR
    replies: list[bytes] = []
    assert not answers().answer(query.to_wire(), replies.append)
    assert not answers().answer(b"\0" * 11, replies.append)
    assert not replies


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_a_fake_address_has_its_name(answers: Make, family: int) -> None:
    pointer = dns.reversename.from_address(TABLE.address_of("reverse.example", family)).to_text()
    assert data_of(ask(answers(), pointer, "PTR")) == ["reverse.example."]
    assert data_of(ask(answers(), pointer.upper(), "PTR")) == ["reverse.example."]


def test_loopback_has_its_name(answers: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_host, "HOSTS", HostsFile("/nonexistent"))
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        pointer = dns.reversename.from_address(address, v6_origin=dns.reversename.ipv6_reverse_domain)
        assert data_of(ask(answers(), pointer.to_text(), "PTR")) == ["localhost."]


def test_a_name_of_the_hosts_file_that_is_none_is_not_told(
    answers: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("203.0.113.7 a..b\n")
    monkeypatch.setattr(local_host, "HOSTS", HostsFile(str(hosts)))
    assert ask(answers(), "7.113.0.203.in-addr.arpa", "PTR").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7", "198.18.77.77", "100::4d4d"])
def test_the_name_of_another_address_is_not_asked_for(answers: Make, address: str) -> None:
    TABLE.configure(("198.18.0.0/15", "100::/64"))
    assert TABLE.name_of(address) is None
    response = ask(answers(), dns.reversename.from_address(address).to_text(), "PTR")
    assert response.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("name", ["_services._dns-sd._udp.target.example", "0.in-addr.arpa", "256.0.0.1.in-addr.arpa"])
def test_a_pointer_of_another_name_is_as_any_record(answers: Make, name: str) -> None:
    assert data_of(ask(answers(), name, "PTR")) == []


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("www.target.example.svc.cluster.local", dns.rcode.NXDOMAIN),
        ("www.target.example.cluster.local", dns.rcode.NXDOMAIN),
        ("db.svc.cluster.local", dns.rcode.NOERROR),
        ("svc.cluster.local", dns.rcode.NOERROR),
        ("a.b.c.d.e.f.cluster.local", dns.rcode.NOERROR),
        ("www.target.example", dns.rcode.NOERROR),
    ],
)
@pytest.mark.parametrize("kind", ["A", "MX"])
def test_a_name_with_a_domain_of_the_search_list_behind_it_does_not_exist(
    answers: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, rcode: dns.rcode.Rcode, kind: str
) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("search svc.cluster.local cluster.local\noptions ndots:5\n")
    monkeypatch.setattr(subject, "SEARCH_LIST", SystemFile(str(resolv_conf), parse_search_list))
    assert ask(answers(), name, kind).rcode() == rcode


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=63), max_size=4),
    st.sampled_from(["example", "localhost", "in-addr.arpa", "ip6.arpa", ""]),
    st.integers(0, 300),
    st.binary(max_size=20),
)
def test_every_query_gets_one_response(answers: Make, labels: list[bytes], end: str, kind: int, rest: bytes) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in [*labels, *filter(None, end.encode().split(b"."))])
    query = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + wire + b"\0" + kind.to_bytes(2, "big") + b"\0\1" + rest
    replies: list[bytes] = []
    assert answers().answer(query, replies.append)
    (response,) = replies
    assert response[:2] == query[:2]
    assert response[2] & 0x80
    dns.message.from_wire(response)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("www.example.com.ns.svc.cluster.local", "www.example.com"),
        ("www.example.com.svc.cluster.local", "www.example.com"),
        ("www.example.com.cluster.local", "www.example.com"),
        ("a.b.c.d.e.cluster.local", "a.b.c.d.e"),
        ("a.b.c.d.e.f.cluster.local", None),
        ("db.ns.svc.cluster.local", None),
        ("db.cluster.local", None),
        ("ns.svc.cluster.local", None),
        ("cluster.local", None),
        ("www.example.com", None),
        ("wwwcluster.local", None),
        ("", None),
    ],
)
def test_a_short_name_is_found(name: str, short: str | None) -> None:
    assert parse_search_list(CLUSTER).short_name(name) == short


def test_with_one_dot_a_name_is_asked_for_as_it_is() -> None:
    for content in (b"search corp.example", b"search corp.example\noptions ndots:1 timeout:2", b""):
        assert parse_search_list(content).short_name("a.b.corp.example") is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"domain corp.example\noptions ndots:2", True),
        (b"search other.example\n\tsearch\tCORP.example. \noptions\tndots:2\n", True),
        (b"search corp.example\nsearch other.example\noptions ndots:2", False),
        (b"search corp.example\noptions ndots:2 rotate\noptions ndots:1", False),
        (b"search corp.example\noptions ndots:99999999999999", True),
        (b"search corp.example\noptions ndots:x ndots: xndots:3", False),
        (b"search corp.example .\noptions ndots:2", True),
        (b"# search corp.example\noptions ndots:2", False),
    ],
)
def test_resolv_conf_is_read_as_the_resolvers_read_it(content: bytes, found: bool) -> None:
    assert parse_search_list(content).short_name("a.b.corp.example") == ("a.b" if found else None)


def test_variables_outrank_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "ndots:1")
    assert parse_search_list(CLUSTER).short_name("www.example.com.cluster.local") is None
    monkeypatch.setenv("RES_OPTIONS", "ndots:3")
    monkeypatch.setenv("LOCALDOMAIN", "corp.example lab.example")
    assert parse_search_list(CLUSTER).short_name("www.example.com.cluster.local") is None
    assert parse_search_list(CLUSTER).short_name("a.b.lab.example") == "a.b"


def test_without_a_list_the_domain_is_that_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "gethostname", lambda: "host.corp.example")
    assert parse_search_list(b"options ndots:2").short_name("a.b.corp.example") == "a.b"
