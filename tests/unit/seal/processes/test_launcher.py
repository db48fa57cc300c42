"""The start of a seal in the process that the user has started, if a call fails there."""

from __future__ import annotations

import errno
import os
import signal
from typing import NoReturn

import pytest

from socksify.seal.errors import SealUnavailableError
from socksify.seal.processes.launcher import enter_seal


def fork() -> NoReturn:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_a_process_that_may_have_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", fork)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.listdir("/proc/self/fd")
    with pytest.raises(SealUnavailableError, match=r"^fork: Resource temporarily unavailable$"):
        enter_seal(lambda: pytest.fail("a service was made"), lambda: None)
    assert (signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.listdir("/proc/self/fd")) == before
