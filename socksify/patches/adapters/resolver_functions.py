"""Wrappers for resolvers that replace the standard library's look-ups.

A wrapper asks our look-ups in `_socket` first. So the resolver is never asked for a name that the proxy resolves, for a
name of this machine, or for a fake address.
"""

from __future__ import annotations

import _socket

from socksify.patches.sockets import lookups
from socksify.routing import fake_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FORWARD = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
_REVERSE = ("gethostbyaddr", "getnameinfo")
NAMES = (*_FORWARD, *_REVERSE)


def answering(name: str) -> Callable[..., Any]:
    """Return the wrapper for a resolver's function or method of this name, which is one of NAMES."""

    def wrapper(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
        if args and _is_answered(name, *args[:2]):
            # Some resolvers accept a family as the second argument, which the standard library's function does not.
            accepted = args if name in ("getaddrinfo", "getnameinfo") else args[:1]
            return getattr(_socket, name)(*accepted, **kwargs)
        answer = wrapped(*args, **kwargs)
        if name != "getnameinfo":
            fake_addresses.TABLE.mark_real(_addresses(name, answer))
        return answer

    return wrapper


def _is_answered(name: str, host: Any, port: Any = None) -> bool:
    if name in _FORWARD:
        return lookups.answers(host, port if name == "getaddrinfo" else None)
    return lookups.answers_reverse(host[0] if name == "getnameinfo" and isinstance(host, tuple) and host else host)


def _addresses(name: str, answer: Any) -> list[str]:
    """Return the addresses in the result of the resolver's function `name`."""
    if name == "getaddrinfo":
        return [info[4][0] for info in answer]
    return [answer] if name == "gethostbyname" else answer[2]
