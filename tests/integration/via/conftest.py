"""The world of the tests: two proxies and a target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from socksify.patches import scope
from tests.integration.via.world import World, world
from tests.support.resolver import record_questions


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    with world() as found:
        yield found


@pytest.fixture
def proxies(running: World) -> Iterator[World]:
    """One world for all tests of a module, if none of them installs anything."""
    running.begin()
    yield running
    assert scope.entered() is None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The names that the system's resolver is asked for from now on. It knows none of them."""
    return record_questions(monkeypatch)
