"""install() by itself covers children, and also fork servers and pools that were there before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.children.recording_proxy import RecordingProxy

PROGRAM = """
import multiprocessing, os, socket, subprocess, sys
from concurrent.futures import ProcessPoolExecutor

def fetch(name):
    with socket.create_connection((name, 80), timeout=30) as stream:
        stream.sendall(b"GET")
        return stream.recv(1000).decode()[-7:]

def install(**more):
    import socksify
    socksify.install(sys.argv[1], routes=["127.0.0.0/8=proxy"], **more)

NAME = sys.argv[2]
FETCH = "import sys; sys.path.insert(0, ''); import program; print(program.fetch(sys.argv[2]), flush=True)"
CODE = [sys.executable, "-c", FETCH, sys.argv[1], NAME]

if __name__ == "__main__":
"""
SPAWN, FORKSERVER, FORK = (f"multiprocessing.get_context({name!r})" for name in ("spawn", "forkserver", "fork"))
START_METHODS = {
    "subprocess": "install(); subprocess.run(CODE)",
    "subprocess, no environment": "install(); subprocess.run(CODE, env={})",
    "a shell": "install(); os.system(subprocess.list2cmdline(CODE[:2]) + f' \"{FETCH}\" a {NAME}')",
    "exec": "install(); os.execv(CODE[0], CODE)",
    "Pool": "install(); print(multiprocessing.Pool(1).apply(fetch, (NAME,)))",
    "ProcessPoolExecutor": "install(); print(ProcessPoolExecutor(1).submit(fetch, NAME).result())",
    "Process": "install(); p = multiprocessing.Process(target=lambda_, args=(NAME,)); p.start(); p.join()",
    "spawn": f"install(); print({SPAWN}.Pool(1).map(fetch, [NAME])[0])",
    "forkserver": f"install(); print({FORKSERVER}.Pool(1).map(fetch, [NAME])[0])",
    "a fork server from before": f"{FORKSERVER}.Pool(1).apply(abs, (1,)); install()\n"
    f"    print({FORKSERVER}.Pool(1).map(fetch, [NAME])[0])",
}
FROM_BEFORE = {
    "apply": "pool.apply(fetch, (NAME,))",
    "apply_async": "pool.apply_async(func=fetch, args=(NAME,)).get()",
    "map": "pool.map(fetch, [NAME])[0]",
    "starmap": "pool.starmap(fetch, [(NAME,)])[0]",
    "imap": "next(pool.imap(fetch, [NAME]))",
    "imap_unordered": "next(pool.imap_unordered(fetch, [NAME]))",
    "submit": "executor.submit(fetch, NAME).result()",
    "executor.map": "next(executor.map(fetch, [NAME]))",
    "inside of a block": "inside()",
}


def run(program: str, proxy: RecordingProxy, name: str, directory: Path) -> tuple[str, str]:
    source = PROGRAM.replace("if __name__", "def lambda_(name):\n    print(fetch(name), flush=True)\n\nif __name__")
    (directory / "program.py").write_text(f"{source}    {program}\n")
    ended = subprocess.run(
        [sys.executable, "program.py", proxy.url(), name],
        cwd=directory,
        env={"PATH": os.defpath, "HOME": str(directory), "TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.stdout, ended.stderr


@pytest.mark.parametrize("method", START_METHODS)
def test_a_child_is_covered(method: str, proxy: RecordingProxy, tmp_path: Path) -> None:
    name = f"installed-{list(START_METHODS).index(method)}.example"
    assert run(START_METHODS[method], proxy, name, tmp_path) == ("covered\n", "")
    assert proxy.asked_for(name) == 1


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("method", FROM_BEFORE)
def test_workers_from_before_install(method: str, context: str, proxy: RecordingProxy, tmp_path: Path) -> None:
    name = f"before-{context}-{list(FROM_BEFORE).index(method)}.example"
    made = (
        "executor = ProcessPoolExecutor(1, context)" if "executor" in FROM_BEFORE[method] else "pool = context.Pool(1)"
    )
    if method == "inside of a block":
        inside = "def inside():\n        import socksify\n        with socksify.via('proxy'):\n"
        made = f"pool = context.Pool(1)\n    {inside}            return pool.apply(fetch, (NAME,))"
    first = "executor.submit(abs, 1).result()" if "executor" in made else "pool.apply(abs, (1,))"
    end = "executor.shutdown()" if "executor" in made else "pool.terminate(); pool.join()"
    program = f"context = multiprocessing.get_context({context!r})\n    {made}\n    {first}\n"
    program += f"    install()\n    print({FROM_BEFORE[method]})\n    {end}"
    assert run(program, proxy, name, tmp_path) == ("covered\n", "")
    assert proxy.asked_for(name) == 1


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_workers_that_are_given_nothing_are_named(context: str, proxy: RecordingProxy, tmp_path: Path) -> None:
    program = f"install(children=False)\n    for _ in 'ab':\n        p = multiprocessing.get_context({context!r})"
    program += ".Process(target=abs, args=(1,), name='worker')\n        p.start(); p.join()"
    _, said = run(program, proxy, "a.example", tmp_path)
    (line,) = said.splitlines()
    assert "a worker of multiprocessing is not covered: the settings are passed on to no child" in line
    _, said = run(program.replace("False)", "False, strict=True)"), proxy, "a.example", tmp_path)
    assert "PermissionError" in said and "strict forbids" in said


def test_after_uninstall_they_are_given_nothing(proxy: RecordingProxy, tmp_path: Path) -> None:
    program = "install(); import socksify; socksify.uninstall()\n"
    program += "    subprocess.run([sys.executable, '-c', 'import os; print(sorted(os.environ))'])"
    plain = "subprocess.run([sys.executable, '-c', 'import os; print(sorted(os.environ))'])"
    assert run(program, proxy, "a.example", tmp_path) == run(plain, proxy, "a.example", tmp_path)
