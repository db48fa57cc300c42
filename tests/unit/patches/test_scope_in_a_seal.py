"""A sealed process tells the supervisor the settings of its scopes, and claims sockets for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from errno import ENOSPC, ENOSYS
from socket import AF_INET

import pytest

import socksify
from socksify import _originals, _supervision, config
from socksify.config import inherited
from socksify.patches import scope
from socksify.patches.children.environment import SHARED
from socksify.routing import fake_addresses
from socksify.routing.fake_addresses import FakeAddressTable
from socksify.routing.route import Direct, Via
from socksify.seal.patched.scopes import Scopes
from tests.support.supervision import Supervisor, as_kernel, fails, supervise

A, B = "socks5h://198.51.100.1:1080", "socks5h://198.51.100.2:1080"
SCOPE = os.fsencode(inherited.SCOPE)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """The supervisor of a seal with the proxy A; this process has installed the same settings."""
    monkeypatch.setattr(fake_addresses, "TABLE", FakeAddressTable())
    monkeypatch.setattr(scope, "installed", scope.InstalledScope())
    supervisor = supervise(monkeypatch, config.load({"proxy": A}, {}, "/nonexistent"))
    socksify.install(A)
    supervisor.questions.clear()
    yield supervisor
    socksify.uninstall()


def number_for_children() -> bytes:
    assert SHARED.current is not None
    return SHARED.current.variables_here()[SCOPE]


def route_of(supervisor: Supervisor, sock: socket.socket) -> object:
    inode = os.fstat(sock.fileno()).st_ino
    return supervisor.scopes.router_of(os.getpid(), inode).decide(AF_INET, ("203.0.113.5", 80))


def test_outside_a_seal_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, uninstalled: None) -> None:  # noqa: ARG001
    asked: list[object] = []

    def setsockopt(*args: object) -> None:
        if args[1] == _supervision.PRIVATE_LEVEL:
            asked.append(args)
        _originals.Socket.setsockopt(*args)  # type: ignore[call-overload]

    monkeypatch.setattr(_originals, "setsockopt", as_kernel(setsockopt))
    socksify.install(A)
    assert len(asked) == 1
    with socksify.via(B), socket.create_server(("127.0.0.1", 0)) as server:
        assert scope.current().register() == 0
        socket.create_connection(server.getsockname()).close()
        assert SHARED.current is not None
        assert SCOPE not in SHARED.current.variables_here()
    assert len(asked) == 1


def test_the_settings_of_the_seal_are_no_scope(supervisor: Supervisor) -> None:
    assert number_for_children() == b"0"
    assert supervisor.scopes.router_of(os.getpid()) is supervisor.scopes.base
    assert supervisor.questions == []


def test_a_block_is_registered_when_it_is_entered(supervisor: Supervisor) -> None:
    assert isinstance(supervisor.scopes.base.decide(AF_INET, ("198.51.100.2", 1080)), Via)
    with socksify.via(B):
        assert isinstance(supervisor.scopes.base.decide(AF_INET, ("198.51.100.2", 1080)), Direct)
        inside = number_for_children()
        assert inside != b"0"
        with socksify.via("direct"):
            assert number_for_children() not in (b"0", inside)
        assert number_for_children() == inside
    assert number_for_children() == b"0"
    assert inherited.SCOPE not in os.environ


def test_other_settings_have_a_scope(supervisor: Supervisor) -> None:
    socksify.install(B)
    assert number_for_children() != b"0"
    assert isinstance(supervisor.scopes.base.decide(AF_INET, ("198.51.100.2", 1080)), Direct)


def test_a_child_gets_a_number_that_is_known(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the supervisor has dropped the settings meanwhile."""
    monkeypatch.setattr(Scopes, "_MOST", 1)
    with socksify.via(B):
        first = number_for_children()
        with socksify.via("direct"):
            assert number_for_children() != first
        assert number_for_children() != first
        assert supervisor.questions.count(_supervision.REGISTER) == 5
    socksify.install(B)
    assert SHARED.current is not None
    installed = SHARED.current.variables[SCOPE]
    with socksify.via("direct"):
        number_for_children()
    SHARED.refresh()
    assert SHARED.current.variables[SCOPE] != installed


def test_a_direct_connection_of_a_block_is_claimed(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scopes, "_MOST", 1)
    with socket.socket() as sock, socket.create_server(("127.0.0.1", 0)) as server:
        assert isinstance(route_of(supervisor, sock), Via)
        with socksify.via("direct"):
            # These settings take the place of those of the block.
            _supervision.register(inherited.encoded(config.load({"proxy": B}, {}, "/nonexistent")))
            sock.connect(server.getsockname())
        assert isinstance(route_of(supervisor, sock), Direct)
        supervisor.questions.clear()
        with socket.create_connection(server.getsockname()):
            assert supervisor.questions == []


def test_a_process_that_began_in_a_block_claims_for_the_seal(supervisor: Supervisor) -> None:
    scope.installed.started_with("5")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert supervisor.questions == [_supervision.SCOPE_OF_SOCKET]


def test_a_supervisor_that_has_ended_ends_no_block(supervisor: Supervisor) -> None:
    supervisor.is_alive = False
    with socksify.via(B):
        assert number_for_children() == b"0"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock, socksify.via("direct"):
        scope.installed.started_with("5")
        with fails(ENOSYS):
            sock.connect(server.getsockname())


def test_too_many_proxies_are_an_error(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to them would go through the proxy of the seal, and nobody would know."""
    assert supervisor.questions == []
    monkeypatch.setattr(Scopes, "_MOST_FIRST_HOPS", 1)
    with pytest.raises(OSError, match="too many different proxies") as failure:
        socksify.via(B)
    assert failure.value.errno == ENOSPC
