"""The servers that the programs of this directory connect to."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import targets
from tests.support.certificates import Certificates
from tests.support.processes import free_port


@dataclass(frozen=True)
class Servers:
    """The servers' addresses, and the file of the authority that signed the certificate of the TLS server."""

    echo: tuple[str, int]
    tls: tuple[str, int]
    closed: tuple[str, int]
    deaf: tuple[str, int]
    authority: Path


@contextlib.contextmanager
def serve(directory: Path) -> Iterator[Servers]:
    """Run the servers for the length of the block. Certificates are made in `directory`."""
    certificates = Certificates(directory)

    class SecureEcho(targets.Echo):
        def setup(self) -> None:
            self.request = certificates.server().wrap_socket(self.request, server_side=True)

        def finish(self) -> None:
            with contextlib.suppress(OSError):
                self.request.close()

    with targets.serve(targets.Echo) as echo, targets.serve(SecureEcho) as tls, _deaf() as deaf:
        yield Servers(echo.address, tls.address, ("127.0.0.1", free_port()), deaf, certificates.authority)


@contextlib.contextmanager
def _deaf() -> Iterator[tuple[str, int]]:
    """A listener with a full queue: it neither accepts nor refuses a connection."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()
