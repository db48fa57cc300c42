"""Rules about names judge the name that is looked up: the search list of resolv.conf(5) is not applied to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.network.name_server import name_server
from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.running_sockd import Sockd, sockd
from tests.support.streams import receive
from tests.unit.server.client import BIND, CONNECT, GREETING, address5, ask, reply5

TARGET, PORT = "10.9.0.3", 7007
SUCCEEDED, NOT_ALLOWED, HOST_UNREACHABLE = 0, 2, 4
# The search list would turn `sub`, and by ndots also `a.b`, into names that the rules deny.
RESOLV_CONF = f"search deny.example corp.example\noptions ndots:5 timeout:2 attempts:1\nnameserver {TARGET}\n"
KNOWN = {
    "sub.deny.example": [TARGET],
    "a.b.deny.example": [TARGET],
    "permitted.example": [TARGET],
    "xn--bcher-kva.deny.example": [TARGET],
    "only.corp.example": [TARGET],
}
HOSTS = f"127.0.0.1 localhost\n{TARGET} box  Full.Example\n::1 six.example\n"
DENYING = """
[[rules]]
action = "deny"
to = [".deny.example"]
[[rules]]
action = "permit"
"""
PERMITTING = """
[[rules]]
action = "permit"
to = ["permitted.example", "only"]
[[rules]]
action = "deny"
"""
SOURCES = f"""
sources = [".deny.example={TARGET}"]
"""
SEARCHING = ""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    needs_root()
    files = {"resolv.conf": RESOLV_CONF, "hosts": HOSTS, "nsswitch.conf": "hosts: files dns\n"}
    with ExitStack() as stack:
        namespace = stack.enter_context(Namespace(etc(tmp_path_factory.mktemp("gateway") / "etc", files), "gateway"))
        namespace.ip(f"address add {TARGET}/32 dev lo")
        with namespace.inside():
            stack.enter_context(name_server(TARGET, KNOWN))
            stack.enter_context(socket.create_server((TARGET, PORT)))
        yield namespace


def connected(gateway: Namespace, server: Sockd) -> socket.socket:
    with gateway.inside():
        return server.connect()


def asked(gateway: Namespace, directory: Path, text: str, name: bytes, command: int = CONNECT) -> int:
    """Returns what a sockd with these rules answers."""
    (directory / "sockd.toml").write_text(text)
    with (
        sockd("--config", str(directory / "sockd.toml"), prefix=tuple(gateway.command())) as server,
        connected(gateway, server) as client,
    ):
        client.sendall(GREETING)
        assert receive(client, 2) == b"\x05\x00"
        client.sendall(bytes((5, command, 0, 3, len(name))) + name + PORT.to_bytes(2))
        return reply5(client)[0]


@pytest.mark.parametrize("command", [CONNECT, BIND])
@pytest.mark.parametrize("name", [b"sub", b"SUB", b"a.b", "b\u00fccher".encode(), b"xn--bcher-kva"])
def test_the_search_list_leads_to_no_other_name(name: bytes, command: int, gateway: Namespace, tmp_path: Path) -> None:
    assert asked(gateway, tmp_path, DENYING, name, command) == HOST_UNREACHABLE


@pytest.mark.parametrize("text", [PERMITTING, SOURCES, 'routes = [".deny.example=block"]'])
def test_names_in_rules_routes_and_sources(text: str, gateway: Namespace, tmp_path: Path) -> None:
    name = b"only" if text == PERMITTING else b"sub"
    assert asked(gateway, tmp_path, text, name) == HOST_UNREACHABLE


@pytest.mark.parametrize(
    "name",
    [b"sub.deny.example", b"sub.deny.example.", b"Sub.DENY.example", "sub\u3002deny.example".encode()],
)
def test_the_whole_name_is_denied(name: bytes, gateway: Namespace, tmp_path: Path) -> None:
    assert asked(gateway, tmp_path, DENYING, name) == NOT_ALLOWED


@pytest.mark.parametrize(
    "name",
    [
        b"permitted.example",
        b"permitted.example.",
        # This name is in the hosts file, in which glibc finds a name without a final dot.
        b"box",
        b"BOX.",
        b"full.example",
        # inet_aton(3) reads this as an address.
        b"10.9.3",
        b"0x0a.9.3",
        b"012.9.0.3",
    ],
)
def test_other_names_are_found_as_ever(name: bytes, gateway: Namespace, tmp_path: Path) -> None:
    assert asked(gateway, tmp_path, DENYING, name) == SUCCEEDED


@pytest.mark.parametrize("name", [b"sub", b"only"])
def test_where_no_name_decides_the_search_list_is_applied(name: bytes, gateway: Namespace, tmp_path: Path) -> None:
    assert asked(gateway, tmp_path, SEARCHING, name) == SUCCEEDED


@pytest.mark.parametrize("name", [b"sub..deny.example", b".", b"sub.deny.example..", b"sub%lo", b"10.9.3.", b" sub"])
def test_a_malformed_name_is_unknown(name: bytes, gateway: Namespace, tmp_path: Path) -> None:
    assert asked(gateway, tmp_path, DENYING, name) in (HOST_UNREACHABLE, NOT_ALLOWED)


def test_the_datagrams_of_an_association(gateway: Namespace, tmp_path: Path) -> None:
    (tmp_path / "sockd.toml").write_text(DENYING)
    with ExitStack() as stack:
        prefix = tuple(gateway.command())
        server = stack.enter_context(sockd("--config", str(tmp_path / "sockd.toml"), prefix=prefix))
        control = stack.enter_context(connected(gateway, server))
        assert ask(control, 5, "0.0.0.0", 0, 3) == SUCCEEDED
        with gateway.inside():
            target = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            target.bind((TARGET, PORT))
            target.settimeout(10)
            again = stack.enter_context(server.connect())
            again.sendall(GREETING + b"\x05\x03\x00" + address5("0.0.0.0", 0))
            assert receive(again, 2) == b"\x05\x00"
            code, bound = reply5(again)
            assert code == SUCCEEDED
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.bind(("127.0.0.1", 0))
            relay = socket.inet_ntoa(bound[1:5]), int.from_bytes(bound[5:])
            client.sendto(b"\0\0\0" + address5("sub", PORT) + b"denied", relay)
            client.sendto(b"\0\0\0" + address5("permitted.example", PORT) + b"permitted", relay)
        assert target.recv(100) == b"permitted"
