"""The servers that CPython's own tests may be sent through."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support import running_sockd, servers
from tests.support.servers import Server


@contextlib.contextmanager
def sockd() -> Iterator[Server]:
    """Our own server; its rules are those for local clients."""
    with running_sockd.sockd() as server:
        yield Server("sockd", *server.address, Path(os.devnull))


PROXIES: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
    "danted": servers.danted,
    "microsocks": servers.microsocks,
    "sockd": sockd,
}


def connections(danted: Server) -> int:
    """How many danted has made, by what it wrote."""
    return danted.log.read_text().count("tcp/connect [")
