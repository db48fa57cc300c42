"""A new thread begins outside of its starter's block, also in a Python whose threads inherit the context."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.via.world import FAR, World

PROGRAM = """
import asyncio, contextvars, socket, sys, threading, concurrent.futures, _thread
import socksify
socksify.install(sys.argv[1], routes=["*=proxy"])

def answerer():
    with socket.create_connection(("203.0.113.9", 80), timeout=10) as sock:
        return sock.recv(1).decode()

def in_thread(make):
    seen = []
    thread = make(lambda: seen.append(answerer()))
    thread.start()
    thread.join()
    return seen[0]

own = contextvars.ContextVar("own", default="lost")
class Derived(threading.Thread):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def run(self):
        self.call()

with socksify.via(sys.argv[2]):
    own.set("kept")
    said = [in_thread(lambda call: threading.Thread(target=call)), in_thread(lambda call: threading.Timer(0, call))]
    said.append(in_thread(Derived))
    said.append(in_thread(lambda call: threading.Thread(target=contextvars.copy_context().run, args=(call,))))
    said.append(asyncio.run(asyncio.to_thread(answerer)))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        said.append(pool.submit(answerer).result())
    said.append(answerer())
    values = []
    thread = threading.Thread(target=lambda: values.append(own.get()))
    thread.start()
    thread.join()
said.append(answerer())
print("".join(said), values[0])
socksify.uninstall()
print(threading.Thread.start.__module__, threading.Thread.start.__code__.co_filename == threading.__file__)
"""


@pytest.mark.parametrize("inherit", ["0", "1"])
def test_a_thread_begins_outside(inherit: str, proxies: World) -> None:
    command = [sys.executable, "-X", f"thread_inherit_context={inherit}", "-c", PROGRAM]
    ended = subprocess.run(
        [*command, proxies.a.url(), proxies.b.url()], capture_output=True, text=True, timeout=60, check=True
    )
    kept = "kept" if inherit == "1" and sys.version_info >= (3, 14) else "lost"
    assert ended.stdout == f"aaabbbba {kept}\nthreading True\n"
    assert proxies.asked()[0][0] == FAR
