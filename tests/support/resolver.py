"""A double of the system's resolver that records what it is asked for, and knows no name."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from socksify import _originals

# Whether a call asks no name server, by its arguments.
NUMERIC: dict[str, Callable[..., object]] = {
    "getaddrinfo": lambda host, _, *hints, flags=0: not host or (hints[3:] or (flags,))[0] & socket.AI_NUMERICHOST,
    "getnameinfo": lambda _, flags: flags & socket.NI_NUMERICHOST,
    "gethostbyname": lambda host: not any(map(str.isalpha, host)),
    "gethostbyname_ex": lambda _: False,
    "gethostbyaddr": lambda _: False,
}
# A module holds them: in the closure of a function, install() would find and rebind them.
ORIGINALS = {name: getattr(_originals, name) for name in NUMERIC}


def record_questions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put the double in the place of the resolver. Return the list to which it adds what it is asked for."""
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
