from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.both import Both


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)
