"""What the programs of this directory meet: servers, and a proxy that takes its time and knows a name."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests import targets
from tests.certificates import Certificates
from tests.loops.runs import Place
from tests.processes import free_port


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    certificates = Certificates(tmp_path_factory.mktemp("loops"))

    class SecureEcho(targets.Echo):
        def setup(self) -> None:
            self.request = certificates.server().wrap_socket(self.request, server_side=True)

        def finish(self) -> None:
            with contextlib.suppress(OSError):
                self.request.close()

    with targets.serve(targets.Echo) as echo, targets.serve(SecureEcho) as tls, deaf() as nobody:
        yield Place(echo.address, tls.address, ("127.0.0.1", free_port()), nobody, certificates.authority)


@contextlib.contextmanager
def deaf() -> Iterator[tuple[str, int]]:
    """Where no connection is ever accepted, nor refused: the queue of a listener is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()
