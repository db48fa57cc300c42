"""Subinterpreters, which have modules of their own. Each test runs in a process: not every module bears several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROXY = "socks5h://127.0.0.1:9"
PROGRAM = f"""
import socksify
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
CONNECT = '''
import socket
try:
    socket.create_connection(("203.0.113.9", 80), 5)
except OSError as error:
    print(error, flush=True)
'''
original = interpreters.create
{{before}}
socksify.install({PROXY!r})
{{body}}
for there in interpreters.list_all()[1:]:
    interpreters.destroy(there[0] if isinstance(there, tuple) else there)
"""
BODIES = {
    "made after it": "interpreters.run_string(interpreters.create(), CONNECT)",
    "several, and the main": "for _ in 'ab': interpreters.run_string(interpreters.create(), CONNECT)\nexec(CONNECT)",
    "inside of a block": "with socksify.via('direct'): interpreters.run_string(interpreters.create(), CONNECT)",
}


def run(body: str, directory: Path, before: str = "", says: str = "") -> list[str]:
    """Return what the program prints. It has to end with status 0, and to write nothing on stderr but this."""
    command = [sys.executable, "-c", PROGRAM.format(before=before, body=body)]
    # What the program has been told else, its settings outrank.
    environ = {"PATH": os.defpath, "HOME": str(directory), "SOCKSIFY_PROXY": "socks5h://127.0.0.1:8"}
    ended = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, says in ended.stderr, bool(ended.stderr)) == (0, True, bool(says)), ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_each_goes_through_the_proxy(body: str, tmp_path: Path) -> None:
    said = run(body, tmp_path)
    assert said and all(f"proxy {PROXY} for 203.0.113.9:80" in line for line in said)


def test_one_without_the_hook_is_not_made(tmp_path: Path) -> None:
    body = """
from socksify.patches.children import spawn_message
spawn_message.template = lambda: "/nowhere"
before = len(interpreters.list_all())
try:
    interpreters.create()
except RuntimeError as error:
    print(error, len(interpreters.list_all()) - before)
"""
    (line,) = run(body, tmp_path)
    assert "No module named 'socksify_hook'" in line and line.endswith(" 0")


def test_uninstall_ends_it(tmp_path: Path) -> None:
    body = "socksify.uninstall(); print(interpreters.create is original)"
    assert run(body, tmp_path) == ["True"]


BEFORE = {
    "untouched": "there = interpreters.create()",
    "with sockets": "there = interpreters.create(); interpreters.run_string(there, 'import socket, subprocess')",
    "installed before": "there = interpreters.create(); socksify.install('socks5h://127.0.0.1:7')",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_those_that_were_there_before_are_covered(before: str, tmp_path: Path) -> None:
    (said,) = run("interpreters.run_string(there, CONNECT)", tmp_path, before)
    assert f"proxy {PROXY} for 203.0.113.9:80" in said


BUSY = """
import os, threading
go, going, ended = os.pipe(), os.pipe(), os.pipe()
there = interpreters.create()
wait = f"import os; os.write({going[1]}, b'x'); os.read({go[0]}, 1)"
thread = threading.Thread(target=interpreters.run_string, args=(there, wait))
thread.start()
os.read(going[0], 1)
"""


def test_one_that_is_busy_is_named(tmp_path: Path) -> None:
    end = "os.write(go[1], b'x'); thread.join()"
    said = "was there and busy at install(): its connections are not proxied"
    run(end, tmp_path, BUSY, said)
    refused = "try:\n    socksify.install('socks5h://127.0.0.1:9', strict=True)\n"
    refused += "except socksify.ConfigError as error:\n    print(error)\nfrom socksify import patches\n"
    (line,) = run(end, tmp_path, f"{BUSY}{refused}assert not patches.is_installed()", said)
    assert line.startswith("strict: the subinterpreter") and said in line


PUBLIC = """
import sys
from concurrent.futures import InterpreterPoolExecutor
from concurrent import interpreters

def connect(host):
    import socket
    try:
        socket.create_connection((host, 80), 5)
    except OSError as error:
        return str(error)

def main():
    {before}
    import socksify
    socksify.install({proxy!r})
    {body}

if __name__ == "__main__":
    main()
"""
POOLS = {
    "a pool": (
        "",
        "with InterpreterPoolExecutor(2) as pool: print(*pool.map(connect, ['192.0.2.1'] * 4), sep='\\n')",
    ),
    "a pool from before": (
        "pool = InterpreterPoolExecutor(1); pool.submit(abs, 1).result()",
        "print(pool.submit(connect, '192.0.2.1').result()); pool.shutdown()",
    ),
    "one": ("", "i = interpreters.create(); print(i.call(connect, '192.0.2.1')); i.close()"),
    "one in a thread": ("", "i = interpreters.create(); i.call_in_thread(print, 'proxy').join(); i.close()"),
    "one from before": ("i = interpreters.create()", "print(i.call(connect, '192.0.2.1')); i.close()"),
    "a pool in a block": (
        "",
        "with InterpreterPoolExecutor(1) as pool:\n"
        "    with socksify.via('socks5h://127.0.0.1:8'): print(pool.submit(connect, '192.0.2.1').result())\n"
        "    print(pool.submit(connect, '192.0.2.1').result())",
    ),
}


@pytest.mark.skipif(sys.version_info < (3, 14), reason="CPython has the modules of PEP 734 since 3.14")
@pytest.mark.parametrize(("before", "body"), POOLS.values(), ids=POOLS)
def test_the_public_modules(before: str, body: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PUBLIC.format(before=before, body=body.replace("\n", "\n    "), proxy=PROXY))
    ended = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    said = ended.stdout.splitlines()
    assert said and all("proxy" in line for line in said), said
    assert (body.count("127.0.0.1:8"), len(said)) != (1, 2) or ("127.0.0.1:8 for" in said[0] and PROXY in said[1])
