"""Threads and forks in the middle of the import of `socket`: each of them is covered."""

from __future__ import annotations

import sysconfig

import pytest

from tests.support.environments import PROXIED, Environment

LIBRARIES = sysconfig.get_path("platlib")


def test_threads_that_import_it_at_once(hooked: Environment) -> None:
    """No thread gets a socket that is not covered."""
    program = """
import threading
start, told = threading.Barrier(20), []
def use():
    start.wait()
    import socket
    try:
        socket.create_connection(("192.0.2.1", 80), 5)
    except OSError as error:
        told.append(str(error))
threads = [threading.Thread(target=use) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum("proxy socks5h://127.0.0.1:9 for 192.0.2.1:80" in text for text in told))
"""
    assert hooked.code(program) == "20"


@pytest.mark.parametrize("_", range(4))
def test_threads_that_import_it_and_what_it_is_the_middle_of_at_once(hooked: Environment, _: int) -> None:
    program = f"""
import collections.abc, threading  # of 3.13.0, the first is not to be imported by several threads at once
names = ["uvloop", "socket", "concurrent.futures.process", "gevent.socket", "asyncio", "dns.query", "zmq", "ssl"] * 3
start, told = threading.Barrier(len(names)), []
def use(name):
    start.wait()
    __import__(name)
    import socket
    try:
        socket.create_connection(("192.0.2.1", 80), 5)
    except OSError as error:
        told.append(str(error))
threads = [threading.Thread(target=use, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(threads), sum({PROXIED!r} in text for text in told))
"""
    assert hooked.code(program, "-W", "ignore", PYTHONPATH=LIBRARIES) == "24 24"


def test_a_thread_that_imports_it_while_another_starts_a_child(hooked: Environment) -> None:
    """The start of the child makes the hook install. Meanwhile the thread gets no uncovered socket."""
    program = """
import os, sys, threading
sys.setswitchinterval(1e-5)
hook = sys.modules["socksify_hook"]
said = []

def connect():
    while hook.state == "waiting":
        pass
    import socket
    try:
        socket.create_connection(("192.0.2.1", 80), 5)
    except OSError as error:
        said.append(str(error))

threads = [threading.Thread(target=connect) for _ in range(5)] + [threading.Thread(target=os.system, args=("true",))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(said), sum("proxy socks5h://127.0.0.1:9 for 192.0.2.1:80" in text for text in said))
"""
    assert hooked.code(program) == "5 5"


@pytest.mark.parametrize("first", ["import socket", "os.system('true')"])
def test_a_fork_waits_for_another_threads_install(hooked: Environment, first: str) -> None:
    """Otherwise the child would wait for ever for the module that the other thread is importing."""
    program = f"""
import os, signal, sys, threading
hook = sys.modules["socksify_hook"]

def install():
    {first}

thread = threading.Thread(target=install)
thread.start()
while hook.state == "waiting":
    pass
if os.fork() == 0:
    signal.alarm(30)
    import socket
    try:
        socket.create_connection(("192.0.2.1", 80), 5)
    except OSError as error:
        print(error, flush=True)
    os._exit(0)
thread.join()
os.wait()
"""
    assert PROXIED in hooked.code(program, "-W", "ignore")
