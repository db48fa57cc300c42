"""Libraries that ctypes and cffi load: those that connect are named once, or under strict refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.connecting_packages import file_of

URL = "socks5h://192.0.2.1:1080"
SEAL = "start the program with python -m socksify --seal=on"
NAMED = "socksify: the library {} has network code of its own, outside Python, that goes past the proxy; " + SEAL + "\n"
CTYPES = "import ctypes\nlibrary = ctypes.CDLL({name!r})"
WAYS = {
    "ctypes": CTYPES,
    "ctypes, PyDLL": "import ctypes\nlibrary = ctypes.PyDLL({name!r})",
    "ctypes, cdll": "import ctypes\nlibrary = ctypes.cdll.LoadLibrary({name!r})",
    "cffi": "import cffi\nlibrary = cffi.FFI().dlopen({name!r})",
    "cffi, out of line": "import _cffi_backend\nlibrary = _cffi_backend.FFI().dlopen({name!r})",
}


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """A directory with a library that connects, libfar.so, and one that does not, libnear.so."""
    for module, name in (("pycares._cares", "libfar.so"), ("msgpack._cmsgpack", "libnear.so")):
        shutil.copy(file_of(module), tmp_path / name)
    return tmp_path


def run(code: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.defpath, "HOME": str(directory), "LD_LIBRARY_PATH": str(directory)}
    command = [sys.executable, "-m", "socksify", "--proxy", URL, "--seal=off", *options, "-c", code]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("way", WAYS)
def test_one_that_connects_is_named_once(way: str, libraries: Path) -> None:
    ended = run(f"{WAYS[way].format(name='libfar.so')}\n" * 2 + "print('went on')", libraries)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "went on\n", NAMED.format("libfar.so"))


@pytest.mark.parametrize("strict", [[], ["--strict"]])
@pytest.mark.parametrize("way", WAYS)
def test_another_is_not(way: str, strict: list[str], libraries: Path) -> None:
    for name in ("libnear.so", str(libraries / "libnear.so"), None):
        ended = run(f"{WAYS[way].format(name=name)}\nprint('went on')", libraries, *strict)
        if name is not None or "PyDLL" not in way:
            assert (ended.returncode, ended.stdout, ended.stderr) == (0, "went on\n", "")


@pytest.mark.parametrize("way", WAYS)
def test_strict_refuses_it(way: str, libraries: Path) -> None:
    load = "\n    ".join(WAYS[way].format(name=str(libraries / "libfar.so")).splitlines())
    ended = run(f"try:\n    {load}\nexcept OSError as error:\n    print(error)", libraries, "--strict")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "libfar.so, which has network code of its own, goes past socksify, which strict forbids" in ended.stdout
    assert SEAL in ended.stdout and "--allow libfar.so" in ended.stdout


def test_strict_refuses_what_the_module_below_loads(libraries: Path) -> None:
    code = (
        "import _ctypes\ntry:\n    _ctypes.dlopen('libfar.so', 0)\nexcept PermissionError as error:\n    print(error)"
    )
    ended = run(code, libraries, "--strict")
    assert "libfar.so, which has network code of its own, goes past socksify" in ended.stdout
    code = "import _ctypes; _ctypes.dlopen('libnear.so', 2); _ctypes.dlopen(None, 2); print('went on')"
    assert run(code, libraries, "--strict").stdout == "went on\n"


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_one_that_is_allowed(strict: list[str], libraries: Path) -> None:
    ended = run(f"{CTYPES.format(name='libfar.so')}\nprint('came')", libraries, *strict, "--allow", "libfar.so")
    assert (ended.stdout, ended.stderr) == ("came\n", "")


def test_what_cannot_be_loaded_is_not_named(libraries: Path) -> None:
    code = "import ctypes\ntry:\n    ctypes.CDLL('libmissing.so')\nexcept OSError as error:\n    print(error.errno)"
    for strict in ([], ["--strict"]):
        ended = run(code, libraries, *strict)
        assert (ended.stdout, ended.stderr) == ("None\n", "")


@pytest.mark.parametrize("arguments", ["", "5", "'a', 'b'", "b'libnear.so'", "'a\\0b'"])
def test_wrong_arguments_are_refused_as_ever(arguments: str, libraries: Path) -> None:
    code = f"""
import _cffi_backend, ctypes
for load in (_cffi_backend.load_library, _cffi_backend.FFI().dlopen, ctypes._dlopen):
    try:
        print(type(load({arguments})).__name__)
    except (TypeError, ValueError, OSError) as error:
        print(type(error).__name__, error)
"""
    plain = subprocess.run(
        [sys.executable, "-c", code],
        cwd=libraries,
        env={"LD_LIBRARY_PATH": str(libraries)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert plain.stdout.count("\n") == 3
    assert run(code, libraries).stdout == plain.stdout


def test_after_uninstall_the_modules_are_as_they_were(libraries: Path) -> None:
    code = f"""
import _cffi_backend, ctypes, socksify
before = [ctypes._dlopen, _cffi_backend.load_library, vars(_cffi_backend.FFI)["dlopen"]]
socksify.uninstall()
socksify.install({URL!r}, seal="off")
socksify.uninstall()
print(before == [ctypes._dlopen, _cffi_backend.load_library, vars(_cffi_backend.FFI)["dlopen"]])
{CTYPES.format(name="libfar.so")}
"""
    environ = {"LD_LIBRARY_PATH": str(libraries)}
    ended = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


ORACLEDB = """
def init_oracle_client(lib_dir=None):
    print("loaded", lib_dir)
"""
THICK = "oracledb in its thick mode"


def test_the_thick_mode_of_oracledb(libraries: Path) -> None:
    (libraries / "oracledb.py").write_text(ORACLEDB)
    code = (
        "import sys; sys.path.insert(0, '.')\nimport oracledb\nprint('thin')\noracledb.init_oracle_client(lib_dir='/x')"
    )
    ended = run(code, libraries)
    assert ended.stdout == "thin\nloaded /x\n"
    assert ended.stderr.startswith(f"socksify: {THICK} has network code of its own")
    assert ended.stderr.endswith(f"; instead use oracledb in its thin mode, or {SEAL}\n")
    ended = run(code, libraries, "--strict")
    assert ended.stdout == "thin\n"
    assert f"{THICK}, which has network code of its own, goes past socksify" in ended.stderr.splitlines()[-1]
