"""Packets between processes: whole, in order, and with an end."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from socksify.seal.processes.links import BEGIN, END, ENDED, STARTED, Links, Pipe
from tests.support.forks import run_in_child


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_packets_keep_their_limits(pipe: Pipe) -> None:
    pipe.send(STARTED, b"12")
    pipe.send(BEGIN)
    pipe.send(ENDED, b"x" * 5000)
    assert pipe.receive() == (STARTED, b"12")
    assert pipe.receive() == (BEGIN, b"")
    # A text that is too long is cut.
    assert pipe.receive() == (ENDED, b"x" * 4095)


def test_the_end_of_the_sender_is_seen(pipe: Pipe) -> None:
    pipe.send(BEGIN)
    pipe.close_writer()
    assert pipe.receive() == (BEGIN, b"")
    assert pipe.receive() == (END, b"")


def test_the_end_of_the_receiver_is_no_error(pipe: Pipe) -> None:
    pipe.close_reader()
    pipe.send(BEGIN)


def test_a_program_does_not_inherit_pipes(pipe: Pipe) -> None:
    assert not os.get_inheritable(pipe.fileno())


def test_the_numbers_of_closed_standard_streams_stay_free() -> None:
    def child() -> bool:
        for fd in range(3):
            os.close(fd)
        links = Links()
        return links.reports.fileno() > 2 and not {0, 1, 2} & set(map(int, os.listdir("/proc/self/fd"))) - {0}

    assert run_in_child(child) == 0


def test_each_process_sees_the_end_of_the_others() -> None:
    links = Links()
    pid = os.fork()
    if not pid:
        links.of_supervisor()
        links.reports.send(STARTED)
        os._exit(0)
    links.of_launcher()
    assert links.reports.receive() == (STARTED, b"")
    assert links.reports.receive() == (END, b"")
    os.waitpid(pid, 0)
    links.close()
    # A second call does nothing.
    links.close()
