"""strict is installed, or uninstalled again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import socksify
from socksify.patches import strict
from tests.support.strict_refusals import NOWHERE


@pytest.fixture
def installed() -> Iterator[None]:
    """Everything but loopback belongs to a proxy that nobody will reach."""
    socksify.install(NOWHERE, strict=True)
    yield
    socksify.uninstall()


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    socksify.uninstall()
    assert strict._HOOK.checks == {}
