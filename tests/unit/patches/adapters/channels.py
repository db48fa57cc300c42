"""Channels of pycares, for the interfaces of versions 4 and 5: they are made, and asked until they have answered."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pycares

# Up to version 4: results of classes of its own, gethostbyname(), and no event thread unless one is asked for.
IS_OLD = not hasattr(pycares, "DNSResult")
SECONDS = 10.0


def channel(server: str, port: int) -> pycares.Channel:
    """A channel that asks one name server."""
    events: dict[str, Any] = {"event_thread": True} if IS_OLD else {}
    return pycares.Channel(servers=[server], udp_port=port, tcp_port=port, timeout=1, tries=1, **events)


def ask(channel: pycares.Channel, method: str, *args: Any, **kwargs: Any) -> tuple[Any, int | None]:
    """The result and the error that the callback is given."""
    heard: SimpleQueue[tuple[Any, int | None]] = SimpleQueue()
    getattr(channel, method)(*args, callback=lambda *answer: heard.put(answer), **kwargs)
    return heard.get(timeout=SECONDS)


def result(channel: pycares.Channel, method: str, *args: Any, **kwargs: Any) -> Any:
    """The result of a call that must succeed."""
    answer, error = ask(channel, method, *args, **kwargs)
    assert error is None, pycares.errno.strerror(error)
    return answer


def addresses(answer: Any) -> list[str]:
    """What getaddrinfo() found."""
    return [node.addr[0].decode() for node in answer.nodes]


def records(answer: Any, field: str) -> list[Any]:
    """What a query found: a field of each record, by the name that the version has for it."""
    if IS_OLD:
        found = answer if isinstance(answer, list) else [answer]
        return [getattr(record, {"addr": "host"}.get(field, field)) for record in found]
    return [getattr(record.data, field) for record in answer.answer]
