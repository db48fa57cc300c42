"""ViaBlock, which `socksify.via()` returns: a context manager and decorator that may be entered many times at once."""

from __future__ import annotations

from functools import partial, wraps
from types import CoroutineType

from socksify.config import proxy_url, values
from socksify.config.errors import ConfigError, masked
from socksify.config.schema import BY_NAME
from socksify.patches import is_installed, scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

_SOURCE = "via()"
# Python's C API, code.h: CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR. `inspect` would cost its import.
_GENERATORS, _COROUTINE = 0x20 | 0x200, 0x80


class ViaBlock:
    """Routes connections and look-ups by other VIAs inside a `with` block, or inside a decorated function or coroutine.

    `proxy` is a VIA (direct, block, proxy, the name of a proxy, or a URL) or a sequence of VIAs. `isolate` is a value
    of the setting of that name; None keeps the setting. Raises ConfigError if an argument is malformed, or if the
    installed settings do not know the name of a proxy.
    """

    def __init__(self, proxy: str | Sequence[str], isolate: str | None) -> None:
        vias = values.urls(proxy, _SOURCE)
        if not vias:
            raise ConfigError(f"{_SOURCE}: nothing in it, expected direct, block, proxy, a proxy's name or a URL")
        for via in vias:
            if "://" in via:
                proxy_url.parse_chain(via, _SOURCE)
        if isolate is not None:
            BY_NAME["isolate"].read(isolate, "via(isolate=)")
        self._way = vias, isolate
        if is_installed():
            # The names of proxies are known now, so an unknown name is reported here and not at the first `with`.
            scope.installed.scope.enter(self._way)

    def __enter__(self) -> None:
        """Raise RuntimeError if nothing is installed, and ConfigError if the name of the proxy is not known."""
        if not is_installed():
            raise RuntimeError("socksify.via() before socksify.install(): nothing would go through the proxy")
        scope.installed.scope.enter(self._way)
        scope.enter(self, self._way)

    def __exit__(self, *_: object) -> None:
        scope.leave(self)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return a function that runs `function` inside the block. Raises TypeError for a generator function."""
        if _flags(_innermost(function)) & _GENERATORS:
            raise TypeError(
                "a generator runs in the context of the code that iterates over it; use `with` inside of it"
            )

        @wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> Any:
            with self:
                result = function(*args, **kwargs)
            # A plain function may return a coroutine, too.
            return self._awaited(result) if isinstance(result, CoroutineType) else result

        @wraps(function)
        async def inside_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await self._awaited(function(*args, **kwargs))

        is_coroutine = _flags(_without_partials(function)) & _COROUTINE
        return inside_coroutine if is_coroutine else inside  # type: ignore[return-value]

    async def _awaited(self, coroutine: Any) -> Any:
        with self:
            return await coroutine

    def __repr__(self) -> str:
        vias, isolate = self._way
        shown = ", ".join(repr(masked(via)) for via in vias)
        return f"socksify.via({shown if len(vias) == 1 else f'[{shown}]'}{f', isolate={isolate!r}' if isolate else ''})"


def _flags(function: Any) -> int:
    """Return the flags of the code of a function, or of a callable object."""
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return getattr(code, "co_flags", 0)


def _without_partials(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _innermost(function: Any) -> Any:
    """Return the function behind partials and decorators."""
    while True:
        inner = getattr(_without_partials(function), "__wrapped__", None)
        if inner is None:
            return _without_partials(function)
        function = inner
