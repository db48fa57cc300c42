"""Extension modules that connect, judged by their files: named once, or under strict refused."""

from __future__ import annotations

import importlib.machinery
import os
import subprocess
import sys
from pathlib import Path

import pytest

from socksify.patches import c_extensions
from tests.support.both import Both
from tests.support.connecting_packages import file_of, write_package
from tests.support.elf_files import ElfFile

URL = "socks5h://192.0.2.1:1080"
SEAL = "start the program with python -m socksify --seal=on"
SENTENCE = "{} has network code of its own, outside Python, that goes past the proxy"
WHY = SENTENCE.format("somelib (somelib._cares)")
SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]


@pytest.fixture
def somelib(tmp_path: Path) -> Path:
    """A package that nobody knows, with a module that connects."""
    write_package(tmp_path, "somelib")
    return tmp_path


def run(code: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.defpath, "HOME": str(directory), "PYTHONPATH": str(directory)}
    launcher = [] if options == ("plain",) else ["-m", "socksify", "--proxy", URL, "--seal=off", *options]
    command = [sys.executable, *launcher, "-c", code]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)


def test_one_that_connects_is_named_once(somelib: Path) -> None:
    ended = run("import somelib, importlib; importlib.reload(somelib); print('went on')", somelib)
    assert (ended.returncode, ended.stdout) == (0, "went on\n")
    assert ended.stderr == f"socksify: {WHY}; {SEAL}\n"


def test_it_is_named_once_whatever_is_installed(somelib: Path) -> None:
    code = f"""
import socksify, sys
for udp in ("block", "direct"):
    socksify.install({URL!r}, udp=udp, seal="off")
    import somelib
    for name in ("somelib", "somelib._cares", "_cares"):
        sys.modules.pop(name, None)
    socksify.uninstall()
"""
    assert run(code, somelib, "plain").stderr == f"socksify: {WHY}; {SEAL}\n"


def test_it_is_said_in_the_log_too(somelib: Path) -> None:
    run("import somelib", somelib, "--log", "log")
    assert WHY in (somelib / "log").read_text()


def test_strict_refuses_it(somelib: Path) -> None:
    ended = run("import somelib", somelib, "--strict")
    assert (ended.returncode, ended.stdout) == (1, "")
    allow = '--allow somelib, or allow=["somelib"], lets it in all the same, past the proxy'
    last = ended.stderr.splitlines()[-1]
    assert last == f"ImportError: import of somelib._cares refused by strict: {WHY}; {SEAL}; {allow}"


WAYS = {
    "import of a part": "import somelib._cares",
    "from": "from somelib import _cares",
    "import_module": "import importlib; importlib.import_module('somelib')",
    "a path": (
        "import importlib.util as util; spec = util.spec_from_file_location('_cares', {file!r});"
        " util.module_from_spec(spec)"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_strict_refuses_each_way_of_importing_it(way: str, somelib: Path) -> None:
    file = next((somelib / "somelib").glob("_cares*"))
    code = f"""
for _ in range(2):
    try:
        exec({WAYS[way].format(file=str(file))!r})
    except ImportError as error:
        print(error.name.endswith("_cares"), "refused by strict" in str(error))
"""
    ended = run(code, somelib, "--strict")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True True\n" * 2, "")


def test_who_only_looks_for_a_module_is_not_refused(somelib: Path) -> None:
    code = "import importlib.util as util; print(util.find_spec('somelib') is not None)"
    assert run(code, somelib, "--strict").stdout == "True\n"


@pytest.mark.parametrize("allowed", ["somelib", "somelib._cares"])
def test_what_is_allowed_comes_in(allowed: str, somelib: Path) -> None:
    for strict in ([], ["--strict"]):
        ended = run("import somelib; print('came')", somelib, *strict, "--allow", allowed)
        assert (ended.stdout, ended.stderr) == ("came\n", "")


LATE = f"import somelib, socksify; socksify.install({URL!r}, seal='off'%s); print('installed')"


def test_one_that_was_there_before(somelib: Path) -> None:
    ended = run(LATE % "", somelib, "plain")
    assert (ended.stdout, ended.stderr) == ("installed\n", f"socksify: {WHY}; {SEAL}\n")
    ended = run(LATE % ", strict=True", somelib, "plain")
    assert ended.stdout == ""
    last = ended.stderr.splitlines()[-1]
    assert "somelib is imported already; " in last and WHY in last and "--allow somelib" in last
    ended = run(LATE % ", strict=True, allow=['somelib']", somelib, "plain")
    assert (ended.stdout, ended.stderr) == ("installed\n", "")


def test_the_settings_stay_where_strict_cannot_be(somelib: Path) -> None:
    code = f"""
import socksify
from socksify import patches
socksify.install({URL!r}, seal="off", allow=["somelib"])
import somelib
try:
    socksify.install({URL!r}, seal="off", strict=True)
except ImportError:
    print(patches.is_installed())
"""
    assert run(code, somelib, "plain").stdout == "True\n"


def test_the_launcher_tells_it_in_one_line(somelib: Path) -> None:
    """A start-up file may have imported one before us."""
    (somelib / "sitecustomize.py").write_text("import somelib\n")
    ended = run("print('ran')", somelib, "--strict")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("socksify: --strict: somelib is imported already")
    assert ended.stderr.count("\n") == 1


def test_after_uninstall_the_loader_is_as_it_was(somelib: Path) -> None:
    code = f"""
from importlib.machinery import ExtensionFileLoader as loader
before = loader.create_module
import socksify
socksify.install({URL!r}, seal="off")
print(loader.create_module is before)
socksify.uninstall()
print(loader.create_module is before)
import somelib
"""
    ended = run(code, somelib, "plain")
    assert (ended.stdout, ended.stderr) == ("False\nTrue\n", "")


def test_an_extension_that_fails_fails_as_without_us(tmp_path: Path) -> None:
    """Its traceback has no frame of ours."""
    (tmp_path / f"broken{SUFFIX}").write_bytes(b"\x7fELF" + b"\0" * 100)
    plain, ours = run("import broken", tmp_path, "plain"), run("import broken", tmp_path, "--strict")
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr)


def test_a_package_does_without_an_optional_part(tmp_path: Path) -> None:
    write_package(tmp_path, "fast")
    (tmp_path / "program.py").write_text("try:\n    import fast\nexcept ImportError:\n    print('in Python')\n")
    ended = run("import program", tmp_path, "--strict")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "in Python\n", "")


MODULES = sorted({*c_extensions.MODULES} - {"cx_Oracle"})


def test_a_replacement_is_said_where_one_is_known(tmp_path: Path) -> None:
    for name in MODULES:
        write_package(tmp_path, name)
    imports = "\n".join(f"try:\n    import {name}\nexcept ImportError as error:\n    print(error)" for name in MODULES)
    named = run(imports, tmp_path).stderr.splitlines()
    refused = run(imports, tmp_path, "--strict").stdout.splitlines()
    for name, one, other in zip(MODULES, named, refused, strict=True):
        sentence = SENTENCE.format(f"{name} ({name}._cares)")
        sentence += f"; instead use {c_extensions.MODULES[name]}, or {SEAL}"
        assert one == f"socksify: {sentence}"
        assert sentence in other


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("_awscrt", "awscrt"),
        ("psycopg_binary._psycopg", "psycopg"),
        ("_polars_runtime_32._polars_runtime", "polars"),
        ("_mysql_connector", "_mysql_connector"),
        ("unheard._of", "unheard"),
    ],
)
def test_a_package_has_the_name_that_users_know(module: str, package: str) -> None:
    assert c_extensions._package(module) == package


@pytest.mark.parametrize("module", ["uvloop.loop", "zmq.backend.cython._zmq", "pycares._cares", "_socket", "_ssl"])
def test_what_is_covered_is_not_named(module: str) -> None:
    connecting = str(file_of("pycares._cares"))
    assert c_extensions.connects("unheard._of", connecting)
    assert not c_extensions.connects(module, connecting)


def test_what_the_files_do_not_tell(tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(ElfFile(("dlopen",)).data())
    assert not c_extensions.connects("pyarrow.lib", "")
    assert c_extensions.connects("pyarrow._s3fs", "")
    assert c_extensions.connects("cx_Oracle", str(tmp_path / "library.so"))


def test_a_real_one(tmp_path: Path) -> None:
    both = Both(tmp_path / "real")
    both.write("program.py", "import psycopg2\nprint(psycopg2.__version__)\n")
    options = ["-m", "socksify", "--proxy", URL, "--seal", "off"]
    plain = both.python(*options, "program.py")
    assert plain.returncode == 0
    assert plain.stderr.decode().count("socksify: psycopg2 (psycopg2._psycopg) has") == 1
    allowed = both.python(*options, "--strict", "--allow", "psycopg2", "program.py")
    assert (allowed.returncode, allowed.stderr, allowed.stdout) == (0, b"", plain.stdout)
    strict = both.python(*options, "--strict", "program.py")
    assert (strict.returncode, strict.stdout) == (1, b"")
    assert strict.stderr.decode().splitlines()[-1].startswith("ImportError: import of psycopg2._psycopg refused")
