"""The module, its importer and other tools see no difference: specs, loaders, finders, threads."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.resources
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from socksify.patches import post_import
from tests.support.temporary_modules import NAME, Watch, package, refuse, write

SEEN = """
import importlib.resources, inspect, pkgutil, sys
seen = dict(
    names=sorted(globals()),
    loader=(type(__loader__), __loader__ is __spec__.loader),
    data=pkgutil.get_data(__name__, "data.txt"),
    file=__file__, cached=__spec__.cached, path=__path__, package=__package__,
    code=sys._getframe().f_code.co_filename,
)
"""


def test_the_module_sees_no_difference(path: Path, watch: Watch) -> None:
    write(path, f"{NAME}.__init__", SEEN)
    (path / NAME / "data.txt").write_text("data")
    without = importlib.import_module(NAME)
    expected = without.seen, look(without)
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]
    assert watch() == []
    module = importlib.import_module(NAME)
    assert module is not without
    assert (module.seen, look(module)) == expected


def look(module: ModuleType) -> object:
    return (
        sorted(vars(module)),
        module.__spec__,
        inspect.getsource(module),
        pkgutil.get_data(module.__name__, "data.txt"),
        importlib.resources.files(module).joinpath("data.txt").read_text(),
        module.__loader__,
        repr(module),
    )


def namespace(path: Path) -> None:
    (path / NAME).mkdir()


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path / "x.zip", "w") as archive:
        archive.writestr(f"{NAME}.py", "value = 1\n")
    sys.path.insert(0, str(path / "x.zip"))


def seen_from_outside(module: ModuleType) -> tuple[object, ...]:
    spec = module.__spec__
    assert spec is not None
    return (
        sorted(vars(module)),
        type(module.__loader__),
        type(spec.loader),
        module.__loader__ is spec.loader,
        getattr(module, "__file__", "none"),
        spec.origin,
        repr(module).partition(" object at ")[0],
    )


@pytest.mark.parametrize("make", [namespace, zipped, write, package])
@pytest.mark.parametrize("again", [False, True])
def test_every_kind_of_module(
    make: Callable[[Path], None], again: bool, path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    make(path)
    importlib.invalidate_caches()
    without = importlib.import_module(NAME)
    if again:
        importlib.reload(without)
    expected = seen_from_outside(without)
    del sys.modules[NAME]
    arrived = watch()
    module = importlib.import_module(NAME)
    assert arrived == [module]
    if again:
        importlib.reload(module)
        assert arrived == [module, module]
    assert seen_from_outside(module) == expected


@pytest.mark.parametrize("name", ["_colorize", "this", "_xxsubinterpreters", "xxlimited", "_testcapi", "_statistics"])
def test_the_stdlibs_in_every_kind(name: str) -> None:
    """Frozen, built in, in C with one phase and with two; in a child, for some cannot be imported twice."""
    program = (
        f"import sys, importlib\n"
        f"try: spec = importlib.import_module({name!r}).__spec__; del sys.modules[{name!r}]\n"
        f"except ImportError: print('absent'); sys.exit()\n"
        f"from socksify.patches import post_import\n"
        f"arrived = []\n"
        f"post_import.when_imported({name!r}, arrived.append)\n"
        f"module = importlib.import_module({name!r})\n"
        f"assert arrived == [module], arrived\n"
        f"assert type(module.__loader__) is type(spec.loader), module.__loader__\n"
        f"assert type(module.__spec__.loader) is type(spec.loader), module.__spec__\n"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (child.returncode, child.stderr) == (0, "")


class OldLoader:
    """As up to Python 3.3."""

    def load_module(self, name: str) -> ModuleType:
        module = sys.modules[name] = ModuleType(name)
        module.__loader__ = self
        module.value = 1  # type: ignore[attr-defined]
        return module


class Finder:
    """Another tool's."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self.loader) if name == NAME else None


@contextlib.contextmanager
def asked(finder: Any, place: int) -> Iterator[Any]:
    """Another tool's finder among the finders."""
    sys.meta_path.insert(place, finder)
    try:
        yield finder
    finally:
        sys.meta_path.remove(finder)


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="CPython 3.15 calls no load_module() any more")
@pytest.mark.filterwarnings("ignore::ImportWarning")
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.usefixtures("path")
def test_loaders_without_exec_module(before: bool, watch: Watch) -> None:
    arrived = watch(before=refuse if before else None)
    with asked(Finder(OldLoader()), 1):
        if before:
            with pytest.raises(ImportError, match="is refused"):
                importlib.import_module(NAME)
            assert arrived == []
        else:
            module = importlib.import_module(NAME)
            assert arrived == [module]
            assert type(module.__loader__) is OldLoader


class Delegating:
    """wrapt's and others' way: ask everybody else, then wrap."""

    def __init__(self) -> None:
        self.times = 0
        self.busy = False

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != NAME or self.busy:
            return None
        self.times += 1
        self.busy = True
        try:
            return importlib.util.find_spec(name)
        finally:
            self.busy = False


@pytest.mark.parametrize("place", [0, 1])
def test_beside_another_watcher(place: int, path: Path, watch: Watch) -> None:
    write(path)
    arrived = watch()
    with asked(Delegating(), place) as other:
        module = importlib.import_module(NAME)
        assert arrived == [module]
        assert other.times


def test_a_lazy_module_arrives_when_it_is_used(path: Path, watch: Watch) -> None:
    write(path)
    arrived = watch()
    spec = importlib.util.find_spec(NAME)
    assert spec is not None
    assert spec.loader is not None
    loader = spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    loader.exec_module(module)
    assert arrived == []
    assert module.value == 1
    assert arrived == [module]


def test_a_module_that_replaces_itself(path: Path, watch: Watch) -> None:
    write(path, source="import sys\nclass Other: pass\nsys.modules[__name__] = Other()\n")
    arrived = watch()
    assert arrived == [] == [importlib.import_module(NAME)][1:]
    assert arrived == [sys.modules[NAME]]


def test_two_threads_import_at_once(path: Path, watch: Watch) -> None:
    write(path, source="import threading\nbarrier = threading.Event()\nbarrier.wait(0.05)\n")
    arrived = watch()
    threads = [threading.Thread(target=importlib.import_module, args=(NAME,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert arrived == [sys.modules[NAME]]


def test_a_watch_that_begins_while_another_thread_imports(path: Path, watch: Watch) -> None:
    """It waits until the module has run, whether or not its finder was asked for it."""
    gates = sys.modules[f"{NAME}_gates"] = ModuleType(f"{NAME}_gates")
    gates.begun, gates.go_on = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    write(path, source=f"from {NAME}_gates import *\nbegun.set()\ngo_on.wait(10)\nvalue = 3\n")
    for first in (lambda: None, watch):
        importing = threading.Thread(target=importlib.import_module, args=(NAME,))
        values: list[int] = []
        ends: list[Callable[[], None]] = []

        def watching(values: list[int] = values, ends: list[Callable[[], None]] = ends) -> None:
            ends.append(post_import.when_imported(NAME, lambda module: values.append(module.value)))

        first()
        importing.start()
        assert gates.begun.wait(10)
        late = threading.Thread(target=watching)
        late.start()
        gates.go_on.set()
        for thread in (importing, late):
            thread.join(10)
        assert values == [3]
        ends[0]()
        del sys.modules[NAME]
        gates.begun.clear()
        gates.go_on.clear()


def test_watches_come_and_go_in_many_threads(path: Path) -> None:
    for number in range(8):
        write(path, f"{NAME}{number}")
    before = list(sys.meta_path)

    def flip(number: int) -> None:
        for _ in range(50):
            arrived: list[ModuleType] = []
            end = post_import.when_imported(f"{NAME}{number}", arrived.append)
            importlib.import_module(f"{NAME}{number}")
            assert len(arrived) == 1
            del sys.modules[f"{NAME}{number}"]
            end()
        done.append(number)

    done: list[int] = []
    threads = [threading.Thread(target=flip, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(8))
    assert sys.meta_path == before


def test_an_unwatched_name_is_nobodys(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch()
    monkeypatch.setattr(post_import.FINDER, "_ask_others", None)
    assert post_import.FINDER.find_spec("json") is None
