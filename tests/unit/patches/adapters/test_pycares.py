"""c-ares asks from sockets of its own. Questions that must not be asked from here never reach them.

Each channel asks a name server of the test's own, on loopback and so routed direct, which writes down what it hears.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pycares
import pytest

import socksify
from socksify.patches.adapters.pycares.calls import _may_ask
from socksify.routing import fake_addresses, local_host
from tests.support.routing import routed
from tests.unit.patches.adapters.channels import IS_OLD, addresses, ask, channel, records, result
from tests.unit.patches.adapters.name_server import RECORDS, NameServer, name_server

# Nobody listens there; no test connects.
PROXY = "socks5h://127.0.0.1:9"
OTHER_TYPES = [kind for kind in dir(pycares) if kind.startswith("QUERY_TYPE_") and kind[11:] not in ("A", "AAAA")]
METHODS = ["getaddrinfo", "gethostbyaddr", "getnameinfo", "query", "search", *(["gethostbyname"] if IS_OLD else [])]


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture(scope="module")
def early(server: NameServer) -> Iterator[pycares.Channel]:
    """Made before install()."""
    made = channel("127.0.0.1", server.port)
    yield made
    made.close()


@pytest.fixture
def asked(server: NameServer) -> list[tuple[str, str]]:
    """What the name server has been asked in this test."""
    server.asked.clear()
    return server.asked


def fake(name: str, family: int = socket.AF_INET) -> str:
    return fake_addresses.TABLE.address_of(name, family)


@pytest.mark.parametrize("family", [socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("host", ["routed.example", "Routed.Example.", b"routed.example", "bücher.example", "single"])
def test_a_routed_name_has_a_fake_address(
    early: pycares.Channel, asked: list[tuple[str, str]], family: int, host: str | bytes
) -> None:
    name = pycares.utils.parse_name(host).decode()
    with routed(PROXY, routes=()):
        answer = result(early, "getaddrinfo", host, 443, family=family, type=socket.SOCK_STREAM)
        network = socket.AF_INET6 if family == socket.AF_INET6 else socket.AF_INET
        assert addresses(answer) == [fake(name, network)]
        (node,) = answer.nodes
        assert (node.family, node.socktype, node.addr[1], node.ttl) == (network, socket.SOCK_STREAM, 443, 0)
    assert asked == []


def test_it_is_the_address_that_the_stdlib_gives(early: pycares.Channel) -> None:
    with routed(PROXY, routes=()):
        answer = result(early, "getaddrinfo", "routed.example", "https")
        assert addresses(answer) == [socket.gethostbyname("routed.example")]
        assert answer.nodes[0].addr[1] == 443


@pytest.mark.parametrize("flags", [1, 2, 4, 8, 32, int(socket.AI_ADDRCONFIG | socket.AI_CANONNAME | socket.AI_PASSIVE)])
def test_no_flag_changes_that(early: pycares.Channel, asked: list[tuple[str, str]], flags: int) -> None:
    with routed(PROXY, routes=()):
        answer = result(early, "getaddrinfo", "routed.example", None, flags=flags)
        assert addresses(answer) == [fake("routed.example")]
    assert asked == []


@pytest.mark.parametrize("method", ["query", "search"])
@pytest.mark.parametrize(("kind", "family"), [("A", socket.AF_INET), ("AAAA", socket.AF_INET6)])
def test_a_query_for_addresses_is_answered(
    early: pycares.Channel, asked: list[tuple[str, str]], method: str, kind: str, family: int
) -> None:
    number = getattr(pycares, f"QUERY_TYPE_{kind}")
    with routed(PROXY, routes=()):
        answer = result(early, method, "routed.example", number)
        assert records(answer, "addr") == [fake("routed.example", family)]
    if not IS_OLD:
        (record,) = answer.answer
        assert (record.name, record.type, record.ttl, record.record_class) == ("routed.example", number, 0, 1)
        assert answer.authority == answer.additional == []
    assert asked == []


@pytest.mark.parametrize("method", ["query", "search"])
@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_other_records_are_refused(
    early: pycares.Channel, asked: list[tuple[str, str]], method: str, kind: str
) -> None:
    with routed(PROXY, routes=()):
        answer, error = ask(early, method, "routed.example", getattr(pycares, kind))
        assert (answer, error) == (None, pycares.errno.ARES_EREFUSED)
        why = str(pycares.errno.strerror(error or 0))
        assert why.startswith(f"query for {kind[11:]} of routed.example not made: ")
        assert "dns=local" in why
        assert "'routed.example=direct'" in why
    assert asked == []


@pytest.mark.parametrize("number", [pycares.QUERY_CLASS_CHAOS, pycares.QUERY_CLASS_HS, pycares.QUERY_CLASS_ANY])
def test_other_classes_are_refused(early: pycares.Channel, asked: list[tuple[str, str]], number: int) -> None:
    with routed(PROXY, routes=()):
        _, error = ask(early, "query", "routed.example", pycares.QUERY_TYPE_A, query_class=number)
        assert error == pycares.errno.ARES_EREFUSED
    assert asked == []


if IS_OLD:

    @pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
    def test_gethostbyname(early: pycares.Channel, asked: list[tuple[str, str]], family: int) -> None:
        with routed(PROXY, routes=()):
            host = result(early, "gethostbyname", "routed.example", family)
            assert (host.name, host.aliases) == ("routed.example", [])
            assert host.addresses == [fake("routed.example", family)]
        assert asked == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_fake_address_has_its_name(early: pycares.Channel, asked: list[tuple[str, str]], family: int) -> None:
    with routed(PROXY, routes=()):
        address = fake("routed.example", family)
        sockaddr = (address, 80) if family == socket.AF_INET else (address, 80, 0, 0)
        host = result(early, "gethostbyaddr", address)
        assert (host.name, host.aliases, host.addresses) == ("routed.example", [], [address])
        assert result(early, "getnameinfo", sockaddr, 0).node == "routed.example"
        both = pycares.ARES_NI_LOOKUPHOST | pycares.ARES_NI_LOOKUPSERVICE
        found = result(early, "getnameinfo", sockaddr, both | pycares.ARES_NI_NAMEREQD)
        assert (found.node, found.service) == ("routed.example", "http")
        number = result(early, "getnameinfo", sockaddr, pycares.ARES_NI_NUMERICHOST).node
        # c-ares may add the scope id, %0.
        assert number.partition("%")[0] == address
    assert asked == []


def test_nobody_is_asked_whose_a_routed_address_is(early: pycares.Channel, asked: list[tuple[str, str]]) -> None:
    with routed(PROXY, routes=()):
        assert ask(early, "gethostbyaddr", "203.0.113.5") == (None, pycares.errno.ARES_ENOTFOUND)
        assert result(early, "getnameinfo", ("203.0.113.5", 80), 0).node == "203.0.113.5"
        error = pycares.errno.ARES_ENOTFOUND
        assert ask(early, "getnameinfo", ("203.0.113.5", 80), pycares.ARES_NI_NAMEREQD) == (None, error)
    assert asked == []


def test_numbers_and_this_machine_need_nobody(early: pycares.Channel, asked: list[tuple[str, str]]) -> None:
    with routed(PROXY, routes=()):
        for host, address in {"127.1": "127.0.0.1", "0x7f000001": "127.0.0.1", "203.0.113.5": "203.0.113.5"}.items():
            assert addresses(result(early, "getaddrinfo", host, 80)) == [address]
        assert "127.0.0.1" in addresses(result(early, "getaddrinfo", "localhost", 80))
        assert addresses(result(early, "getaddrinfo", "localhost", 80, family=socket.AF_INET)) == ["127.0.0.1"]
        own = addresses(result(early, "getaddrinfo", socket.gethostname(), 80))
        assert own == list(local_host.addresses_here(socket.gethostname()) or ())
    assert asked == []


@pytest.mark.parametrize("host", ["a..b", "", "x" * 64 + ".example", "with space.example", "1.2.3.4.5"])
def test_nobodys_name_is_not_found(early: pycares.Channel, asked: list[tuple[str, str]], host: str) -> None:
    with routed(PROXY, routes=()):
        assert ask(early, "getaddrinfo", host, 80) == (None, pycares.errno.ARES_ENOTFOUND)
        assert ask(early, "query", host, pycares.QUERY_TYPE_A) == (None, pycares.errno.ARES_ENOTFOUND)
    assert asked == []


def test_a_proxy_that_takes_no_names_is_named(early: pycares.Channel, asked: list[tuple[str, str]]) -> None:
    with routed("socks4://127.0.0.1:9", routes=(), dns="remote"):
        for method, arguments in {"getaddrinfo": (80,), "query": (pycares.QUERY_TYPE_MX,)}.items():
            answer, error = ask(early, method, "routed.example", *arguments)
            assert (answer, error) == (None, pycares.errno.ARES_EREFUSED)
            assert "use socks4a://" in str(pycares.errno.strerror(error or 0))
    assert asked == []


WAYS: dict[str, dict[str, Any]] = {
    "the name is direct": {"routes": ("*.lan.example=direct", "192.0.2.0/24=direct", "2001:db8::/32=direct")},
    "names are resolved here": {"routes": (), "dns": "local"},
}


@pytest.mark.parametrize("way", WAYS)
def test_names_that_are_resolved_here_are_asked_about(
    early: pycares.Channel, asked: list[tuple[str, str]], way: str
) -> None:
    # A name for each: c-ares remembers answers.
    name = f"{way.split()[-1]}.lan.example"
    with routed(PROXY, **WAYS[way]):
        answer = result(early, "getaddrinfo", name, 80, family=socket.AF_INET)
        assert addresses(answer) == [RECORDS["A"]]
        assert records(result(early, "query", name, pycares.QUERY_TYPE_AAAA), "addr") == [RECORDS["AAAA"]]
        mail = result(early, "query", name, pycares.QUERY_TYPE_MX)
        assert records(mail, "host" if IS_OLD else "exchange") == ["mail.example"]
        assert result(early, "gethostbyaddr", RECORDS["A"]).name == "pointed.example"
        assert result(early, "getnameinfo", (RECORDS["A"], 80), 0).node == "pointed.example"
        if IS_OLD:
            assert result(early, "gethostbyname", name, socket.AF_INET).addresses == [RECORDS["A"]]
    assert {(name, kind) for kind in ("A", "AAAA", "MX")} <= set(asked)


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_no_name_server_beyond_the_proxy_is_asked(settings: dict[str, Any]) -> None:
    far = channel("203.0.113.53", 53)
    try:
        with routed(PROXY, **settings):
            for method, arguments in {
                "getaddrinfo": ("nas.lan.example", 80),
                "query": ("nas.lan.example", pycares.QUERY_TYPE_A),
                "search": ("nas.lan.example", pycares.QUERY_TYPE_MX),
                "gethostbyaddr": (RECORDS["A"],),
                "getnameinfo": ((RECORDS["A"], 80), 0),
            }.items():
                answer, error = ask(far, method, *arguments)
                assert (answer, error) == (None, pycares.errno.ARES_EREFUSED)
                assert "name server 203.0.113.53" in str(pycares.errno.strerror(error or 0))
    finally:
        far.close()


@pytest.mark.parametrize(
    ("server", "may"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:5353", True),
        ("[::1]:53", True),
        ("::1", True),
        ("203.0.113.53", False),
        ("203.0.113.53:5353", False),
        ("203.0.113.54", True),
        ("203.0.113.54:53", True),
        ("203.0.113.55:5353", True),
        ("203.0.113.55:53", False),
        ("[2001:db8::53]:53", False),
        ("2001:db8::53", False),
        ("[2001:db8::54%lo]:53", True),
        ("resolver.example", False),
        ("dns+tls://203.0.113.54", False),
        ("", True),  # 0.0.0.0 reaches this machine
    ],
)
def test_which_name_servers_may_ask(server: str, may: bool) -> None:
    direct = ("203.0.113.54=direct", "203.0.113.55:5353=direct", "2001:db8::54=direct")
    with routed(PROXY, routes=direct):
        assert _may_ask(server) is may


def test_the_machines_own_name_servers_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stdlib's resolver asks them as well, for a name that is resolved here."""
    monkeypatch.setattr(local_host, "nameservers", lambda: ("203.0.113.53",))
    with routed(PROXY, routes=()):
        assert _may_ask("203.0.113.53:53")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("getaddrinfo", ("routed.example",)),
        ("getaddrinfo", (7, 80)),
        ("query", ("routed.example", 12345)),
        ("query", ("routed.example", "A")),
        ("query", (None, pycares.QUERY_TYPE_A)),
        ("gethostbyaddr", ("routed.example",)),
        ("gethostbyaddr", (None,)),
        ("getnameinfo", ((), 0)),
        ("getnameinfo", (("routed.example", 80), 0)),
        ("getnameinfo", (("203.0.113.5", 80, 0), 0)),
    ],
)
def test_what_is_wrong_is_told_as_ever(early: pycares.Channel, method: str, arguments: tuple[Any, ...]) -> None:
    def complaint() -> tuple[type[Exception], str]:
        with pytest.raises((TypeError, ValueError)) as caught:
            getattr(early, method)(*arguments, callback=print)
        return caught.type, str(caught.value)

    natively = complaint()
    with routed(PROXY, routes=()):
        assert complaint() == natively


@pytest.mark.parametrize("method", METHODS)
def test_a_callback_must_be_callable(early: pycares.Channel, method: str) -> None:
    arguments = {"gethostbyaddr": ("198.18.0.1",), "getnameinfo": (("198.18.0.1", 80), 0)}
    with routed(PROXY, routes=()), pytest.raises(TypeError, match="a callable is required"):
        getattr(early, method)(*arguments.get(method, ("routed.example", 1)), callback=None)


def test_a_closed_channel_says_so(server: NameServer) -> None:
    closed = channel("127.0.0.1", server.port)
    closed.close()
    with routed(PROXY, routes=()):
        for method, arguments in {"getaddrinfo": ("a.example", 80), "query": ("a.example", 1)}.items():
            with pytest.raises(RuntimeError, match="Channel is destroyed"):
                ask(closed, method, *arguments)


def test_threads_ask_one_channel(early: pycares.Channel, asked: list[tuple[str, str]]) -> None:
    found: dict[str, list[str]] = {}

    def look(number: int) -> None:
        for name in (f"{number}-{each}.example" for each in range(50)):
            found[name] = addresses(result(early, "getaddrinfo", name, 80))

    with routed(PROXY, routes=()):
        threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 400
        assert all(fake_addresses.TABLE.name_of(address) == name for name, (address,) in found.items())
    assert asked == []


@pytest.mark.parametrize("method", METHODS)
def test_a_method_taken_before_is_refused(early: pycares.Channel, asked: list[tuple[str, str]], method: str) -> None:
    """Nobody can wrap it: it was bound to its channel before install()."""
    taken = getattr(early, method)
    arguments: dict[str, tuple[Any, ...]] = {
        "gethostbyaddr": ("203.0.113.5",),
        "getnameinfo": (("203.0.113.5", 80), 0),
        "gethostbyname": ("routed.example", socket.AF_INET),
    }
    with routed(PROXY, routes=()), pytest.raises(PermissionError, match="taken from its"):
        taken(*arguments.get(method, ("routed.example", 1)), callback=print)
    assert asked == []


def test_a_callback_may_ask_but_opens_no_gate(early: pycares.Channel, asked: list[tuple[str, str]]) -> None:
    taken, heard = early.query, []

    def again(_: Any, error: int | None) -> None:
        heard.append(error)
        early.getaddrinfo("other.example", 80, callback=lambda answer, _: heard.append(answer))
        with pytest.raises(PermissionError):
            taken("third.example", pycares.QUERY_TYPE_MX, callback=print)

    with routed(PROXY, routes=()):
        early.getaddrinfo("routed.example", 80, callback=again)
        assert heard[0] is None
        assert addresses(heard[1]) == [fake("other.example")]
    assert asked == []


def test_afterwards_it_asks_as_before(early: pycares.Channel, asked: list[tuple[str, str]]) -> None:
    with routed(PROXY, routes=()):
        result(early, "getaddrinfo", "routed.example", 80)
    assert addresses(result(early, "getaddrinfo", "routed.example", 80, family=socket.AF_INET)) == [RECORDS["A"]]
    assert asked == [("routed.example", "A")]


def test_it_is_wrapped_whenever_it_is_imported(server: NameServer, asked: list[tuple[str, str]]) -> None:
    """And wrapt is imported then, not before."""
    program = f"""
import socksify, sys
socksify.install({PROXY!r})
assert "wrapt" not in sys.modules
from tests.unit.patches.adapters.channels import *
asker = channel("127.0.0.1", {server.port})
print(*addresses(result(asker, "getaddrinfo", "routed.example", 80)))
"""
    command = [sys.executable, "-c", program]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert child.stdout.startswith(("198.18.", "198.19."))
    assert child.stderr == ""
    assert asked == []


def test_the_log_tells_of_a_refusal(early: pycares.Channel, tmp_path: Any) -> None:
    log = tmp_path / "log"
    socksify.install(PROXY, log=str(log))
    try:
        ask(early, "query", "routed.example", pycares.QUERY_TYPE_TXT)
    finally:
        socksify.uninstall()
    assert "query for TXT of routed.example denied: " in log.read_text()
