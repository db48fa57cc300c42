from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site.breaking import corrupt
from tests.support import environments
from tests.support.environments import PROXY, Environment


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A virtual environment with socksify and without a hook; there is a space in its path."""
    return environments.create(tmp_path / "an environment")


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the hook, for tests that change nothing in it."""
    environment = environments.create(tmp_path_factory.mktemp("hooked") / "environment")
    environment.install("--proxy", PROXY)
    return environment


@pytest.fixture
def template(tmp_path: Path) -> Iterator[Path]:
    """A copy of the directory that goes on PYTHONPATH."""
    yield shutil.copytree(environments.TEMPLATE, tmp_path / "template")


@pytest.fixture
def broken(environment: Environment) -> Environment:
    """An environment whose hook has settings that cannot be read, so that the network is closed."""
    environment.install("--proxy", PROXY)
    corrupt(environment)
    return environment
