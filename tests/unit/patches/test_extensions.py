"""Extension modules that no table knows, judged by what their files import: named, or under strict refused."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from socksify.patches import c_extensions, elf

URL = "socks5h://192.0.2.1:1080"
NAMES = (b"connect", b"getaddrinfo", b"never_heard_of")
WHY = "somelib (somelib._cares) has network code of its own, outside Python, that goes past the proxy"


def file_of(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


@pytest.fixture
def somelib(tmp_path: Path) -> Path:
    """A package that nobody knows, with a module that connects."""
    (tmp_path / "somelib").mkdir()
    (tmp_path / "somelib" / "__init__.py").write_text("from somelib import _cares\n")
    shutil.copy(file_of("pycares._cares"), tmp_path / "somelib")
    return tmp_path


def run(code: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.defpath, "HOME": str(directory), "PYTHONPATH": str(directory)}
    command = [
        sys.executable,
        *(["-m", "socksify", "--proxy", URL, *options] if options != ("plain",) else []),
        "-c",
        code,
    ]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)


def test_one_that_connects_is_named_once(somelib: Path) -> None:
    ended = run("import somelib, importlib; importlib.reload(somelib); print('went on')", somelib, "--dns", "auto")
    assert (ended.returncode, ended.stdout) == (0, "went on\n")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"socksify: {WHY}")


def test_strict_refuses_it(somelib: Path) -> None:
    ended = run("import somelib", somelib, "--strict")
    assert (ended.returncode, ended.stdout) == (1, "")
    last = ended.stderr.splitlines()[-1]
    assert (
        last.startswith(f"ImportError: import of somelib._cares refused by strict: {WHY}") and "--allow somelib" in last
    )


@pytest.mark.parametrize("allowed", ["somelib", "somelib._cares"])
def test_what_is_allowed_comes_in(allowed: str, somelib: Path) -> None:
    ended = run("import somelib; print('came')", somelib, "--strict", "--allow", allowed)
    assert (ended.stdout, ended.stderr) == ("came\n", "")


LATE = (
    "import somelib, socksify; socksify.install('192.0.2.1:1080'{}); import socksify.patches as p; print('installed')"
)


def test_one_that_was_there_before(somelib: Path) -> None:
    ended = run(LATE.format(""), somelib, "plain")
    assert ended.stdout == "installed\n"
    assert ended.stderr.startswith(f"socksify: {WHY}")
    ended = run(LATE.format(", strict=True"), somelib, "plain")
    assert "somelib is imported already" in ended.stderr.splitlines()[-1]
    assert ended.stdout == ""


def test_after_uninstall_the_loader_is_as_it_was(somelib: Path) -> None:
    code = "from importlib.machinery import ExtensionFileLoader as L; before = L.create_module; import socksify\n"
    code += "socksify.install('192.0.2.1:1080'); socksify.uninstall(); print(L.create_module is before); import somelib"
    ended = run(code, somelib, "plain")
    assert (ended.stdout, ended.stderr) == ("True\n", "")


def test_an_extension_that_fails_fails_as_without_us(tmp_path: Path) -> None:
    """Its traceback has no frame of ours."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (tmp_path / f"broken{suffix}").write_bytes(b"\x7fELF" + b"\0" * 100)
    code = "import broken"
    plain, ours = run(code, tmp_path, "plain"), run(code, tmp_path, "--strict")
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr)


def test_libraries_that_a_package_brings_are_looked_into() -> None:
    file = next(file_of("psycopg2").parent.glob("_psycopg*.so"))
    assert not elf.read(str(file), NAMES).imports
    assert c_extensions.connects("unheard._of", str(file))


@pytest.mark.parametrize(
    "module", ["greenlet._greenlet", "_multiprocessing", "_ctypes", "uvloop.loop", "zmq.backend.cython._zmq"]
)
def test_what_does_not_connect_or_is_covered(module: str) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert not c_extensions.connects(module, spec.origin or "")


def test_of_pyarrow_the_modules_that_connect() -> None:
    assert not c_extensions.connects("pyarrow.lib", "")
    assert c_extensions.connects("pyarrow._s3fs", "")


def test_what_a_file_imports() -> None:
    library = elf.read(str(file_of("pycares._cares")), NAMES)
    assert library.imports == {b"connect"}
    assert "libc.so.6" in library.needed


def test_damaged_files_import_nothing(tmp_path: Path) -> None:
    data = file_of("pycares._cares").read_bytes()
    file = tmp_path / "cut"
    for length in [*range(0, 2000, 7), *range(2000, len(data), len(data) // 50)]:
        file.write_bytes(data[:length])
        elf.read(str(file), NAMES)
    for place in range(0, 1024, 3):
        file.write_bytes(data[:place] + b"\xff" * 4 + data[place + 4 :])
        elf.read(str(file), NAMES)
    for text in (b"", b"#!/bin/sh\n", data[:64]):
        file.write_bytes(text)
        assert elf.read(str(file), NAMES) == elf.Library() or text == data[:64]
    assert elf.read(str(tmp_path), NAMES) == elf.read(str(tmp_path / "missing"), NAMES) == elf.Library()
