"""Fake addresses in a sealed process: the supervisor has the one table of the tree."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import AF_INET, AF_INET6, EAI_FAIL, EAI_NONAME, gaierror

import pytest

from socksify import _originals, _supervision, config
from socksify.config.settings import Settings
from socksify.routing import fake_addresses, supervised_names
from socksify.routing.fake_addresses import FakeAddressTable
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.router import Router
from socksify.routing.supervised_names import SupervisedNames
from tests.support.supervision import Supervisor, as_kernel, fails, supervise
from tests.unit.routing.small_table import ROOM, SMALL, add, small


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def settings() -> Settings:
    return config.load({"proxy": "socks5h://192.0.2.1:1080"}, {}, "/nonexistent")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(supervised_names, "monotonic", clock)
    return clock


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> FakeAddressTable:
    """The supervisor's own table, which is soon full."""
    table = small()
    monkeypatch.setattr(fake_addresses, "TABLE", table)
    return table


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch, settings: Settings, table: FakeAddressTable) -> Supervisor:  # noqa: ARG001
    return supervise(monkeypatch, settings)


@pytest.fixture
def join(supervisor: Supervisor) -> Callable[[], FakeAddressTable]:  # noqa: ARG001
    """Makes the table of another sealed process, whose settings name other networks than the seal's."""

    def joined() -> FakeAddressTable:
        table = FakeAddressTable()
        table.configure(("203.0.113.0/24", "2001:db8::/64"), SupervisedNames())
        return table

    return joined


def test_one_name_has_one_address_in_the_tree(join: Callable[[], FakeAddressTable], table: FakeAddressTable) -> None:
    one, other = join(), join()
    for family in (AF_INET, AF_INET6):
        address = one.address_of("name.example", family)
        assert address == other.address_of("name.example", family) == table.address_of("name.example", family)
        assert {each.name_of(address) for each in (one, other, table)} == {"name.example"}
        assert one.is_fake(address)
    assert one.networks == SMALL
    assert len(one) == 0


def test_answers_are_kept_for_a_second(
    join: Callable[[], FakeAddressTable], supervisor: Supervisor, clock: Clock
) -> None:
    mine = join()
    address = mine.address_of("name.example")
    assert mine.name_of(address) == "name.example"
    asked = len(supervisor.questions)
    assert mine.address_of("name.example", AF_INET6)
    assert mine.name_of(address) == "name.example"
    assert len(supervisor.questions) == asked
    clock.now += 1.0
    assert mine.address_of("name.example") == address
    assert len(supervisor.questions) == asked + 1
    clock.now += 1.0
    assert mine.name_of(address) == "name.example"
    assert len(supervisor.questions) == asked + 2


def test_a_name_that_is_used_is_not_dropped(
    join: Callable[[], FakeAddressTable], table: FakeAddressTable, clock: Clock
) -> None:
    mine = join()
    address = mine.address_of("name.example")
    for start in range(5):
        add(table, ROOM - 1, start * ROOM)
        clock.now += 1.0
        assert mine.address_of("name.example") == address


def test_a_dropped_name_is_known_nowhere(
    join: Callable[[], FakeAddressTable], table: FakeAddressTable, clock: Clock
) -> None:
    mine = join()
    address = mine.address_of("name.example")
    add(table, ROOM)
    clock.now += 1.0
    assert mine.name_of(address) is None
    assert mine.is_fake(address)
    # The index is used again as late as possible. Then it means the other name in every process.
    later = [table.address_of(f"{number}.later") for number in range(ROOM)]
    assert address in later
    clock.now += 1.0
    assert mine.name_of(address) == table.name_of(address) != "name.example"
    assert mine.address_of("name.example") != address


def test_an_address_of_another_process_has_its_name(
    join: Callable[[], FakeAddressTable], table: FakeAddressTable
) -> None:
    address = table.address_of("elsewhere.example")
    assert join().name_of(address) == "elsewhere.example"


def test_an_index_beyond_the_table_is_not_asked_for(
    join: Callable[[], FakeAddressTable], supervisor: Supervisor
) -> None:
    mine = join()
    asked = len(supervisor.questions)
    assert mine.name_of("fd00::1:0:0:5") is None
    assert mine.name_of("192.0.2.1") is None
    assert len(supervisor.questions) == asked


def test_the_spelling_of_the_latest_look_up_counts(
    join: Callable[[], FakeAddressTable], table: FakeAddressTable
) -> None:
    mine = join()
    address = mine.address_of("name.example")
    assert mine.address_of("NAME.example") == address
    assert table.name_of(address) == "NAME.example"


def test_real_addresses_in_the_networks(join: Callable[[], FakeAddressTable], table: FakeAddressTable) -> None:
    """The supervisor answers the resolver, too: an address with a name is a fake one, also in a native answer."""
    mine = join()
    fake = mine.address_of("name.example")
    real = next(literal for literal in ("10.1.2.7", "10.1.2.8") if table.name_of(literal) is None)
    mine.mark_real([fake, real, "192.0.2.1"])
    assert mine.is_fake(fake)
    assert mine.name_of(fake) == "name.example"
    assert not mine.is_fake(real)


def test_the_cache_is_bounded(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SupervisedNames, "_MEMORY", 3)
    names = SupervisedNames()
    for number in range(10):
        assert names.name_at(names.index_of(f"{number}.example")) == f"{number}.example"
    assert len(names._indices) <= 3
    assert len(names._names) <= 3
    assert len(supervisor.questions) == 10


@pytest.mark.parametrize("name", ["a" * 256, "é" * 128])
def test_a_name_that_is_too_long_does_not_exist(join: Callable[[], FakeAddressTable], name: str) -> None:
    with pytest.raises(gaierror) as failure:
        join().address_of(name)
    assert failure.value.errno == EAI_NONAME


@pytest.mark.parametrize("name", ["a" * 255, "bücher.example", "\udcff.example", "x"])
def test_any_other_name_has_an_address(join: Callable[[], FakeAddressTable], name: str) -> None:
    mine = join()
    assert mine.name_of(mine.address_of(name)) == name


def test_without_the_supervisor_names_fail(
    join: Callable[[], FakeAddressTable], supervisor: Supervisor, clock: Clock
) -> None:
    mine = join()
    address = mine.address_of("name.example")
    supervisor.is_alive = False
    clock.now += 1.0
    with pytest.raises(gaierror, match="supervisor") as failure:
        mine.address_of("name.example")
    assert failure.value.errno == EAI_FAIL
    with pytest.raises(gaierror, match="supervisor"):
        mine.name_of(address)


def test_install_without_the_supervisor(join: Callable[[], FakeAddressTable], supervisor: Supervisor) -> None:
    supervisor.is_alive = False
    mine = join()
    assert mine.networks == ("203.0.113.0/24", "2001:db8::/64")
    with pytest.raises(gaierror, match="supervisor"):
        mine.address_of("name.example")


def test_install_without_a_descriptor(
    supervisor: Supervisor,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(_originals, "setsockopt", as_kernel(none_left))
    with fails(errno.EMFILE):
        SupervisedNames().networks(SMALL)


def test_a_shortage_of_descriptors_is_reported_as_such(
    join: Callable[[], FakeAddressTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = join()

    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(_originals, "setsockopt", as_kernel(none_left))
    with fails(errno.EMFILE):
        mine.address_of("name.example")


def test_the_router_goes_by_the_trees_names(
    join: Callable[[], FakeAddressTable],
    supervisor: Supervisor,
    table: FakeAddressTable,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, unknown = table.address_of("name.example"), "10.1.2.200"
    assert table.name_of(unknown) is None
    mine = join()
    answers = supervisor.setsockopt

    def setsockopt(*args: object) -> None:
        """The supervisor, another process, uses its own table."""
        monkeypatch.setattr(fake_addresses, "TABLE", table)
        answers(*args)  # type: ignore[arg-type]
        monkeypatch.setattr(fake_addresses, "TABLE", mine)

    monkeypatch.setattr(_originals, "setsockopt", as_kernel(setsockopt))
    monkeypatch.setattr(fake_addresses, "TABLE", mine)
    route = Router(settings).decide(AF_INET, (address, 80))
    assert isinstance(route, Via)
    assert route.target.host == "name.example"
    assert isinstance(Router(settings).decide(AF_INET, (unknown, 80)), Blocked)
    local = config.load({"proxy": "socks5://192.0.2.1:1080"}, {}, "/nonexistent")
    assert isinstance(Router(local).decide(AF_INET, (unknown, 80)), Blocked)
    assert _supervision.NAME_OF_INDEX in supervisor.questions


@pytest.mark.parametrize("given", ["name.example", "fake"])
def test_a_name_that_is_looked_up_here_is_left_to_the_supervisor(
    join: Callable[[], FakeAddressTable], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """The resolver gets a fake address for it. The route to that address led to the resolver again, without end."""
    mine = join()
    fake = mine.address_of("name.example")

    def getaddrinfo(_: bytes, port: int, *__: object) -> list[tuple[object, ...]]:
        return [(AF_INET, 1, 6, "", (fake, port))]

    monkeypatch.setattr(_originals, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(fake_addresses, "TABLE", mine)
    local = config.load({"proxy": "socks5://192.0.2.1:1080"}, {}, "/nonexistent")
    route = Router(local).decide(AF_INET, (fake if given == "fake" else given, 80))
    assert isinstance(route, Direct)
    assert route.address == (fake, 80)
