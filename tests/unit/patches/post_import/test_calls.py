"""A watch is called once for each import, whoever imports in whatever way, and may refuse it."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.resources
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from socksify.patches import post_import
from tests.support.temporary_modules import NAME, Watch, package, refuse, write

WAYS = [
    f"import {NAME}.sub",
    f"from {NAME} import sub",
    f"from {NAME}.sub import value",
    f"import importlib; importlib.import_module('{NAME}.sub')",
    f"import importlib; importlib.import_module('.sub', '{NAME}')",
    f"__import__('{NAME}.sub')",
]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_called_after_the_module_has_run(way: str, path: Path, watch: Watch) -> None:
    package(path)
    values: list[int] = []
    end = post_import.when_imported(f"{NAME}.sub", lambda module: values.append(module.value))
    whole = watch(NAME)
    exec(way)
    exec(way)
    end()
    assert values == [2]
    assert whole == [sys.modules[NAME]]


def test_it_is_called_at_once_for_what_is_there(path: Path, watch: Watch) -> None:
    write(path)
    module = importlib.import_module(NAME)
    assert watch() == [module]


def test_it_is_called_before_the_importer_gets_it(path: Path) -> None:
    write(path)
    end = post_import.when_imported(NAME, lambda module: setattr(module, "value", 7))
    exec(f"from {NAME} import value\nassert value == 7")
    end()


def test_a_name_that_is_blocked_is_not_there(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    monkeypatch.setitem(sys.modules, NAME, None)
    assert watch() == []
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(NAME)


def test_several_are_called_in_turn(path: Path, watch: Watch) -> None:
    write(path)
    every = [watch() for _ in range(3)]
    module = importlib.import_module(NAME)
    assert every == [[module]] * 3


def test_one_that_has_ended_is_not_called(path: Path, watch: Watch) -> None:
    write(path)
    arrived: list[ModuleType] = []
    end, other = post_import.when_imported(NAME, arrived.append), watch()
    end()
    end()
    module = importlib.import_module(NAME)
    assert (arrived, other) == ([], [module])


def test_a_reload_is_another_arrival(path: Path, watch: Watch) -> None:
    write(path)
    arrived = watch()
    module = importlib.import_module(NAME)
    loader = module.__loader__
    importlib.reload(module)
    assert arrived == [module, module]
    assert type(module.__loader__) is type(loader) is importlib.machinery.SourceFileLoader
    assert module.__spec__ is not None
    assert type(module.__spec__.loader) is type(loader)


def test_a_module_that_fails_has_not_arrived(path: Path, watch: Watch) -> None:
    write(path, source="raise RuntimeError('no')\n")
    arrived = watch()
    with pytest.raises(RuntimeError, match="no"):
        importlib.import_module(NAME)
    assert arrived == []
    assert NAME not in sys.modules
    write(path, source="longer = 'than the first'\n")
    assert arrived == [] == [importlib.import_module(NAME)][1:]
    assert arrived == [sys.modules[NAME]]


def test_a_module_that_is_missing_is_missing(watch: Watch) -> None:
    arrived = watch()
    assert importlib.util.find_spec(NAME) is None
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(NAME)
    assert caught.value.name == NAME
    assert arrived == []


def test_the_import_fails_with_what_is_raised(path: Path) -> None:
    write(path)

    def refuse(module: ModuleType) -> None:
        raise LookupError(module.__name__)

    end = post_import.when_imported(NAME, refuse)
    with pytest.raises(LookupError):
        importlib.import_module(NAME)
    assert NAME not in sys.modules
    end()
    module = importlib.import_module(NAME)
    with pytest.raises(LookupError):
        post_import.when_imported(NAME, refuse)
    assert post_import.FINDER.is_idle()
    assert sys.modules[NAME] is module


@pytest.mark.parametrize("way", WAYS)
def test_before_it_runs(way: str, path: Path, watch: Watch) -> None:
    package(path)
    write(path, f"{NAME}.sub", "raise AssertionError('it ran')")
    watch(f"{NAME}.sub", before=refuse)
    with pytest.raises(ImportError, match="is refused"):
        exec(way)
    assert f"{NAME}.sub" not in sys.modules


def test_who_only_looks_is_not_refused(path: Path, watch: Watch) -> None:
    """As optional dependencies are looked for; and sees the loader that is there."""
    write(path)
    watch(before=refuse)
    spec = importlib.util.find_spec(NAME)
    assert spec is not None
    assert isinstance(spec.loader, importlib.machinery.SourceFileLoader)
    assert spec.loader.get_source(NAME) == "value = 1\n"
    assert spec.loader.is_package(NAME) is False
    with pytest.raises(ImportError, match="is refused"):
        spec.loader.load_module(NAME)
