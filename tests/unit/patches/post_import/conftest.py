"""A directory to import from, and a watch for what is imported."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.resources
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from socksify.patches import post_import
from tests.support.temporary_modules import NAME


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to import from; what was imported from it and who watched are gone afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0].startswith(NAME)]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def watch() -> Iterator[Callable[..., list[ModuleType]]]:
    """when_imported(), with a list of what arrived."""
    ends: list[Callable[[], None]] = []
    before = list(sys.meta_path)

    def watch(name: str = NAME, **more: Any) -> list[ModuleType]:
        arrived: list[ModuleType] = []
        ends.append(post_import.when_imported(name, arrived.append, **more))
        return arrived

    yield watch
    for end in ends:
        end()
    assert sys.meta_path == before
    assert post_import.FINDER.is_idle()
