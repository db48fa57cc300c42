"""Resolvers that take the place of the stdlib's look-ups: those are asked first, and answer what is not to be asked.

Of a name that is left to a proxy, of the machine's own and of fake addresses no such resolver hears.
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
    """The wrapper of a resolver's method, or function, of that name."""

    def wrapper(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
        if args and _is_answered(name, *args[:2]):
            # Some take a family that the stdlib's do not.
            given = args if name in ("getaddrinfo", "getnameinfo") else args[:1]
            return getattr(_socket, name)(*given, **kwargs)
        answer = wrapped(*args, **kwargs)
        if name != "getnameinfo":
            fake_addresses.TABLE.mark_real(_addresses(name, answer))
        return answer

    return wrapper


def _is_answered(name: str, host: Any, port: Any = None) -> bool:
    if name in _FORWARD:
        return lookups.answers(host, port if name == "getaddrinfo" else None)
    return lookups.answers_whose(host[0] if name == "getnameinfo" and isinstance(host, tuple) and host else host)


def _addresses(name: str, answer: Any) -> list[str]:
    """Those that a native look-up has found."""
    if name == "getaddrinfo":
        return [info[4][0] for info in answer]
    return [answer] if name == "gethostbyname" else answer[2]
