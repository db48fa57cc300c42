"""Sockets that were passed to us, by the variables of sd_listen_fds(3)."""

from __future__ import annotations

import os

import pytest

from socksify.config.settings import ConfigError
from socksify.server import activation


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two descriptors that other programs would inherit, where the first one passed is looked for."""
    reader, writer = os.pipe()
    low, high = sorted((reader, writer))
    if high != low + 1:
        pytest.skip("NOT TESTED: two descriptors in a row were not to be had")
    monkeypatch.setattr(activation, "FIRST", low)
    for fd in (low, high):
        os.set_inheritable(fd, True)
    return [low, high]


def test_they_are_found_and_kept_from_other_programs(passed: list[int]) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "OTHER": "x"}
    assert activation.inherited(environ) == passed
    assert environ == {"OTHER": "x"}
    assert not any(map(os.get_inheritable, passed))
    for fd in passed:
        os.close(fd)


@pytest.mark.parametrize("variables", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}, {"LISTEN_FDS": "2"}])
def test_those_of_another_process_are_not_ours(variables: dict[str, str]) -> None:
    environ = dict(variables)
    assert activation.inherited(environ) == []
    assert environ == {}


@pytest.mark.parametrize("count", ["", "x", "-1", "²"])
def test_a_number_that_is_none_is_told(count: str) -> None:
    with pytest.raises(ConfigError, match="LISTEN_FDS"):
        activation.inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})
