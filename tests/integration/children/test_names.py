"""The fake address of a name means that name in child processes, too, as an argument or in a task sent later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.children.recording_proxy import RecordingProxy

PROGRAM = """
import multiprocessing, os, socket, subprocess, sys

def fetch(address):
    with socket.create_connection((address, 80), timeout=30) as stream:
        stream.sendall(b"GET")
        return stream.recv(1000).decode()[-7:]

FETCH = "import program, sys; print(program.fetch(sys.argv[1]), flush=True)"

if __name__ == "__main__":
    address = socket.gethostbyname("early.example" if "later" in sys.argv else sys.argv[1])
"""
CALL = "subprocess.run([sys.executable, '-c', FETCH, address])"
THROUGH = "import subprocess, socket, sys; subprocess.run(sys.argv[1:])"
START_METHODS = {
    "subprocess": CALL,
    "no environment": "subprocess.run([sys.executable, '-c', FETCH, address], env={})",
    "IPv6": f"address = socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET6)[0][4][0]\n    {CALL}",
    "exec": "os.execv(sys.executable, [sys.executable, '-c', FETCH, address])",
    "a grandchild": f"subprocess.run([sys.executable, '-c', {THROUGH!r}, sys.executable, '-c', FETCH, address])",
    "a fork's child": f"os.fork() or os._exit({CALL}.returncode)\n    os.wait()",
    "spawn": "print(multiprocessing.get_context('spawn').Pool(1).apply(fetch, (address,)))",
    "forkserver, a name looked up later": "with multiprocessing.get_context('forkserver').Pool(1) as pool:\n"
    "        pool.apply(abs, (1,))\n        print(pool.apply(fetch, (socket.gethostbyname(sys.argv[1]),)))",
    "descriptors closed": f"os.closerange(3, 256)\n    {CALL}\n    os.closerange(3, 256)\n"
    "    with open('other', 'wb') as file:\n        socket.gethostbyname('b.example')\n"
    "    assert not os.stat('other').st_size",
}


def run(program: str, name: str, proxy: RecordingProxy, directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "program.py").write_text(f"{PROGRAM}    {program}\n")
    later = ["later"] if "pool.apply(abs" in program else []
    command = [sys.executable, "-m", "socksify", "--proxy", proxy.url(), "program.py", name, *later]
    environ = {"PATH": os.defpath, "HOME": str(directory), "TMPDIR": str(directory)}
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("method", START_METHODS)
def test_an_address_means_the_same_name(method: str, proxy: RecordingProxy, tmp_path: Path) -> None:
    name = f"handed-down-{list(START_METHODS).index(method)}.example"
    ended = run(START_METHODS[method], name, proxy, tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("covered\n", "", 0)
    assert proxy.asked_for(name) == 1


def test_an_orphan_is_refused_it(proxy: RecordingProxy, tmp_path: Path) -> None:
    """The address never stands for another host."""
    # The pipe's other end is closed when the parent ends.
    program = "reader, writer = os.pipe()\n"
    program += "    code = f'import os, program; os.read({reader}, 1); program.fetch({address!r})'\n"
    program += "    subprocess.Popen([sys.executable, '-c', code], pass_fds=[reader])"
    ended = run(program, "orphan.example", proxy, tmp_path)
    assert "is a fake address that stands for no name in this process" in ended.stderr
    assert proxy.asked_for("orphan.example") == 0


DESCRIPTORS = """
import os, subprocess, socket
def count():
    return len(os.listdir("/proc/self/fd"))
before = count()
subprocess.run(["true"])
print(count() - before)
socket.gethostbyname("localhost" if NATIVELY else "early.example")
print(os.open("/dev/null", os.O_RDONLY))
"""


def test_no_descriptor_appears_with_the_first_child(proxy: RecordingProxy) -> None:
    """asyncio's tests of Python 3.14 count descriptors; and files have the same numbers as without us."""
    launched = [sys.executable, "-m", "socksify", "--proxy", proxy.url()]
    outputs = [
        subprocess.check_output([*words, "-c", f"NATIVELY = {natively}\n{DESCRIPTORS}"], timeout=60)
        for natively, words in ((True, [sys.executable]), (False, launched))
    ]
    assert outputs[0] == outputs[1]
