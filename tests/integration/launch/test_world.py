"""A program sees the same world under python and under socksify."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.both import Both

WORLD = Path(__file__).with_name("world.py").read_text()
FLAGS = {"plain": [], "-P": ["-P"], "-I": ["-I"], "-O -W error -X dev": ["-O", "-W", "error", "-X", "dev"]}
PROGRAMS = {
    "script": ["script.py"],
    "script with a dot": ["./sub/../script.py"],
    "symlinked script": ["links/twice.py"],
    "-m pkg": ["-m", "pkg"],
    "-m pkg.mod": ["-m", "pkg.mod"],
    "-m module": ["-m", "script"],
    "-mmodule": ["-mscript"],
    "directory": ["dir"],
    "directory with a slash": ["./dir/"],
    "zip": ["archive.zip"],
    "bytecode": ["script.pyc"],
    "bytecode by another name": ["renamed"],
    "-": ["-"],
    "-c": ["-c", WORLD],
    "-cglued": ["-c" + WORLD],
}


@pytest.fixture
def programs(both: Both) -> Both:
    both.write("script.py", WORLD)
    both.write("pkg/__init__.py", "")
    both.write("pkg/__main__.py", WORLD)
    both.write("pkg/mod.py", WORLD)
    both.write("dir/__main__.py", WORLD)
    both.write("sub/empty", "")
    links = both.write("links/empty", "").parent
    (links / "once.py").symlink_to("../script.py")
    (links / "twice.py").symlink_to("once.py")
    with zipfile.ZipFile(both.directory / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", WORLD)
    both.python("-c", "import py_compile; py_compile.compile('script.py', 'script.pyc')")
    both.write("renamed", (both.directory / "script.pyc").read_bytes())
    return both


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_program_sees_the_same(programs: Both, program: list[str], flags: list[str]) -> None:
    words = [*program, "--show", "-m", "", "--", "é"]
    stdin = WORLD.encode() if program == ["-"] else b"left for the program"
    expected = programs.python(*words, flags=flags, stdin=stdin)
    got = programs.socksify(*words, flags=flags, stdin=stdin)
    assert (got.returncode, got.stderr) == (expected.returncode, expected.stderr)
    if expected.returncode == 0:
        assert json.loads(got.stdout) == json.loads(expected.stdout)
    else:  # -m finds nothing in the working directory under -P and -I
        assert "-m" in program[0]
        assert flags[:1] in (["-P"], ["-I"])


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_console_script_shows_the_same(programs: Both, program: list[str]) -> None:
    stdin = WORLD.encode() if program == ["-"] else b"left for the program"
    expected = programs.python(*program, "word", stdin=stdin)
    got = programs.console_script(*program, "word", stdin=stdin)
    assert (got.returncode, got.stderr) == (expected.returncode, expected.stderr)
    assert json.loads(got.stdout) == json.loads(expected.stdout)


def test_what_python_itself_says_stays(both: Both) -> None:
    both.write("argv.py", "import sys; print(sys.orig_argv[1:])")
    assert both.socksify("argv.py", "x").stdout.decode().strip() == repr(
        ["-m", "socksify", "--proxy", "socks5h://127.0.0.1:9", "argv.py", "x"]
    )


def test_main_is_the_same_object_from_start_to_end(both: Both) -> None:
    both.write(
        "same.py",
        "import atexit, sys, threading\n"
        "atexit.register(lambda: print('exit', vars(sys.modules['__main__']) is here, sorted(here)[:9]))\n"
        "here = globals()\n"
        "threading.Thread(target=lambda: print(vars(sys.modules['__main__']) is here)).start()\n",
    )
    assert both.alike("same.py").stdout.startswith(b"True\nexit True")


def test_nothing_of_the_launcher_is_left_in_main(both: Both) -> None:
    both.write("names.py", "print(sorted(globals()))")
    assert b"main'" not in both.alike("names.py").stdout
    assert sys.executable
