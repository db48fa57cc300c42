"""Look-ups beside native ones of names with one address, and what a name server hears of them: nothing.

The differences are asked for. `localhost` with a final dot or a label before it is this machine (RFC 6761, section
6.3), and so is its own name with a final dot, where glibc would ask a name server; what ends in digits alone is
nobody's name (RFC 1123, section 2.1); a fake address's name is spelled as it was asked for last, and a mapped one
has it, too, where gethostbyaddr() is at odds with the resolver over the family.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.lookup_calls import OWN, OWN_ADDRESS
from tests.support.network.lookup_network import HERE, OTHERS, PROXY, A, LookupNetwork, lookup_network
from tests.support.processes import require

DIFFERENT = re.compile(r"'(LOCALHOST\.|sub\.localhost|desk\.|::ffff:198\.18\.0\.6)'")
# Functions written in C and in Python count their arguments in words of their own.
WRONGLY_CALLED = re.compile(r"builtins.TypeError.*(takes|missing|unexpected keyword|multiple values|given by name)")
NAMES_BACK = re.compile(r"(gethostbyaddr|getfqdn|getnameinfo)\(")


@pytest.fixture(scope="module")
def here() -> Iterator[LookupNetwork]:
    with lookup_network() as here:
        yield here


@pytest.mark.parametrize("words", [[PROXY], [PROXY, "strict"]], ids=["routed", "strict"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_routed_look_up_comes_to_what_a_native_one_does(here: LookupNetwork, family: int, words: list[str]) -> None:
    native = here.outcomes(family)
    assert here.queries, "natively nobody has asked for anything"
    here.queries.clear()
    routed = here.outcomes(family, *words)
    assert here.queries == []
    calls = [call for call in native if not DIFFERENT.search(call)]
    different = [call for call in calls if _alike(call, native[call]) != _alike(call, routed[call])]
    shown = [f"{call}\n    native: {native[call]}\n    routed: {routed[call]}" for call in different[:20]]
    assert not different, f"{len(different)} of {len(calls)} differ:\n" + "\n".join(shown)


def _alike(call: str, outcome: str) -> str:
    if WRONGLY_CALLED.match(outcome):
        return "TypeError"
    return outcome.lower() if NAMES_BACK.match(call) else outcome


@pytest.fixture
def unasked(here: LookupNetwork) -> Iterator[LookupNetwork]:
    """The world; nobody may ask its name server anything."""
    here.queries.clear()
    yield here
    assert here.queries == []


OWN_NAME = """
    import json, smtplib, socket
    own = socket.gethostname()
    answers = [socket.getfqdn(), socket.gethostbyname(own), socket.gethostbyname_ex(own), socket.gethostbyaddr(own)]
    answers += [sorted({answer[4][0] for answer in socket.getaddrinfo(own.upper(), 80)})]
    answers += [smtplib.SMTP().local_hostname]
    answers += [socket.getfqdn(answers[1]), socket.getnameinfo((answers[1], 80), 0)]
    print(json.dumps(answers))
"""


def test_the_own_name_is_told_by_the_hosts_file(unasked: LookupNetwork) -> None:
    routed = unasked.run("-m", "socksify", "--proxy", PROXY, "-c", dedent(OWN_NAME))
    assert json.loads(routed)[:2] == [f"{OWN}.lan", OWN_ADDRESS]
    assert routed == unasked.run("-c", dedent(OWN_NAME))


def test_the_own_name_needs_no_hosts_file() -> None:
    with lookup_network(hosts="") as bare:
        answers = json.loads(bare.run("-m", "socksify", "--proxy", PROXY, "-c", dedent(OWN_NAME)))
        assert bare.queries == []
    assert answers[0] == answers[2][0] == answers[3][0] == OWN
    assert answers[4] != []


DEBIANS = f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{HERE[0]} {OWN}.lan {OWN}\n{HERE[1]} {OWN}.lan {OWN}\n"
BOTH_FAMILIES = f"""
    import json, socket
    flags = (0, socket.AI_CANONNAME, socket.AI_V4MAPPED, socket.AI_V4MAPPED | socket.AI_ALL)
    calls = [(host, 80, family, socket.SOCK_STREAM, 0, flag)
             for host in ("localhost", "{OWN}") for family in (0, socket.AF_INET, socket.AF_INET6) for flag in flags]
    def found(call):
        answers = {{}}
        for answer in socket.getaddrinfo(*call):
            # glibc makes a 127.0.0.1 of ::1, too, for localhost.
            answers.setdefault(answer[4], repr(answer))
        return list(answers.values())
    print(json.dumps({{repr(call): found(call) for call in calls}}))
"""


def test_own_names_have_addresses_of_both_families_in_the_native_order() -> None:
    with lookup_network(hosts=DEBIANS) as debian:
        routed = json.loads(debian.run("-m", "socksify", "--proxy", PROXY, "-c", dedent(BOTH_FAMILIES)))
        assert debian.queries == []
        assert routed == json.loads(debian.run("-c", dedent(BOTH_FAMILIES)))


CONFIGURED = """
    import socket
    for family in (0, socket.AF_INET, socket.AF_INET6):
        try:
            print(socket.getaddrinfo("host.example", 80, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)[0][0])
        except OSError as error:
            print(error.errno == socket.EAI_NONAME)
"""


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        (HERE, ["2", "2", "10"]),
        (HERE[:1], ["2", "2", "True"]),
        (HERE[1:], ["2", "2", "10"]),
        ((), ["2", "2", "True"]),
    ],
)
def test_a_machine_with_ipv6_alone_has_ipv4_through_the_proxy(addresses: tuple[str, ...], found: list[str]) -> None:
    with lookup_network(addresses=addresses) as machine:
        assert machine.run("-m", "socksify", "--proxy", PROXY, "-c", dedent(CONFIGURED)).split() == found


LOOK = """
    import json, socket, sys
    def look(name):
        try:
            return socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
        except OSError as error:
            return str(error)
    print(json.dumps([look(name) for name in sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (["--proxy", PROXY, "--direct", "*.lan", "--direct", ".corp.example"], {}),
        (["--proxy", PROXY, "--route", "*.lan:80=direct", "--route", "www.corp.example=direct"], {}),
        ([], {"ALL_PROXY": PROXY, "NO_PROXY": ".lan, corp.example"}),
        ([], {"all_proxy": PROXY, "no_proxy": "printer.lan,WWW.corp.example"}),
        (["--proxy", PROXY, "--dns", "local"], {}),
    ],
)
def test_direct_names_are_asked_for(here: LookupNetwork, options: list[str], environment: dict[str, str]) -> None:
    here.zone.type = A
    here.queries.clear()
    command = ["-m", "socksify", *options, "-c", dedent(LOOK)]
    found = json.loads(here.run(*command, *OTHERS, "host.example", **environment))
    assert found[:2] == [HERE[0]] * 2
    assert found[2].startswith(("198.18.", "198.19."))
    asked_for = set(OTHERS) | ({"host.example"} if "local" in options else set())
    assert set(here.queries) == asked_for


DIRECT_PORT = """
    import socket
    import socksify
    with socket.create_server(("{here}", 0)) as listener:
        address = listener.getsockname()
        socksify.install("{proxy}", routes=[f"printer.lan:{{address[1]}}=direct"])
        fake = socket.gethostbyname("printer.lan")
        with socket.create_connection((fake, address[1]), timeout=5) as stream:
            print(fake != "{here}", stream.getpeername() == address)
"""


def test_a_fake_address_leads_to_the_real_one_where_a_port_is_direct(here: LookupNetwork) -> None:
    here.zone.type = A
    here.queries.clear()
    code = dedent(DIRECT_PORT.format(here=HERE[0], proxy=PROXY))
    assert here.run("-c", code).split() == ["True", "True"]
    assert set(here.queries) == {"printer.lan"}


EVERYTHING = """
    import asyncio, socket
    def tried(call, *arguments):
        try:
            return call(*arguments)
        except OSError:
            return None
    for host in ("host.example", "xn--bcher-kva.example", "intranet", "203.0.113.99", "198.18.9.9", "2001:db8:9::9"):
        for call in (socket.gethostbyname, socket.gethostbyname_ex, socket.gethostbyaddr, socket.getfqdn):
            tried(call, host)
        for family in (0, socket.AF_INET, socket.AF_INET6):
            tried(socket.getaddrinfo, host, 80, family)
        tried(socket.getnameinfo, (host, 80), 0)
        tried(lambda: socket.socket().bind((host, 0)))
    socket.getfqdn()
    async def loops():
        loop = asyncio.get_running_loop()
        await loop.getaddrinfo("host.example", 80)
        await loop.getnameinfo(("203.0.113.99", 80))
    asyncio.run(loops())
"""
# Of strace: what is sent, or connected, by an IP socket.
OUTWARD = re.compile(r"sa_family=AF_INET6?, .*")
# How a machine without a hosts file would find the address that others see: connect(2) of a datagram socket.
DISCARD = "sin_port=htons(9)", "sin6_port=htons(9)"


def test_no_socket_is_turned_to_a_name_server(unasked: LookupNetwork, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=connect,sendto,sendmsg,sendmmsg"
    strace = [require("strace"), "-f", "-qq", "-e", calls, "-o", str(trace)]
    python = [sys.executable, "-W", "ignore::ResourceWarning"]
    ours = ["-m", "socksify", "--proxy", PROXY]
    unasked.run(*strace, *python, *ours, "-c", dedent(EVERYTHING))
    outward = [line for line in trace.read_text().splitlines() if OUTWARD.search(line)]
    assert [line for line in outward if not any(port in line for port in DISCARD)] == []
    # The same natively would be seen.
    unasked.run(*strace, *python, "-c", dedent(EVERYTHING))
    assert "sin_port=htons(53)" in trace.read_text()
    unasked.queries.clear()
