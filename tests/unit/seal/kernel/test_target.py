"""The memory, the sockets and the environment of another process."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from socksify.seal.kernel import system_calls, target
from socksify.seal.kernel.target import Target, environment, inode, process_of

CHILD = """
import ctypes, os, socket, sys
buffer = ctypes.create_string_buffer(b"its memory", 64)
one, other = socket.socketpair()
copy = one.dup()
print(ctypes.addressof(buffer), one.fileno(), copy.fileno(), os.fstat(one.fileno()).st_ino, flush=True)
for line in sys.stdin:
    if line == "close\\n":
        one.close()
    print(buffer.value.decode(), flush=True)
"""


LONG = "long " * 20_000


class Child:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"FIRST": "1", "EMPTY": "", "LONG": LONG, "LAST": "the=last"},
        )  # fmt: skip
        self.pid = self._process.pid
        self.address, self.fd, self.copy, self.inode = map(int, self._line().split())

    def say(self, word: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._line()

    def end(self) -> None:
        self._process.communicate(timeout=10)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.end()


@pytest.fixture(scope="module")
def reader() -> Target:
    return Target(system_calls.here().numbers)


def test_memory_is_read_and_written(reader: Target, child: Child) -> None:
    assert reader.read(child.pid, child.address, 10) == b"its memory"
    reader.write(child.pid, child.address, b"our")
    assert child.say("show") == "our memory\n"


def test_no_memory(reader: Target, child: Child) -> None:
    with pytest.raises(OSError, match="process_vm_readv") as failure:
        reader.read(child.pid, 8, 10)
    assert failure.value.errno == errno.EFAULT
    with pytest.raises(OSError, match="process_vm_writev") as failure:
        reader.write(child.pid, 8, b"x")
    assert failure.value.errno == errno.EFAULT


def test_a_long_read_is_bounded(reader: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "_LONGEST", 100)
    memory = ctypes.create_string_buffer(1000)
    assert len(reader.read(os.getpid(), ctypes.addressof(memory), 1000)) == 100


def test_the_very_socket_is_taken(reader: Target, child: Child) -> None:
    taken = reader.take_socket(child.pid, child.fd)
    assert os.fstat(taken.fileno()).st_ino == child.inode == inode(child.pid, child.fd)
    assert taken.family == socket.AF_UNIX
    taken.close()


@pytest.mark.parametrize(("fd", "number"), [(999, errno.EBADF), (0, errno.ENOTSOCK)])
def test_no_socket(reader: Target, child: Child, fd: int, number: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"\[Errno") as failure:
        reader.take_socket(child.pid, fd)
    assert failure.value.errno == number
    with pytest.raises(OSError, match=r"\[Errno") as failure:
        inode(child.pid, fd)
    assert failure.value.errno == number
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_socket_is_found_under_another_number(reader: Target, child: Child) -> None:
    child.say("close")
    found = reader.find_socket(child.inode, child.pid, child.fd)
    assert found is not None
    assert os.fstat(found.fileno()).st_ino == child.inode
    found.close()


def test_a_socket_that_is_closed_everywhere(reader: Target, child: Child) -> None:
    one, other = socket.socketpair()
    number = os.fstat(one.fileno()).st_ino
    one.close()
    other.close()
    assert reader.find_socket(number, child.pid, child.fd) is None


def test_a_thread_is_taken_for_its_process(reader: Target) -> None:
    numbers: list[int] = []
    told, over = threading.Event(), threading.Event()

    def run() -> None:
        numbers.append(threading.get_native_id())
        told.set()
        over.wait(10)

    thread = threading.Thread(target=run)
    thread.start()
    assert told.wait(10)
    one, other = socket.socketpair()
    taken = reader.take_socket(numbers[0], one.fileno())
    assert os.fstat(taken.fileno()).st_ino == os.fstat(one.fileno()).st_ino
    assert process_of(numbers[0]) == os.getpid()
    over.set()
    thread.join()
    for sock in (taken, one, other):
        sock.close()


def test_the_environment_of_a_process(child: Child) -> None:
    assert environment(child.pid, b"FIRST") == b"1"
    assert environment(child.pid, b"EMPTY") == b""
    assert environment(child.pid, b"LONG") == LONG.encode()
    assert environment(child.pid, b"LAST") == b"the=last"
    assert environment(child.pid, b"IRST") is None
    assert environment(child.pid, b"the") is None


def test_a_process_that_has_ended(reader: Target) -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait(10)
    assert environment(process.pid, b"PATH") is None
    with pytest.raises(OSError, match=r"\[Errno"):
        reader.take_socket(process.pid, 0)
    assert reader.find_socket(1, process.pid, 0) is None
