"""Sockets that were passed to this process, by the variables of sd_listen_fds(3)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from socksify.config.errors import ConfigError
from socksify.server.net import listeners


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Two descriptors that other programs would inherit, at the number where passed ones begin."""
    pipe = os.pipe()
    first = max(map(int, os.listdir("/proc/self/fd"))) + 1
    fds = [os.dup2(fd, number) for number, fd in enumerate(pipe, first)]
    monkeypatch.setattr(listeners, "FIRST_FD", first)
    yield fds
    for fd in (*fds, *pipe):
        os.close(fd)


def test_they_are_found_and_kept_from_other_programs(passed: list[int]) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "OTHER": "x"}
    assert listeners.passed_descriptors(environ) == passed
    assert environ == {"OTHER": "x"}
    assert not any(map(os.get_inheritable, passed))


@pytest.mark.parametrize("variables", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}, {"LISTEN_FDS": "2"}])
def test_those_of_another_process_are_not_ours(variables: dict[str, str]) -> None:
    environ = dict(variables)
    assert listeners.passed_descriptors(environ) == []
    assert environ == {}


@pytest.mark.parametrize("count", ["", "x", "-1", "²"])
def test_a_number_that_is_none_is_told(count: str) -> None:
    with pytest.raises(ConfigError, match="LISTEN_FDS"):
        listeners.passed_descriptors({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


@pytest.mark.parametrize("count", ["3", "1" + "0" * 30])
def test_a_number_of_more_than_there_are_is_told(count: str, passed: list[int]) -> None:
    with pytest.raises(ConfigError, match=f"descriptor {passed[-1] + 1} is not open"):
        listeners.passed_descriptors({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})
