"""Names that only the proxy resolves: every way to ask for one, and what the address that is made up for it does."""

from __future__ import annotations

import _socket
import asyncio
import copy
import os
import pickle
import socket
import threading
import urllib.request
import warnings
from _socket import getaddrinfo as early_getaddrinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_INET, AF_INET6, SOCK_STREAM
from socket import gethostbyname as early_gethostbyname
from typing import Any

import pytest

import socksify
from socksify import _real
from socksify.patches import naming
from socksify.tunnel import names
from socksify.tunnel.names import NameTable
from tests.bad_proxy import BadProxy
from tests.routing import routed
from tests.steps import CLOSE, READ_GREETING, READ_REQUEST, Send, socks5_reply

# Nobody listens there: look-ups need no proxy.
URL = "socks5h://192.0.2.1:1080"
GRANTED = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(socks5_reply(0))]
NAME = "name.example"
FAMILY = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
ORIGINALS = {name: getattr(_real, name) for name in FAMILY}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> NameTable:
    """A table of the test's own."""
    table = NameTable()
    monkeypatch.setattr(names, "TABLE", table)
    return table


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the resolver was asked for; it knows nobody."""
    asked: list[Any] = []

    def getaddrinfo(host: Any, port: Any, family: int = 0, kind: int = 0, protocol: int = 0, flags: int = 0) -> Any:
        if flags & socket.AI_NUMERICHOST or not host:
            return ORIGINALS["getaddrinfo"](host, port, family, kind, protocol, flags)
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "asked")

    def anything(host: Any, *_: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "asked")

    monkeypatch.setattr(_real, "getaddrinfo", getaddrinfo)
    for name in ("gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(_real, name, anything)
    return asked


async def _in_a_loop(method: str, *arguments: Any) -> Any:
    return await getattr(asyncio.get_running_loop(), method)(*arguments)


FORWARD: dict[str, Callable[[str], str]] = {
    "socket.getaddrinfo": lambda name: socket.getaddrinfo(name, 80)[0][4][0],  # type: ignore[return-value, misc]
    "_socket.getaddrinfo": lambda name: _socket.getaddrinfo(name, 80)[0][4][0],  # type: ignore[return-value]
    "socket.gethostbyname": lambda name: socket.gethostbyname(name),
    "_socket.gethostbyname": lambda name: _socket.gethostbyname(name),
    "socket.gethostbyname_ex": lambda name: socket.gethostbyname_ex(name)[2][0],
    "socket.gethostbyaddr": lambda name: socket.gethostbyaddr(name)[2][0],
    "imported before, from socket": lambda name: early_gethostbyname(name),
    "imported before, from _socket": lambda name: early_getaddrinfo(name, 80)[0][4][0],  # type: ignore[return-value]
    "loop.getaddrinfo": lambda name: asyncio.run(_in_a_loop("getaddrinfo", name, 80))[0][4][0],
}
BACK: dict[str, Callable[[str], str]] = {
    "gethostbyaddr": lambda address: socket.gethostbyaddr(address)[0],
    "getnameinfo": lambda address: socket.getnameinfo((address, 80), socket.NI_NAMEREQD)[0],
    "getfqdn": lambda address: socket.getfqdn(address),
    "loop.getnameinfo": lambda address: asyncio.run(_in_a_loop("getnameinfo", (address, 80)))[0],
}


@pytest.mark.parametrize("way", FORWARD)
def test_every_way_to_ask_is_answered_alike(way: str, table: NameTable, asked: list[Any]) -> None:
    with routed(URL, routes=()):
        address = FORWARD[way](NAME)
        assert address == table.address_of(NAME)
        assert address.startswith("198.18.")
    assert asked == []


@pytest.mark.parametrize("way", BACK)
@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_every_way_back_leads_to_the_name(way: str, family: int, table: NameTable, asked: list[Any]) -> None:
    with routed(URL, routes=()):
        assert BACK[way](table.address_of(NAME, family)) == NAME
    assert asked == []


@pytest.mark.parametrize("way", BACK)
@pytest.mark.parametrize("address", ["203.0.113.5", "2001:db8:5::5", "::ffff:203.0.113.5"])
def test_nobody_is_asked_whose_a_routed_address_is(way: str, address: str, asked: list[Any]) -> None:
    with routed(URL, routes=()):
        if way == "getfqdn":
            assert socket.getfqdn(address) == address
        else:
            with pytest.raises(OSError) if way != "loop.getnameinfo" else warnings.catch_warnings():
                assert BACK[way](address) == address
    assert asked == []


@pytest.mark.parametrize("family", [0, AF_INET, AF_INET6])
def test_the_family_picks_the_network(family: int) -> None:
    with routed(URL, routes=()):
        ((found, _, _, _, address),) = socket.getaddrinfo(NAME, 80, family, SOCK_STREAM)
    assert found == (family or AF_INET)
    assert str(address[0]).startswith("100::" if family == AF_INET6 else "198.18.")


def world() -> list[list[tuple[str, int]]]:
    return [[(name, id(value)) for name, value in vars(owner).items()] for owner in (_socket, socket, socket.socket)]


def test_uninstall_leaves_the_modules_as_they_were() -> None:
    before = world()
    with routed(URL, routes=()):
        assert world() != before
        assert early_gethostbyname is not ORIGINALS["gethostbyname"]
    assert world() == before
    assert early_gethostbyname is ORIGINALS["gethostbyname"]
    assert early_getaddrinfo is ORIGINALS["getaddrinfo"]


@pytest.mark.parametrize("name", FAMILY)
def test_a_replacement_passes_for_the_original(name: str) -> None:
    with routed(URL, routes=()):
        function = getattr(_socket, name)
        assert function is not ORIGINALS[name]
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            assert getattr(function, attribute) == getattr(ORIGINALS[name], attribute), attribute
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.copy(function) is copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(getattr(_socket, name))) is ORIGINALS[name]


def test_a_class_may_have_taken_a_function_before() -> None:
    # One in C does not bind.
    client = type("Client", (), {"look_up": socket.gethostbyname})
    with routed(URL, routes=()):
        assert client.look_up(NAME) == client().look_up(NAME) == names.TABLE.address_of(NAME)
    assert client.look_up is ORIGINALS["gethostbyname"]


SCHEMES = {"socks5h": True, "socks4a": True, "http": True, "socks5": False, "socks4": False}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_says_who_resolves(scheme: str, asked: list[Any]) -> None:
    _check_who_resolves(scheme, "auto", SCHEMES[scheme], asked)


@pytest.mark.parametrize("dns", ["local", "remote"])
@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http", "socks5"])
def test_dns_overrides_the_scheme(scheme: str, dns: str, asked: list[Any]) -> None:
    _check_who_resolves(scheme, dns, dns == "remote", asked)


def _check_who_resolves(scheme: str, dns: str, remote: bool, asked: list[Any]) -> None:
    with routed(f"{scheme}://192.0.2.1:1080", routes=(), dns=dns):
        if remote:
            assert socket.getaddrinfo(NAME, 80)[0][4][0] == names.TABLE.address_of(NAME)
        else:
            with pytest.raises(socket.gaierror, match="asked"):
                socket.getaddrinfo(NAME, 80)
            with socket.socket() as sock, pytest.raises(socket.gaierror, match="asked"):
                sock.connect((NAME, 80))
    assert bool(asked) is not remote


@pytest.mark.parametrize(
    "look_up",
    [
        lambda: socket.getaddrinfo(NAME, 80),
        lambda: socket.gethostbyname(NAME),
        lambda: socket.gethostbyname_ex(NAME),
        lambda: socket.gethostbyaddr(NAME),
        lambda: socket.create_connection((NAME, 80)),
        lambda: socket.socket().connect((NAME, 80)),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_socks4_says_that_it_takes_no_names(look_up: Callable[[], object], asked: list[Any]) -> None:
    with (
        routed("socks4://192.0.2.1:1080", routes=(), dns="remote"),
        pytest.raises(socket.gaierror, match=r"takes no names.*socks4a"),
    ):
        look_up()
    assert asked == []


def test_other_networks_may_be_given() -> None:
    networks = ["198.51.100.0/24", "2001:db8:1::/64"]
    with routed(URL, routes=(), fake_networks=networks):
        assert socket.gethostbyname(NAME).startswith("198.51.100.")
        assert str(socket.getaddrinfo(NAME, 80, AF_INET6)[0][4][0]).startswith("2001:db8:1::")
        assert socket.gethostbyaddr(socket.gethostbyname(NAME))[0] == NAME


def test_addresses_of_the_networks_before_stand_for_nothing() -> None:
    with routed(URL, routes=(), fake_networks=["198.51.100.0/24"]):
        before = socket.gethostbyname(NAME)
        socksify.install(URL)
        with pytest.raises(socket.herror):
            socket.gethostbyaddr(before)
        assert socket.gethostbyname(NAME).startswith("198.18.")


def lost(literal: str) -> dict[str, Callable[[], object]]:
    """All that a client may do with an address."""
    family = AF_INET6 if ":" in literal else AF_INET
    return {
        "connect": lambda: with_socket(family, lambda sock: sock.connect((literal, 80))),
        "create_connection": lambda: socket.create_connection((literal, 80), timeout=5),
        "gethostbyaddr": lambda: socket.gethostbyaddr(literal),
        "getnameinfo": lambda: socket.getnameinfo((literal, 80), socket.NI_NAMEREQD),
    }


def with_socket(family: int, call: Callable[[socket.socket], object]) -> object:
    with socket.socket(family) as sock:
        return call(sock)


@pytest.mark.parametrize("literal", ["198.19.200.200", "100::beef", "::ffff:198.19.200.200"])
@pytest.mark.parametrize("what", lost("::"))
def test_an_address_that_stands_for_nothing_says_so(literal: str, what: str, asked: list[Any]) -> None:
    with routed(URL, routes=()), pytest.raises(OSError, match="made-up address that stands for no name"):
        lost(literal)[what]()
    assert asked == []


def test_connect_ex_has_the_errno_of_an_address_that_stands_for_nothing() -> None:
    with routed(URL, routes=()), socket.socket() as sock:
        assert sock.connect_ex(("198.19.200.200", 80)) == 13


def test_an_address_that_stands_for_nothing_is_still_a_number() -> None:
    with routed(URL, routes=()):
        assert socket.getnameinfo(("198.19.200.200", 80), socket.NI_NUMERICSERV) == ("198.19.200.200", "80")
        assert socket.getaddrinfo("198.19.200.200", 80)[0][4] == ("198.19.200.200", 80)


def test_an_address_that_was_dropped_stands_for_nothing(asked: list[Any]) -> None:
    with routed(URL, routes=(), fake_networks=["198.51.100.0/24"]):
        first = socket.gethostbyname("first.example")
        for number in range(127):
            socket.gethostbyname(f"{number}.example")
        for call in lost(first).values():
            with pytest.raises(OSError, match="made-up address that stands for no name"):
                call()
        assert socket.gethostbyname("first.example") != first
    assert asked == []


def connected(family: int, address: Any, path: Path) -> tuple[Any, Any, str]:
    """What the proxy is asked for, what getpeername() says, and what is logged."""
    with (
        BadProxy([*GRANTED, CLOSE]) as proxy,
        routed(proxy.url(), routes=(), log=str(path)),
        socket.socket(family) as sock,
    ):
        sock.connect(address() if callable(address) else address)
        return proxy.sessions[0].target, sock.getpeername(), path.read_text()


@pytest.mark.parametrize(
    ("family", "address", "peer"),
    [
        (AF_INET, (NAME, 80), ("198.18.0.1", 80)),
        (AF_INET6, (NAME, 80), ("100::1", 80, 0, 0)),
        (AF_INET, lambda: socket.getaddrinfo(NAME, 80)[0][4], ("198.18.0.1", 80)),
        (AF_INET6, lambda: socket.getaddrinfo(NAME, 80, AF_INET6)[0][4], ("100::1", 80, 0, 0)),
        (AF_INET, lambda: (socket.gethostbyname(NAME), 80), ("198.18.0.1", 80)),
        (AF_INET6, lambda: (f"::ffff:{socket.gethostbyname(NAME)}", 80, 5, 0), ("::ffff:198.18.0.1", 80, 5, 0)),
    ],
)
def test_the_proxy_gets_the_name_and_the_client_keeps_the_address(
    family: int, address: Any, peer: Any, tmp_path: Path
) -> None:
    target, told, logged = connected(family, address, tmp_path / "log")
    assert target == (NAME, 80)
    assert told == peer
    assert f"connect {NAME}:80 " in logged
    assert peer[0] not in logged


def test_the_proxy_gets_the_spelling_that_was_used_last(tmp_path: Path) -> None:
    spellings = (NAME, "Name.Example")
    target, _, _ = connected(
        AF_INET, lambda: [(socket.gethostbyname(name), 80) for name in spellings][1], tmp_path / "log"
    )
    assert target == ("Name.Example", 80)


def test_clients_go_by_name() -> None:
    answer = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    with BadProxy([*GRANTED, Send(answer), CLOSE]) as proxy, routed(proxy.url(), routes=()):
        with urllib.request.urlopen(f"http://{NAME}:81/", timeout=10) as page:
            assert page.read() == b"hi"
        assert asyncio.run(_read(NAME, 82)) == answer
        with socket.create_connection((NAME, 83), timeout=10, source_address=("localhost", 0)) as sock:
            assert sock.makefile("rb").read() == answer
        assert [session.target for session in proxy.sessions] == [(NAME, 81), (NAME, 82), (NAME, 83)]


async def _read(name: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(name, port, happy_eyeballs_delay=0.25)
    data = await reader.read()
    writer.close()
    await writer.wait_closed()
    return data


BINDINGS: list[tuple[int, Any]] = [
    (AF_INET, ("127.0.0.1", 0)),
    (AF_INET, ("", 0)),
    (AF_INET, (b"127.0.0.1", 0)),
    (AF_INET, ("localhost", 0)),
    (AF_INET6, ("::1", 0)),
    (AF_INET6, ("::", 0, 0, 0)),
    (AF_INET, ("<broadcast>", 0)),
    *((AF_INET, bad) for bad in (None, 5, "localhost", (), ("localhost",), ["localhost", 0], ("localhost", 0, 0))),
    *((AF_INET, ("127.0.0.1", bad)) for bad in (-1, 65536, "80", None, 1.5)),
    *((AF_INET, (bad, 0)) for bad in (None, 5, "a\0b", "::1", "é..x", "a b", "203.0.113.9", "256.1.1.1")),
    (AF_INET6, ("127.0.0.1", 0)),
    (AF_INET6, ("::1", 0, -1)),
    (AF_INET6, ("::1", 0, 0, 0, 0)),
]


def test_bind_takes_what_the_stdlib_takes() -> None:
    native = [_bound(*binding) for binding in BINDINGS]
    with routed(URL, routes=()):
        assert [_bound(*binding) for binding in BINDINGS] == native


def _bound(family: int, address: Any) -> object:
    with socket.socket(family) as sock:
        try:
            sock.bind(address)
        except Exception as error:
            return type(error), getattr(error, "errno", None), str(error)
        return sock.getsockname()[0]


def test_bind_asks_nobody_for_a_name(asked: list[Any]) -> None:
    # Nobody but the proxy knows it, and its address is not this machine's.
    unassigned = pytest.raises(OSError, match="Cannot assign requested address")
    with routed(URL, routes=()), socket.socket() as sock, unassigned:
        sock.bind((NAME, 0))
    assert asked == []


def test_many_threads_may_ask() -> None:
    wrong: list[object] = []

    def ask(thread: int) -> None:
        for number in range(2000):
            name = f"{number}.{thread}.example"
            address = socket.getaddrinfo(name, 80, type=SOCK_STREAM)[0][4][0]
            if socket.gethostbyaddr(str(address))[0] != name:
                wrong.append((name, address))

    with routed(URL, routes=()):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(names.TABLE) == 16_000
    assert wrong == []


@pytest.fixture
def busy() -> Iterator[None]:
    """Another thread is always in the middle of a look-up."""
    enough = threading.Event()

    def ask() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            socket.gethostbyname(f"{number}.busy.example")

    with routed(URL, routes=()):
        thread = threading.Thread(target=ask)
        thread.start()
        yield
        enough.set()
        thread.join()


# From 3.12 on Python warns of it; the child here calls nothing that another thread may hold.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("busy")
def test_a_forked_child_may_ask() -> None:
    address = socket.gethostbyname(NAME)
    for _ in range(30):
        pid = os.fork()
        if pid == 0:
            right = False
            try:
                right = socket.gethostbyname(NAME) == address and socket.gethostbyaddr(address)[0] == NAME
                right = right and socket.gethostbyname("child.example") != address
            finally:
                os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_200_000_names_pass_through_a_bounded_table(table: NameTable) -> None:
    with routed(URL, routes=()):
        first = socket.gethostbyname("0.example")
        addresses = [socket.gethostbyname(f"{number}.example") for number in range(200_000)]
        assert len(table) < 1 << 16
        assert len(naming.lookups._known) <= 4096
        kept = range(200_000 - len(table), 200_000)
        assert all(table.name_of(addresses[number]) == f"{number}.example" for number in kept)
        assert len({addresses[number] for number in kept}) == len(table)
        with pytest.raises(OSError, match="stands for no name"), socket.socket() as sock:
            sock.connect((addresses[kept[0] - 1], 80))
        assert socket.gethostbyname("0.example") != first
