"""How a sealed process asks its supervisor, and what it takes for one."""

from __future__ import annotations

import os
import socket
from errno import EINTR, ENOSYS, EOPNOTSUPP, ESTALE

import pytest

from socksify import _originals, _supervision, config
from socksify.config import inherited
from socksify.config.settings import Settings, passed_on, scoped
from tests.support.forks import run_in_child
from tests.support.supervision import Supervisor, as_kernel, fails, supervise


@pytest.fixture
def settings() -> Settings:
    return config.load({"proxy": "socks5h://192.0.2.1:1080"}, {}, "/nonexistent")


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Supervisor:
    return supervise(monkeypatch, settings)


def test_outside_a_seal_the_kernel_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def setsockopt(*args: object) -> None:
        calls.append(args)
        _originals.Socket.setsockopt(*args)  # type: ignore[call-overload]

    monkeypatch.setattr(_originals, "setsockopt", as_kernel(setsockopt))
    descriptors = os.listdir("/proc/self/fd")
    assert not _supervision.is_sealed()
    assert len(calls) == 1
    assert os.listdir("/proc/self/fd") == descriptors


def test_a_process_that_is_sealed_later_knows_it(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    assert not _supervision.is_sealed()
    supervise(monkeypatch, settings)
    assert _supervision.is_sealed()


def test_the_supervisor_is_recognised_once(supervisor: Supervisor) -> None:
    assert _supervision.is_sealed()
    assert _supervision.is_sealed()
    assert supervisor.questions == [_supervision.NETWORKS]
    assert run_in_child(lambda: _supervision.is_sealed() and len(supervisor.questions) == 1) == 0


def test_a_dead_supervisor_is_a_seal(supervisor: Supervisor) -> None:
    supervisor.is_alive = False
    assert _supervision.is_sealed()
    with fails(ENOSYS):
        _supervision.index_of(b"name.example")


@pytest.mark.parametrize("error", [0, EOPNOTSUPP])
def test_a_kernel_that_answers_nothing_is_no_supervisor(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """Some kernels may accept options that they do not know."""

    def setsockopt(*_: object) -> None:
        if error:
            raise OSError(error, os.strerror(error))

    monkeypatch.setattr(_originals, "setsockopt", as_kernel(setsockopt))
    assert not _supervision.is_sealed()


def test_names_have_indices_and_indices_names(supervisor: Supervisor) -> None:
    longest = b"a" * _supervision.LONGEST_NAME
    for name in (b"x", b"name.example", "bücher.example".encode(), longest):
        assert _supervision.name_of(_supervision.index_of(name)) == name
    assert _supervision.index_of(b"NAME.example") == _supervision.index_of(b"name.example")
    assert _supervision.name_of(1 << 40) == b""
    assert _supervision.fake_networks() == ("198.18.0.0/15", "100::/64")
    assert supervisor.questions.count(_supervision.NAME_OF_INDEX) == 5


def test_settings_are_registered(supervisor: Supervisor, settings: Settings) -> None:
    inside = inherited.encoded(passed_on(scoped(settings, ("socks5h://192.0.2.2:1080",), None)))
    assert _supervision.register(inherited.encoded(settings)) == 0
    number = _supervision.register(inside)
    assert _supervision.register(inside) == number > 0
    with socket.socket() as sock:
        _supervision.put_in_scope(sock, number)
        inode = os.fstat(sock.fileno()).st_ino
        assert supervisor.scopes.router_of(os.getpid(), inode).settings.proxy[0].host == "192.0.2.2"
        with fails(ESTALE):
            _supervision.put_in_scope(sock, number + 1)


def test_a_proxy_has_more_addresses(supervisor: Supervisor) -> None:
    _supervision.add_first_hop("192.0.2.50", 1080)
    assert supervisor.scopes.base.is_first_hop("192.0.2.50", 1080)


def test_an_interrupted_question_is_asked_again(monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor) -> None:
    """A signal ends the call with EINTR, after the handler has run. The handler may have asked something else."""
    interrupted: list[int] = []
    handlers: list[int] = []

    def setsockopt(sock: _originals.Socket, level: int, option: int, value: bytearray) -> None:
        if not interrupted:
            interrupted.append(option)
            handlers.append(_supervision.index_of(b"handler.example"))
            raise InterruptedError(EINTR, os.strerror(EINTR))
        supervisor.setsockopt(sock, level, option, value)

    monkeypatch.setattr(_originals, "setsockopt", as_kernel(setsockopt))
    index = _supervision.index_of(b"name.example")
    assert _supervision.name_of(index) == b"name.example"
    assert _supervision.name_of(handlers[0]) == b"handler.example"
