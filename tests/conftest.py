"""Servers for every test, started once in a session.

The SOCKS fixtures yield `tests.support.servers.Server`, the targets `tests.support.targets.Target`. Loopback
destinations are routed direct by default. A test that should go through a proxy therefore sets routes.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import socksify
from socksify import _network_block
from socksify.routing import log
from tests.support import servers, targets
from tests.support.network.namespaces import needs_root
from tests.support.parts import EVERY_VERSION, PARTS, Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.support.network.recorded import RecordedNetwork


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", type=Part.parse, metavar="N", help=f"run part N of {PARTS}, another one on each Python")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    part: Part | None = config.getoption("--part")
    if part is None or collection_path.is_dir() or not collection_path.match("test_*.py"):
        return None
    return None if part.has_file(collection_path.relative_to(config.rootpath)) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part: Part | None = config.getoption("--part")
    if part is not None:
        chosen = [item for item in items if _is_chosen(part, item)]
        config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
        items[:] = chosen


def _is_chosen(part: Part, item: pytest.Item) -> bool:
    if item.get_closest_marker(EVERY_VERSION) is not None:
        return True
    return part.has_test(item.path.relative_to(item.config.rootpath), item.nodeid)


def pytest_collection_finish() -> None:
    """Hide all objects that exist by now from the garbage collector.

    install() asks the collector which objects refer to a function. Thousands of tests call install(), and a search of
    pytest's own objects would take long each time.
    """
    # trio's plug-in for hypothesis asks the same question, and complains if there is no answer. Import it before.
    import hypothesis  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def client_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo a test's change of the client's name in log lines."""
    monkeypatch.setattr(log, "name", log.DEFAULT_NAME)


@pytest.fixture(autouse=True)
def open_network() -> Iterator[None]:
    """Open the network again after a test in which an installation failed and closed it."""
    yield
    if _network_block.BLOCK.is_closed:
        _network_block.BLOCK.reopen()


@pytest.fixture(scope="session")
def danted() -> Iterator[servers.Server]:
    with servers.danted() as server:
        yield server


@pytest.fixture(scope="session")
def danted6() -> Iterator[servers.Server]:
    """danted on ::1."""
    with servers.danted(host="::1") as server:
        yield server


@pytest.fixture(scope="session")
def danted_with_password() -> Iterator[servers.Server]:
    with servers.danted("alice", "open sesame") as server:
        yield server


@pytest.fixture(scope="session")
def microsocks() -> Iterator[servers.Server]:
    with servers.microsocks() as server:
        yield server


@pytest.fixture(scope="session")
def microsocks_with_password() -> Iterator[servers.Server]:
    with servers.microsocks("alice", "open sesame") as server:
        yield server


@pytest.fixture(scope="session")
def ssh_d() -> Iterator[servers.Server]:
    with servers.ssh_dynamic() as server:
        yield server


@pytest.fixture(params=["danted", "microsocks", "ssh_d"])
def proxy(request: pytest.FixtureRequest) -> servers.Server:
    """Each of the three servers in turn."""
    server: servers.Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def echo_server() -> Iterator[targets.Target]:
    with targets.serve(targets.Echo) as target:
        yield target


@pytest.fixture(scope="session")
def http_server() -> Iterator[targets.Target]:
    with targets.serve(targets.Page) as target:
        yield target


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A socket on loopback that receives datagrams."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def uninstalled() -> Iterator[None]:
    """The next test begins without an installation, however this one ends."""
    yield
    socksify.uninstall()


@pytest.fixture(scope="session")
def root() -> None:
    needs_root()


@pytest.fixture(scope="session")
def network(root: None) -> Iterator[RecordedNetwork]:  # noqa: ARG001
    """A network that records what leaves a client's machine, with targets and a proxy."""
    # This module imports the servers of many libraries, and few tests need them.
    from tests.support.network.recorded import recorded_network

    with recorded_network() as found:
        yield found
