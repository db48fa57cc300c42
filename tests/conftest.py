"""The servers every test may ask for, started once a session.

The SOCKS fixtures yield `tests.servers.Server`, the targets `tests.targets.Target`. Loopback destinations are routed
direct by default, so a test that means to go through a proxy says so in its routes.
"""

from __future__ import annotations

import gc
import sys
import zlib
from collections.abc import Iterator

import pytest

from socksify.tunnel import log
from tests import servers, targets
from tests.wire.namespaces import needs_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.wire.outside import Outside


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fifth", action="store_true", help="run a fifth of the tests, another one on each Python")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--fifth"):
        mine = [item for item in items if zlib.crc32(item.nodeid.encode()) % 5 == sys.version_info.minor % 5]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(mine)])
        items[:] = mine


def pytest_collection_finish() -> None:
    """Puts what is there by now out of the garbage collector's sight.

    install() asks it who refers to a function, and many a test installs: in pytest's own heap that takes long.
    """
    # trio's plug-in for it asks the same, and complains when it finds nobody; pytest imports it at its end, if not now.
    import hypothesis  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def client_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test calls the client, it is called by no other."""
    monkeypatch.setattr(log, "name", log.DEFAULT_NAME)


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


@pytest.fixture(scope="session")
def root() -> None:
    needs_root()


@pytest.fixture(scope="session")
def net(root: None) -> Iterator[Outside]:  # noqa: ARG001
    """A network that records what leaves a client's machine, with targets and a proxy."""
    # It has the servers of many libraries in it, which few tests want imported.
    from tests.wire import outside

    with outside.outside() as network:
        yield network
