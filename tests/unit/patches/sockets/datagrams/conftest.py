"""Receivers of datagrams, and a resolver that knows one name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import socksify
from socksify import _originals
from tests.support.datagram_sockets import (
    NAME,
    Receiver,
)


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    socksify.uninstall()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(socket.AF_INET)
    yield made
    made.socket.close()


@pytest.fixture
def receiver6() -> Iterator[Receiver]:
    made = Receiver(socket.AF_INET6)
    yield made
    made.socket.close()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Lets every name be looked up as a host, or none; to be called when socksify is installed."""

    def answer(answer: str | None) -> None:
        original = _originals.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *hints: Any) -> Any:
            # Bytes where it is on our own account.
            if isinstance(host, (str, bytes)) and os.fsencode(host) == NAME.encode():
                assert answer is not None, "a name was looked up"
                host = answer
            return original(host, port, *hints)

        monkeypatch.setattr(_originals, "getaddrinfo", getaddrinfo)

    return answer
