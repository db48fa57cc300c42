"""Modules that no patch reaches: named once, or under strict not imported; mostly empty ones stand in for them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import socksify
from socksify import patches
from socksify.patches import c_extensions
from tests.support.both import Both

URL = "socks5h://192.0.2.1:1080"


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package for each name, none of them imported or named yet; afterwards as before."""
    for name in c_extensions.MODULES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("from . import inner\n")
        (tmp_path / name / "inner.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(c_extensions, "_named", set())
    mine = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in c_extensions.MODULES}
    before = list(sys.meta_path)
    yield
    socksify.uninstall()
    assert sys.meta_path == before
    for name in [name for name in sys.modules if name.partition(".")[0] in c_extensions.MODULES]:
        del sys.modules[name]
    sys.modules.update(mine)
    importlib.invalidate_caches()


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What was said of modules; other tests may have left something behind that install() names."""
    return [line for line in capfd.readouterr().err.splitlines() if "network code" in line]


@pytest.mark.parametrize("name", c_extensions.MODULES)
def test_it_is_named_when_it_is_imported(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL)
    assert lines(capfd) == []
    importlib.import_module(name)
    (line,) = lines(capfd)
    assert line.startswith(f"socksify: {name} has network code of its own")
    assert line.endswith(f"instead use {c_extensions.MODULES[name]}")


def test_it_is_named_once(capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        socksify.install(URL)
        importlib.import_module("psycopg2")
        importlib.import_module("psycopg2.inner")
        importlib.reload(sys.modules["psycopg2"])
        socksify.uninstall()
    socksify.install(URL)
    del sys.modules["psycopg2"]
    importlib.import_module("psycopg2")
    socksify.install(URL, udp="direct")
    assert len(lines(capfd)) == 1


def test_it_is_named_though_it_was_there_before(capfd: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("pycurl")
    socksify.install(URL)
    importlib.import_module("pycurl")
    assert [line.split()[1] for line in lines(capfd)] == ["pycurl"]


def test_what_is_allowed_is_not_named(capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL, allow=["pycurl"])
    importlib.import_module("pycurl")
    assert lines(capfd) == []


def test_after_uninstall_nothing_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL)
    socksify.uninstall()
    importlib.import_module("pycurl")
    assert lines(capfd) == []


WAYS = {
    "import": "import {0}",
    "import of a part": "import {0}.inner",
    "from": "from {0} import inner",
    "import_module": "import importlib; importlib.import_module('{0}')",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["psycopg2", "pycurl", "_mysql_connector"])
def test_strict_refuses_the_import(name: str, way: str, capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL, strict=True)
    for _ in range(2):
        with pytest.raises(ImportError) as caught:
            exec(WAYS[way].format(name))
        assert caught.value.name == name
        assert f"import of {name} refused by strict" in str(caught.value)
        assert c_extensions.MODULES[name] in str(caught.value)
        assert f"--allow {name}" in str(caught.value)
        assert f"{name}.inner" not in sys.modules
    assert lines(capfd) == []
    socksify.uninstall()
    exec(WAYS[way].format(name))


def test_strict_refuses_every_one() -> None:
    socksify.install(URL, strict=True)
    for name in c_extensions.MODULES:
        with pytest.raises(ImportError, match="refused by strict"):
            importlib.import_module(name)


def test_who_only_looks_for_a_module_is_not_refused() -> None:
    socksify.install(URL, strict=True)
    assert importlib.util.find_spec("pycurl") is not None


def test_strict_lets_in_what_is_allowed(capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL, strict=True, allow=["pycurl"])
    importlib.import_module("pycurl.inner")
    with pytest.raises(ImportError):
        importlib.import_module("psycopg2")
    assert lines(capfd) == []


def test_strict_is_not_installed_where_one_is_there_already() -> None:
    importlib.import_module("pycurl")
    with pytest.raises(ImportError, match=r"pycurl is imported already; .*--allow pycurl") as caught:
        socksify.install(URL, strict=True)
    assert caught.value.name == "pycurl"
    assert not patches.is_installed()
    socksify.install(URL, strict=True, allow=["pycurl"])


def test_what_is_installed_stays_where_strict_cannot_be(capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL)
    importlib.import_module("pycurl")
    with pytest.raises(ImportError):
        socksify.install(URL, strict=True)
    assert patches.is_installed()
    importlib.import_module("psycopg2")
    assert len(lines(capfd)) == 2


def test_strict_may_be_changed() -> None:
    socksify.install(URL, strict=True)
    socksify.install(URL)
    importlib.import_module("pycurl")
    socksify.install(URL, strict=True, allow=["pycurl"])
    with pytest.raises(ImportError):
        importlib.import_module("psycopg2")


REAL = ["psycopg2"]


@pytest.mark.parametrize("name", REAL)
def test_the_real_ones(name: str, tmp_path: Path) -> None:
    """In a child, which has them and not the empty ones."""
    both = Both(tmp_path / "real")
    both.write("program.py", f"import {name}\nprint({name}.__version__)\n")
    options = ["-m", "socksify", "--proxy", URL]
    plain = both.python(*options, "program.py")
    assert plain.returncode == 0
    assert plain.stderr.decode().count(f"socksify: {name} has") == 1
    allowed = both.python(*options, "--strict", "--allow", name, "program.py")
    assert (allowed.returncode, allowed.stderr, allowed.stdout) == (0, b"", plain.stdout)
    strict = both.python(*options, "--strict", "program.py")
    assert (strict.returncode, strict.stdout) == (1, b"")
    assert strict.stderr.decode().splitlines()[-1].startswith(f"ImportError: import of {name} refused by strict")


def test_the_launcher_tells_it_in_one_line(tmp_path: Path) -> None:
    """A start-up file may have imported one before us."""
    (tmp_path / "sitecustomize.py").write_text("import psycopg2\n")
    child = subprocess.run(
        [sys.executable, "-m", "socksify", "--proxy", URL, "--strict", "-c", "print('ran')"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert (child.returncode, child.stdout) == (2, "")
    assert child.stderr.startswith("socksify: --strict: psycopg2 is imported already")
    assert child.stderr.count("\n") == 1
