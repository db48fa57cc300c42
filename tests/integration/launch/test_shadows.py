"""Files named like standard modules: ours are the standard library's, the program's are its own."""

from __future__ import annotations

import pytest

from tests.support.both import OPTIONS, Both

# What the launcher and the patches import before the program starts, and what they may import later.
NAMES = [
    "socket",
    "select",
    "selectors",
    "struct",
    "enum",
    "errno",
    "json",
    "logging",
    "ipaddress",
    "tomllib",
    "os",
    "time",
]
# What `python -m anything` imports from the working directory before anything could prevent it.
NAMES_OF_RUNPY = ["contextlib", "collections", "functools", "types", "threading", "weakref", "re", "linecache"]


@pytest.fixture
def littered(both: Both) -> Both:
    for name in NAMES:
        both.write(f"{name}.py", f"print('hijacked by {name}')\nraise SystemExit(66)")
    return both


def test_the_working_directory_hijacks_nothing(littered: Both) -> None:
    littered.write("sub/script.py", "import socket, json\nprint(socket.__file__, json.__file__)")
    result = littered.alike("sub/script.py")
    assert result.returncode == 0
    assert b"hijacked" not in result.stdout


def test_the_scripts_directory_hijacks_nothing_of_ours(littered: Both) -> None:
    littered.write("script.py", "print('ran')")
    for words in (["script.py"], ["-c", "print('ran')"], ["-"]):
        result = littered.socksify(*words, stdin=b"print('ran')")
        assert (result.returncode, result.stdout, result.stderr) == (0, b"ran\n", b"")
    for name in NAMES_OF_RUNPY:
        littered.write(f"{name}.py", f"print('hijacked by {name}')")
    assert littered.console_script("script.py").stdout == b"ran\n"


def test_a_configuration_error_hijacks_nothing(littered: Both) -> None:
    result = littered.python("-m", "socksify", "--proxy", "nonsense://x", "script.py")
    assert result.returncode == 2
    assert result.stdout == b""


@pytest.mark.parametrize(
    "name", ["struct", "json", "logging", "ipaddress", "errno", "tomllib", "getpass", "time", "os"]
)
@pytest.mark.parametrize("kind", ["script", "module", "directory"])
def test_the_program_gets_its_own_module(both: Both, name: str, kind: str) -> None:
    directory = "dir/" if kind == "directory" else ""
    both.write(f"{directory}{name}.py", "whose = 'mine'")
    both.write(
        f"{directory}{'__main__' if kind == 'directory' else 'program'}.py",
        f"import {name}\nprint(getattr({name}, 'whose', 'the standard one'))",
    )
    words = {"script": ["program.py"], "module": ["-m", "program"], "directory": ["dir"]}[kind]
    both.alike(*words)


@pytest.mark.parametrize("entry", ["json.txt", "json.d/x", "json/data", "logging.conf"])
def test_what_is_no_module_shadows_nothing(both: Both, entry: str) -> None:
    both.write(entry, "")
    both.write("program.py", "import json, logging\nprint(json.__file__, logging.__file__)")
    both.alike("program.py")


def test_the_patched_modules_stay(both: Both) -> None:
    """A program that digs the standard socket out from behind its own must not find an unpatched second one."""
    both.write("socket.py", "")
    both.write("program.py", "import sys\ndel sys.path[0]\nimport socket\nprint('connect' in vars(socket.socket))")
    assert both.socksify("program.py").stdout == b"True\n"
    assert both.python("program.py").stdout == b"False\n"


def test_our_late_imports_are_the_standard_ones(both: Both) -> None:
    """Whatever our modules import while the program runs, with a file of that name imported by the program before."""
    for name in ("ipaddress", "logging", "struct", "tomllib", "getpass"):
        both.write(f"{name}.py", "whose = 'mine'")
    both.write(
        "program.py",
        "import ipaddress, logging, struct, tomllib, getpass, errno, socket\n"
        "assert struct.whose == logging.whose == 'mine'\n"
        "for address in ('192.0.2.1', '2001:db8::1'):\n"
        "    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)\n"
        "    s.settimeout(30)\n"
        "    print(errno.errorcode[s.connect_ex((address, 80))])\n",
    )
    result = both.python("-m", "socksify", *OPTIONS, "--log", "stderr", "program.py")
    assert result.returncode == 0, result.stderr
    assert result.stdout == b"ECONNREFUSED\nECONNREFUSED\n"
