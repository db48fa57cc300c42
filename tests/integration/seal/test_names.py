"""Real resolvers ask our responder: dig, glibc, musl, c-ares and dnspython, unmodified.

Go resolves in `make wire`, for which it is installed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from socket import AF_INET6

import pytest

from socksify.routing.fake_addresses import TABLE
from tests.integration.seal.resolving import NAME_SERVER, Resolving, resolving
from tests.support.processes import require

NAME = "www.target.example"


@pytest.fixture(scope="module")
def network() -> Iterator[Resolving]:
    with resolving("*.lan=direct", "192.0.2.7=direct") as network:
        yield network


def fake(name: str = NAME) -> str:
    return TABLE.address_of(name)


def fake6(name: str = NAME) -> str:
    return TABLE.address_of(name, AF_INET6)


@pytest.mark.parametrize("option", ["+notcp", "+tcp", "+noedns", "@198.51.100.9", "@2001:db8::9", "@127.0.0.53"])
def test_dig(network: Resolving, option: str) -> None:
    dig = require("dig"), "+tries=1", "+short", option
    before = len(network.server.asked)
    assert network.run(*dig, NAME).split() == [fake()]
    assert network.run(*dig, NAME, "AAAA").split() == [fake6()]
    assert network.run(*dig, NAME.upper(), "ANY").split() == [fake(), fake6()]
    assert network.run(*dig, NAME, "MX").split() == []
    assert network.run(*dig, "-x", fake6()).split() == [f"{NAME}."]
    assert network.server.asked[before:] == []


@pytest.mark.parametrize(("option", "transport"), [("+notcp", "udp"), ("+tcp", "tcp")])
def test_dig_for_a_direct_name(network: Resolving, option: str, transport: str) -> None:
    dig = require("dig"), "+tries=1", option
    before = len(network.server.asked)
    assert network.run(*dig, "+short", "host.lan").split() == ["192.0.2.7"]
    assert network.run(*dig, "+short", "-x", "192.0.2.7").split() == ["host.lan."]
    assert "status: NXDOMAIN" in network.run(*dig, "other.lan")
    asked = [("host.lan.", "A"), ("7.2.0.192.in-addr.arpa.", "PTR"), ("other.lan.", "A")]
    assert network.server.asked[before:] == [(transport, *each) for each in asked]


def test_dig_comes_back_by_tcp_for_a_large_response(network: Resolving) -> None:
    before = len(network.server.asked)
    records = network.run(require("dig"), "+tries=1", "+short", "large.lan", "TXT").splitlines()
    assert len(records) == 30
    assert [transport for transport, *_ in network.server.asked[before:]] == ["udp", "tcp"]


def test_glibc(network: Resolving) -> None:
    getent = require("getent")
    assert network.run(getent, "ahostsv4", NAME).split()[:3] == [fake(), "STREAM", NAME]
    assert network.run(getent, "ahostsv6", NAME).split()[:3] == [fake6(), "STREAM", NAME]
    assert set(network.run(getent, "ahosts", NAME).split()) > {fake(), fake6()}
    assert network.run(getent, "hosts", fake()).split() == [fake(), NAME]
    assert network.run(getent, "ahostsv4", "host.lan").split()[0] == "192.0.2.7"
    network.run(getent, "ahosts", "other.lan", status=2)
    network.run(getent, "hosts", "198.18.99.99", status=2)


DNSPYTHON = f"""
import dns.resolver, dns.reversename
ask = dns.resolver.resolve
print(*ask("{NAME}", "A"), *ask("{NAME}", "AAAA"), *ask("{NAME}", "A", tcp=True), *ask("host.lan", "A"))
print(ask("{NAME}", "MX", raise_on_no_answer=False).rrset)
"""


def test_dnspython(network: Resolving) -> None:
    assert network.python(DNSPYTHON) == [fake(), fake6(), fake(), "192.0.2.7", "None"]


C_ARES = f"""
import asyncio, aiodns, socket
async def main():
    resolver = aiodns.DNSResolver()
    for host in ("{NAME}", "host.lan", "localhost"):
        for family in (socket.AF_INET, socket.AF_INET6):
            found = await resolver.getaddrinfo(host, family=family)
            print(found.nodes[0].addr[0].decode())
    print((await resolver.gethostbyaddr("{{address}}")).name)
    try:
        await resolver.getaddrinfo("other.lan", family=socket.AF_INET)
    except aiodns.error.DNSError as error:
        print(error.args[0] == aiodns.error.ARES_ENOTFOUND)
asyncio.run(main())
"""


def test_c_ares(network: Resolving) -> None:
    expected = [fake(), fake6(), "192.0.2.7", "2001:db8::7", "127.0.0.1", "::1", NAME, "True"]
    assert network.python(C_ARES.replace("{address}", fake())) == expected


C = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    for (int i = 1; i < argc; i++) {
        int error = getaddrinfo(argv[i], "80", &hints, &found);
        if (error) { printf("error\n"); continue; }
        for (struct addrinfo *each = found; each; each = each->ai_next) {
            char text[64];
            getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
            printf("%s\n", text);
        }
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def musl(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("musl")
    (directory / "look_up.c").write_text(C)
    program = str(directory / "look_up")
    subprocess.run([require("musl-gcc"), "-static", "-o", program, str(directory / "look_up.c")], check=True)
    return program


def test_musl(network: Resolving, musl: str) -> None:
    assert sorted(network.run(musl, NAME).split()) == sorted([fake(), fake6()])
    assert sorted(network.run(musl, "host.lan").split()) == ["192.0.2.7", "2001:db8::7"]
    assert network.run(musl, "other.lan", "a b.example").split() == ["error", "error"]


def test_other_records_through_the_proxy() -> None:
    # The name server is on the same machine as the supervisor here, where it would be direct.
    with resolving(f"{NAME_SERVER}=proxy", dns_server=NAME_SERVER) as network:
        dig = require("dig"), "+tries=1", "+short"
        assert network.run(*dig, "target.example", "MX").split() == ["10", "mail.target.example."]
        assert network.run(*dig, "target.example").split() == [fake("target.example")]
        assert network.run(*dig, "-x", "192.0.2.7").split() == ["host.lan."]
        assert len(network.run(*dig, "large.example", "TXT").splitlines()) == 30
        assert {transport for transport, *_ in network.server.asked} == {"tcp"}


def test_search_lists(musl: str) -> None:
    """With ndots:5 resolvers ask for other names first, which must not be given addresses."""
    search = "search svc.cluster.local cluster.local\noptions ndots:5\n"
    with resolving("*.cluster.local=direct", resolv_conf=search) as network:
        address = fake()
        assert network.run(require("getent"), "ahostsv4", NAME).split()[0] == address
        assert address in network.run(musl, NAME)
        assert network.python(C_ARES_SEARCH) == [address]
        assert network.server.asked == []


C_ARES_SEARCH = f"""
import asyncio, aiodns, socket
async def main():
    print((await aiodns.DNSResolver().getaddrinfo("{NAME}", family=socket.AF_INET)).nodes[0].addr[0].decode())
asyncio.run(main())
"""
