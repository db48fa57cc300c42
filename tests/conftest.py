"""The servers every test may ask for, started once a session.

The SOCKS fixtures yield `tests.support.servers.Server`, the targets `tests.support.targets.Target`. Loopback
destinations are routed direct by default, so a test that means to go through a proxy says so in its routes.
"""

from __future__ import annotations

import gc
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from socksify import _network_block
from socksify.routing import log
from tests.support import servers, targets
from tests.support.network.namespaces import needs_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.support.network.recorded import RecordedNetwork


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part",
        type=Part.parse,
        metavar="N/PARTS",
        help="run one of so many parts, another one on each Python",
    )


@dataclass(frozen=True)
class Part:
    """One of `parts` parts of the suite. Each Python shifts the number, so no two of them run the same part."""

    number: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Part:
        number, parts = map(int, text.split("/"))
        return cls(number + sys.version_info.minor, parts)

    def has(self, item: pytest.Item) -> bool:
        """Whether a test is in this part; a test that is marked `every_version` is in each."""
        if item.get_closest_marker("every_version") is not None:
            return True
        return zlib.crc32(item.nodeid.encode()) % self.parts == self.number % self.parts


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part: Part | None = config.getoption("--part")
    if part is not None:
        config.hook.pytest_deselected(items=[item for item in items if not part.has(item)])
        items[:] = filter(part.has, items)


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


@pytest.fixture(autouse=True)
def open_network() -> Iterator[None]:
    """What failed to be installed in one test closes the network of no other."""
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


@pytest.fixture(scope="session")
def root() -> None:
    needs_root()


@pytest.fixture(scope="session")
def network(root: None) -> Iterator[RecordedNetwork]:  # noqa: ARG001
    """A network that records what leaves a client's machine, with targets and a proxy."""
    # It has the servers of many libraries in it, which few tests want imported.
    from tests.support.network.recorded import recorded_network

    with recorded_network() as found:
        yield found
