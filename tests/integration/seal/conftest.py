from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.both import Both
from tests.support.sealed import require_seal


@pytest.fixture(scope="session")
def sealed_system() -> None:
    """A system on which programs can be sealed."""
    require_seal()


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)
