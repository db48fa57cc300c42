"""What tests of strict share: a proxy that nobody reaches, and the check of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES
from typing import Any

import pytest

import socksify

NOWHERE = "socks5h://192.0.2.1:1080"


FAR = ("192.0.2.7", 80)


FAR6 = ("2001:db8::7", 80)


def refused(call: Callable[[], object]) -> str:
    """What is said of a call that strict refuses."""
    with pytest.raises(PermissionError) as caught:
        call()
    assert isinstance(caught.value, socksify.ProxyError)
    assert caught.value.errno == EACCES
    assert "goes past socksify, which strict forbids" in str(caught.value)
    return str(caught.value)


def with_default(original: Callable[..., Any]) -> Callable[..., Any]:
    def held(call: Callable[..., Any] = original) -> Callable[..., Any]:
        return call

    return lambda *args: held()(*args)
