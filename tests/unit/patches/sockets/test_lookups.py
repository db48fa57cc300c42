"""The look-up family: every way to ask for a name that only the proxy resolves, and who is asked for it."""

from __future__ import annotations

import _socket
import asyncio
import copy
import pickle
import socket
import warnings
import weakref
from _socket import getaddrinfo as early_getaddrinfo
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, AF_INET6, SOCK_STREAM
from socket import gethostbyname as early_gethostbyname
from typing import Any

import pytest

import socksify
from socksify import _originals
from socksify.routing import fake_addresses
from socksify.routing.fake_addresses import FakeAddressTable
from tests.support.routing import routed

pytestmark = pytest.mark.usefixtures("table")

# Nobody listens there: look-ups need no proxy.
URL = "socks5h://192.0.2.1:1080"
NAME = "name.example"
FAMILY = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
ORIGINALS = {name: getattr(_originals, name) for name in FAMILY}


async def _in_a_loop(method: str, *arguments: Any) -> Any:
    return await getattr(asyncio.get_running_loop(), method)(*arguments)


FORWARD: dict[str, Callable[[str], str | int]] = {
    "socket.getaddrinfo": lambda name: socket.getaddrinfo(name, 80)[0][4][0],
    "_socket.getaddrinfo": lambda name: _socket.getaddrinfo(name, 80)[0][4][0],
    "socket.gethostbyname": lambda name: socket.gethostbyname(name),
    "_socket.gethostbyname": lambda name: _socket.gethostbyname(name),
    "socket.gethostbyname_ex": lambda name: socket.gethostbyname_ex(name)[2][0],
    "socket.gethostbyaddr": lambda name: socket.gethostbyaddr(name)[2][0],
    "imported before, from socket": lambda name: early_gethostbyname(name),
    "imported before, from _socket": lambda name: early_getaddrinfo(name, 80)[0][4][0],
    "loop.getaddrinfo": lambda name: asyncio.run(_in_a_loop("getaddrinfo", name, 80))[0][4][0],
}
BACK: dict[str, Callable[[str], str]] = {
    "gethostbyaddr": lambda address: socket.gethostbyaddr(address)[0],
    "getnameinfo": lambda address: socket.getnameinfo((address, 80), socket.NI_NAMEREQD)[0],
    "getfqdn": lambda address: socket.getfqdn(address),
    "loop.getnameinfo": lambda address: asyncio.run(_in_a_loop("getnameinfo", (address, 80)))[0],
}


@pytest.mark.parametrize("way", FORWARD)
def test_every_way_to_ask_is_answered_alike(way: str, table: FakeAddressTable, asked: list[Any]) -> None:
    with routed(URL, routes=()):
        address = FORWARD[way](NAME)
        assert address == table.address_of(NAME)
        assert address.startswith(("198.18.", "198.19."))
    assert asked == []


@pytest.mark.parametrize("way", BACK)
@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_every_way_back_leads_to_the_name(way: str, family: int, table: FakeAddressTable, asked: list[Any]) -> None:
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


DIRECT: dict[str, Callable[[], object]] = {
    "getaddrinfo": lambda: socket.getaddrinfo("printer.lan", 80),
    "gethostbyname": lambda: socket.gethostbyname("printer.lan"),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex("printer.lan"),
    "gethostbyaddr": lambda: socket.gethostbyaddr("203.0.113.5"),
    "getnameinfo": lambda: socket.getnameinfo(("203.0.113.5", 80), 0),
}


@pytest.mark.parametrize("function", DIRECT)
def test_the_resolver_is_asked_for_what_is_direct(function: str, asked: list[Any]) -> None:
    with (
        routed(URL, routes=("*.lan=direct", "203.0.113.0/24=direct")),
        pytest.raises(socket.gaierror, match="asked"),
    ):
        DIRECT[function]()
    assert len(asked) == 1


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


def test_a_traceback_holds_no_more_than_the_originals_does() -> None:
    class Address:
        """No tuple, and nobody else holds it."""

    address = Address()
    gone = weakref.ref(address)
    with routed(URL, routes=()):
        try:
            socket.getnameinfo(address, 0)  # type: ignore[arg-type]
        except TypeError:
            del address
            assert gone() is None


def test_a_class_may_have_taken_a_function_before() -> None:
    # One in C does not bind.
    client: Any = type("Client", (), {"look_up": socket.gethostbyname})
    with routed(URL, routes=()):
        assert client.look_up(NAME) == client().look_up(NAME) == fake_addresses.TABLE.address_of(NAME)
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
            assert socket.getaddrinfo(NAME, 80)[0][4][0] == fake_addresses.TABLE.address_of(NAME)
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
        assert socket.gethostbyname(NAME).startswith(("198.18.", "198.19."))


@pytest.mark.parametrize("rule", ["*=direct", "*.example=direct"])
@pytest.mark.parametrize(
    "look_up",
    [
        lambda: socket.create_connection((NAME, 80)),
        lambda: socket.getaddrinfo(NAME.encode(), 80),
        lambda: socket.gethostbyname(NAME),
        lambda: socket.gethostbyname_ex(NAME),
        lambda: socket.gethostbyaddr(NAME),
    ],
    ids=["create_connection", "getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"],
)
@pytest.mark.usefixtures("asked")
def test_a_name_that_is_unknown_here_has_a_line_in_the_log(
    rule: str, look_up: Callable[[], object], tmp_path: Path
) -> None:
    with routed(URL, routes=(rule,), log=str(tmp_path / "log")), pytest.raises(socket.gaierror):
        look_up()
    (line,) = (tmp_path / "log").read_text().splitlines()
    error = f"gaierror: [Errno {socket.EAI_AGAIN}] asked"
    assert line == f"socksify: SOCKSclient: look up {NAME} here (rule {rule}) {error}"


@pytest.mark.parametrize("call", ["connect", "connect_ex"])
@pytest.mark.usefixtures("asked")
def test_so_has_one_that_is_given_to_connect(call: str, tmp_path: Path) -> None:
    url = URL.replace("socks5h", "socks5")
    with routed(url, routes=(), log=str(tmp_path / "log")), socket.socket() as sock, pytest.raises(socket.gaierror):
        getattr(sock, call)((NAME, 80))
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert f"look up {NAME} here (rule *=proxy) gaierror: " in line
