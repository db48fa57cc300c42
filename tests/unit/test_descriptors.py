"""The number of a descriptor proves nothing: a file that the program has opened since is not written to or closed."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from socksify._descriptors import STDERR, Kept, Stderr, identity, write

LOST = b"lost"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of the program."""
    return tmp_path / "data.db"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    yield kept
    kept.close()


def take(fd: int, data: Path) -> None:
    """Do what close() and open() do, in one step, so that no other thread can come between."""
    file = os.open(data, os.O_RDWR | os.O_CREAT)
    os.dup2(file, fd)
    os.close(file)


def test_a_file_of_ours_is_written(kept: Kept, tmp_path: Path) -> None:
    assert write(kept, b"line")
    assert (tmp_path / "log").read_bytes() == b"line"


def test_what_has_its_number_is_not_written_nor_closed(kept: Kept, data: Path) -> None:
    fd = kept.fd
    assert fd is not None
    take(fd, data)
    try:
        assert not write(kept, LOST)
        kept.close()
        assert identity(fd) == (data.stat().st_dev, data.stat().st_ino)
        assert data.read_bytes() == b""
    finally:
        os.close(fd)


def test_nor_is_the_same_file_that_the_program_opened(kept: Kept, tmp_path: Path) -> None:
    fd = kept.fd
    assert fd is not None
    take(fd, tmp_path / "log")
    try:
        assert not write(kept, LOST)
        kept.close()
        assert identity(fd) is not None
    finally:
        os.close(fd)


def test_a_closed_number_is_nothing(kept: Kept) -> None:
    fd = kept.fd
    assert fd is not None
    os.close(fd)
    assert kept.fd is None
    assert not write(kept, LOST)
    kept.close()
    kept.close()


def test_nothing_of_ours_has_a_standard_number() -> None:
    code = """if True:
        import os
        from socksify._descriptors import Kept
        for fd in range(3):
            os.close(fd)
        kept = Kept(os.open("/dev/null", os.O_WRONLY))
        assert kept.fd is not None and kept.fd > 2, kept.fd
        os.open("/dev/null", os.O_WRONLY)
        os._exit(7)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 7


@pytest.mark.parametrize("inheritable", [False, True], ids=["opened", "redirected"])
def test_standard_error_is_what_the_program_made_it(inheritable: bool, data: Path) -> None:
    """A file that Python opens is not inheritable. A file that dup2(2) puts in place of standard error is."""
    stderr = Stderr()
    saved = os.dup(STDERR)
    try:
        take(STDERR, data)
        os.set_inheritable(STDERR, inheritable)
        assert write(stderr, b"notice") is inheritable
    finally:
        os.dup2(saved, STDERR)
        os.close(saved)
    assert data.read_bytes() == (b"notice" if inheritable else b"")
    assert stderr.fd == STDERR


def test_standard_error_that_no_child_is_to_have_is_still_that() -> None:
    stderr = Stderr()
    os.set_inheritable(STDERR, False)
    try:
        assert stderr.fd == STDERR
    finally:
        os.set_inheritable(STDERR, True)


def test_flags_are_part_of_what_a_file_is() -> None:
    reader, writer = os.pipe()
    kept = Kept(writer)
    fcntl.fcntl(kept.number, fcntl.F_SETFL, fcntl.fcntl(kept.number, fcntl.F_GETFL) | os.O_NONBLOCK)
    assert kept.fd == kept.number
    kept.close()
    os.close(reader)


def test_sockets_have_names_of_their_own() -> None:
    with socket.socket() as sock, socket.socket() as other, sock.dup() as copy:
        assert identity(sock.fileno()) == identity(copy.fileno()) != identity(other.fileno())
