"""Which settings decide for which process, and how many are remembered."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from errno import EINVAL, ENOSPC, ESTALE
from socket import AF_INET, AF_INET6

import pytest

from socksify import config
from socksify.config import inherited
from socksify.config.settings import Settings, passed_on, scoped
from socksify.routing.route import Blocked, Direct, Via
from socksify.seal.patched.scopes import Scopes
from tests.support.supervision import fails

OTHER = "socks5h://192.0.2.2:1080"


@pytest.fixture
def settings() -> Settings:
    return config.load({"proxy": "socks5h://192.0.2.1:1080", "routes": ["*.corp=direct"]}, {}, "/nonexistent")


@pytest.fixture
def scopes(settings: Settings) -> Scopes:
    return Scopes(settings)


def block(settings: Settings, *vias: str) -> bytes:
    return inherited.encoded(passed_on(scoped(settings, vias, None)))


class Process:
    """A process with a number of a scope in its environment."""

    def __init__(self, number: str) -> None:
        environ = {**os.environ, inherited.SCOPE: number}
        argv = [sys.executable, "-c", "print(flush=True); input()"]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
        self.pid = self._process.pid
        # execve(2) shows the new environment a little after it has closed the descriptors.
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"\n"

    def end(self) -> None:
        self._process.communicate(b"\n")


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.end()


def first_hop(scopes: Scopes, pid: int) -> object:
    route = scopes.router_of(pid).decide(AF_INET, ("203.0.113.5", 80))
    return route.chain[0].host if isinstance(route, Via) else route


def test_without_a_registration_no_environment_is_read(scopes: Scopes, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: object) -> bytes:
        raise AssertionError("an environment was read")

    monkeypatch.setattr("socksify.seal.patched.scopes.environment", unexpected)
    assert scopes.router_of(os.getpid()) is scopes.base


def test_a_process_is_routed_by_the_scope_in_its_environment(
    scopes: Scopes, settings: Settings, started: list[Process]
) -> None:
    number = scopes.register(block(settings, OTHER))
    started += [Process(str(number)), Process("0"), Process("")]
    assert [first_hop(scopes, process.pid) for process in started] == ["192.0.2.2", "192.0.2.1", "192.0.2.1"]
    assert first_hop(scopes, os.getpid()) == "192.0.2.1"


@pytest.mark.parametrize("text", ["1", "-1", "99999999999999999999", "9" * 30, "name", "\udcff", "1 "])
def test_a_number_of_no_scope_means_the_settings_of_the_seal(
    scopes: Scopes, settings: Settings, started: list[Process], text: str
) -> None:
    scopes.register(block(settings, "direct"))
    started.append(Process(text))
    assert first_hop(scopes, started[0].pid) == "192.0.2.1"


def test_numbers_of_two_trees_differ(settings: Settings, scopes: Scopes) -> None:
    assert scopes.register(block(settings, "direct")) != Scopes(settings).register(block(settings, "direct"))


def test_a_number_that_will_be_given_is_not_valid_yet(
    scopes: Scopes, settings: Settings, started: list[Process]
) -> None:
    number = scopes.register(block(settings, OTHER))
    started.append(Process(str(number + 1)))
    assert first_hop(scopes, started[0].pid) == "192.0.2.1"
    scopes.register(block(settings, "direct"))
    assert isinstance(first_hop(scopes, started[0].pid), Direct)


def test_equal_settings_have_one_number(scopes: Scopes, settings: Settings) -> None:
    assert scopes.register(inherited.encoded(settings)) == 0
    assert scopes.register(inherited.encoded(settings.replace(sources={"proxy": "elsewhere"}))) == 0
    numbers = [scopes.register(block(settings, via)) for via in (OTHER, "direct", "block", OTHER, "direct", "block")]
    assert numbers[:3] == numbers[3:]
    assert len(set(numbers)) == 3


@pytest.mark.parametrize("via", [OTHER, "direct", "block"])
def test_a_block_decides_as_it_does_in_its_process(
    scopes: Scopes, settings: Settings, started: list[Process], via: str
) -> None:
    started.append(Process(str(scopes.register(block(settings, via)))))
    expected = {OTHER: Via, "direct": Direct, "block": Blocked}[via]
    router = scopes.router_of(started[0].pid)
    assert isinstance(router.decide(AF_INET, ("203.0.113.5", 80)), expected)
    assert isinstance(router.decide(AF_INET, ("127.0.0.1", 80)), Direct)


def test_the_first_hops_of_every_scope_are_direct_for_the_tree(scopes: Scopes, settings: Settings) -> None:
    """Also after a route to them was decided, and in scopes that were there before."""
    pid, hop = os.getpid(), ("192.0.2.9", 1080)
    earlier = scopes.register(block(settings, OTHER))
    scopes.put(1, earlier)
    routers = [scopes.router_of(pid), scopes.router_of(pid, 1)]
    assert [type(router.decide(AF_INET, hop)) for router in routers] == [Via, Via]
    later = scopes.register(block(settings, "socks5h://192.0.2.9:1080,socks5h://192.0.2.10:1080"))
    scopes.put(2, later)
    routers.append(scopes.router_of(pid, 2))
    assert [type(router.decide(AF_INET, hop)) for router in routers] == [Direct] * 3
    # The second hop of a chain is reached through the first one alone.
    assert [type(router.decide(AF_INET, ("192.0.2.10", 1080))) for router in routers] == [Via] * 3


def test_a_socket_may_have_a_scope_of_its_own(scopes: Scopes, settings: Settings) -> None:
    scopes.put(5, scopes.register(block(settings, "direct")))
    assert isinstance(scopes.router_of(os.getpid(), 5).decide(AF_INET, ("203.0.113.5", 80)), Direct)
    assert scopes.router_of(os.getpid(), 6) is scopes.base
    scopes.put(5, 0)
    assert scopes.router_of(os.getpid(), 5) is scopes.base
    with fails(ESTALE):
        scopes.put(5, 12345)


def test_scopes_that_were_not_used_for_long_are_dropped(
    settings: Settings, started: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of a dropped scope reaches nothing, neither directly nor by the settings of the seal."""
    monkeypatch.setattr(Scopes, "_MOST", 3)
    scopes = Scopes(settings)
    used, idle = (scopes.register(block(settings, f"socks5h://192.0.2.{last}:1080")) for last in (20, 21))
    started += [Process(str(used)), Process(str(idle))]
    for last in range(22, 24):
        scopes.register(block(settings, f"socks5h://192.0.2.{last}:1080"))
        assert first_hop(scopes, started[0].pid) == "192.0.2.20"
    assert isinstance(first_hop(scopes, started[1].pid), Blocked)
    assert isinstance(scopes.router_of(started[1].pid).decide(AF_INET, ("127.0.0.1", 80)), Direct)
    # Registered once more, the settings get another number.
    assert scopes.register(block(settings, "socks5h://192.0.2.21:1080")) not in (0, idle)


def test_the_memory_for_settings_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [block(settings, f"socks5h://192.0.2.{last}:1080") for last in range(20, 30)]
    monkeypatch.setattr(Scopes, "_MOST_BYTES", 3 * len(data[0]))
    scopes = Scopes(settings)
    numbers = [scopes.register(each) for each in data]
    assert [scopes.register(each) for each in data[-3:]] == numbers[-3:]
    assert scopes.register(data[0]) != numbers[0]


def test_routers_and_sockets_are_bounded(scopes: Scopes, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scopes, "_MOST_SOCKETS", 4)
    monkeypatch.setattr(Scopes, "_MOST_ROUTERS", 2)
    for inode in range(10):
        scopes.put(inode, scopes.register(block(settings, f"socks5h://192.0.2.{20 + inode}:1080")))
        route = scopes.router_of(os.getpid(), inode).decide(AF_INET, ("203.0.113.5", 80))
        assert isinstance(route, Via)
        assert route.chain[0].host == f"192.0.2.{20 + inode}"
    assert scopes.router_of(os.getpid(), 5) is scopes.base
    assert scopes.router_of(os.getpid(), 6) is not scopes.base


def test_first_hops_are_bounded_and_never_dropped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scopes, "_MOST_FIRST_HOPS", 3)
    monkeypatch.setattr(Scopes, "_MOST", 1)
    scopes = Scopes(settings)
    hops = [("192.0.2.20", 1080), ("192.0.2.21", 1080)]
    for host, port in hops:
        scopes.register(block(settings, f"socks5h://{host}:{port}"))
    with fails(ENOSPC):
        scopes.register(block(settings, "socks5h://192.0.2.22:1080"))
    assert {type(scopes.base.decide(AF_INET, hop)) for hop in hops} == {Direct}
    assert isinstance(scopes.base.decide(AF_INET, ("192.0.2.22", 1080)), Via)


def test_the_names_of_proxies_are_looked_up_on_this_machine(scopes: Scopes, settings: Settings) -> None:
    """A fake address would be told to servers that call back through the proxy."""
    assert scopes.names.is_faked("gw.example")
    assert scopes.lookups.forward("gw.example") is not None
    scopes.register(block(settings, "socks5h://GW.example:1080"))
    assert not scopes.names.is_faked("gw.EXAMPLE")
    assert scopes.lookups.forward("gw.example") is None
    assert scopes.names.is_faked("www.gw.example")
    assert not Scopes(settings.replace(proxy=(settings.proxy[0].replace(host="gw.example"),))).names.is_faked(
        "gw.example"
    )


@pytest.mark.parametrize(("family", "literal"), [(AF_INET, "192.0.2.50"), (AF_INET6, "2001:db8::50")])
def test_an_address_of_a_proxys_name_is_direct(scopes: Scopes, family: int, literal: str) -> None:
    assert isinstance(scopes.base.decide(family, (literal, 1080)), Via)
    scopes.add_first_hop(literal, 1080)
    assert isinstance(scopes.base.decide(family, (literal, 1080)), Direct)
    assert isinstance(scopes.base.decide(family, (literal, 1081)), Via)


def test_what_is_no_settings_changes_nothing(scopes: Scopes) -> None:
    with fails(EINVAL):
        scopes.register(b"nonsense")
    assert scopes.router_of(os.getpid()) is scopes.base


def test_names_get_a_fake_address_if_any_scope_proxies_them(scopes: Scopes, settings: Settings) -> None:
    """A resolver's query does not tell its process, and a name server must not hear of a name in a block of via()."""
    assert scopes.lookups.forward("host.corp") is None
    assert not scopes.names.is_faked("host.corp")
    scopes.register(block(settings, "direct"))
    assert scopes.lookups.forward("host.corp") is None
    scopes.register(block(settings, OTHER))
    assert scopes.names.is_faked("host.corp")
    assert scopes.lookups.forward("host.corp") is not None
    assert not scopes.names.is_faked("localhost")


def test_the_name_of_an_address_is_asked_for_if_every_scope_allows_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    lan = config.load({"proxy": "socks5h://192.0.2.1:1080", "direct": ["10.0.0.0/8"]}, {}, "/nonexistent")
    scopes = Scopes(lan)
    assert scopes.lookups.may_ask("10.1.2.3")
    assert not scopes.lookups.may_ask("203.0.113.7")
    scopes.register(block(lan, "direct"))
    assert scopes.lookups.may_ask("10.1.2.3")
    with monkeypatch.context() as many:
        many.setattr(Scopes, "_MOST_ROUTERS", 0)
        assert not scopes.lookups.may_ask("10.1.2.3")
    scopes.register(block(settings, OTHER))
    assert not scopes.lookups.may_ask("10.1.2.3")


def test_a_scope_whose_proxy_takes_no_names_does_not_refuse_those_of_others(scopes: Scopes, settings: Settings) -> None:
    scopes.register(
        inherited.encoded(passed_on(scoped(settings, ("socks4://192.0.2.4:1080",), None)).replace(dns="remote"))
    )
    assert scopes.names.is_faked("host.corp")


def test_with_many_scopes_every_name_gets_a_fake_address(
    scopes: Scopes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scopes, "_MOST_ROUTERS", 0)
    scopes.register(block(settings, "direct"))
    assert scopes.names.is_faked("host.corp")


def test_no_credentials_are_shown(scopes: Scopes, settings: Settings) -> None:
    scopes.register(block(settings, "socks5h://user:secret@192.0.2.2:1080"))
    scopes.put(1, scopes.register(block(settings, "socks5h://user:secret@192.0.2.2:1080")))
    assert "secret" not in repr(vars(scopes.router_of(1, 1)))
