from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from socksify import _originals
from socksify.routing import fake_addresses
from tests.support.stepping import Stepping, stepping


@pytest.fixture
def steps() -> Iterator[Stepping]:
    """A proxy that stops at each step; everything is routed through it."""
    with stepping() as steps:
        yield steps


@pytest.fixture
def sock(steps: Stepping) -> Iterator[socket.socket]:  # noqa: ARG001 (to be closed before the proxy ends)
    """Non-blocking, not connected yet."""
    with socket.socket() as sock:
        sock.setblocking(False)
        yield sock


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> fake_addresses.FakeAddressTable:
    """A table of fake addresses of the test's own, which begins with the first."""
    table = fake_addresses.FakeAddressTable(random_index=lambda _: 0)
    monkeypatch.setattr(fake_addresses, "TABLE", table)
    return table


# Those calls that ask nobody.
NUMERIC: dict[str, Callable[..., object]] = {
    "getaddrinfo": lambda host, _, *hints, flags=0: not host or (hints[3:] or (flags,))[0] & socket.AI_NUMERICHOST,
    "getnameinfo": lambda _, flags: flags & socket.NI_NUMERICHOST,
    "gethostbyname": lambda host: not any(map(str.isalpha, host)),
    "gethostbyname_ex": lambda _: False,
    "gethostbyaddr": lambda _: False,
}
# Held by a function's closure, install() would find and rebind them.
ORIGINALS = {name: getattr(_originals, name) for name in NUMERIC}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the resolver is asked for from now on; it knows nobody."""
    asked: list[Any] = []

    def resolver(name: str) -> Callable[..., Any]:
        def ask(what: Any, *more: Any, **hints: Any) -> Any:
            if NUMERIC[name](what, *more, **hints):
                return ORIGINALS[name](what, *more, **hints)
            asked.append(what)
            raise socket.gaierror(socket.EAI_AGAIN, "asked")

        return ask

    for name in NUMERIC:
        monkeypatch.setattr(_originals, name, resolver(name))
    return asked
