"""A proxy that knows a name which nobody else knows, a target by that name, and a loop of uvloop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.support import servers, targets
from tests.support.certificates import NAME, Certificates
from tests.support.servers import Server
from tests.support.targets import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.unit.patches.adapters.uvloop_runner import Run


@pytest.fixture(scope="session")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """danted, with a hosts file of its own."""
    hosts = tmp_path_factory.mktemp("knowing") / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n::1 localhost {NAME}\n")
    with servers.danted(hosts=hosts) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls_echo(certificates: Certificates) -> Iterator[Target]:
    """An echo server that speaks TLS, as NAME."""

    class SecureEcho(targets.Echo):
        def setup(self) -> None:
            self.request = certificates.server().wrap_socket(self.request, server_side=True)

        def finish(self) -> None:
            # anyio waits for the close_notify that answers its own.
            with self.request, contextlib.suppress(OSError):
                self.request.unwrap()

    with targets.serve(SecureEcho) as target:
        yield target


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs a coroutine on a loop of uvloop that was made before install()."""
    from tests.unit.patches.adapters.uvloop_runner import uvloop_runner

    with uvloop_runner() as run:
        yield run
