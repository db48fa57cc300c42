"""Keeps questions from c-ares that come by no wrapped method: by one that was taken from its channel before.

pycares calls C through the name `_lib` of its module. While we route, that name stands for the same library with a
gate in each function that asks name servers, which is open while a wrapped method lets a question through.
"""

from __future__ import annotations

from _thread import _local
from types import SimpleNamespace

from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# What is there of these depends on the version.
_ASKING = (
    "ares_getaddrinfo",
    "ares_gethostbyaddr",
    "ares_gethostbyname",
    "ares_getnameinfo",
    "ares_query",
    "ares_query_dnsrec",
    "ares_search",
    "ares_search_dnsrec",
)

_gate = _local()


def put_up(pycares: ModuleType, journal: Journal) -> None:
    """Gate the functions of the library, until the journal is undone."""
    names = {name: getattr(pycares._lib, name) for name in dir(pycares._lib)}
    names.update((name, _gated(names[name])) for name in _ASKING if name in names)
    journal.set_attribute(pycares, "_lib", SimpleNamespace(**names))


def let_through(call: Callable[..., None], arguments: dict[str, Any]) -> None:
    """Call what asks, in this thread, with the gate open; a callback may ask in its turn."""
    was_open = _is_open()
    _gate.is_open = True
    try:
        call(**arguments)
    finally:
        _gate.is_open = was_open


def _gated(function: Callable[..., Any]) -> Callable[..., Any]:
    def gated(*args: Any) -> Any:
        if not _is_open():
            why = "this method was taken from its pycares.Channel before install(); take it afterwards"
            raise errors.not_sent("question", "c-ares", why)
        return function(*args)

    return gated


def _is_open() -> bool:
    return getattr(_gate, "is_open", False)
