"""Pipes are lent. They come back empty, or are closed, and there are few of them."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from socksify.server.core import descriptors as module
from socksify.server.core.descriptors import PIPE_BYTES, Pipes


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pipes = Pipes()
    yield pipes
    pipes.close()


def test_one_that_comes_back_empty_is_lent_again(pipes: Pipes) -> None:
    pipe = pipes.take()
    assert pipe is not None
    pipes.give(pipe)
    assert pipes.take() is pipe


def test_one_with_something_in_it_is_closed(pipes: Pipes) -> None:
    pipe = pipes.take()
    assert pipe is not None
    pipe.held = os.write(pipe.writer, b"somebody's")
    pipes.give(pipe)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe.reader)
    other = pipes.take()
    assert other is not None
    with pytest.raises(BlockingIOError):
        os.read(other.reader, 1)


def test_it_is_large(pipes: Pipes) -> None:
    pipe = pipes.take()
    assert pipe is not None
    assert os.write(pipe.writer, bytes(2 * PIPE_BYTES)) >= 65536


def test_there_are_few(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIPES", 2)
    lent = [pipes.take(), pipes.take()]
    assert None not in lent
    assert pipes.take() is None


def test_without_descriptors_there_is_none(pipes: Pipes) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        assert pipes.take() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_closing_closes_those_that_are_lent_too() -> None:
    before = len(os.listdir("/proc/self/fd"))
    pipes = Pipes()
    lent = [pipes.take() for _ in range(3)]
    assert lent[0] is not None
    pipes.give(lent[0])
    pipes.close()
    assert len(os.listdir("/proc/self/fd")) == before
