"""A supervisor in this process: it answers the messages of `socksify._supervision` without a seal.

The real handlers answer. The memory and the calls of a sealed process are stood in for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOPROTOOPT, ENOSYS
from types import FunctionType

import pytest

from socksify import _originals, _supervision
from socksify.config.settings import Settings
from socksify.seal.patched.private_calls import PrivateCalls
from socksify.seal.patched.scopes import Scopes

ADDRESS = 0x7000


class Calls:
    """Stands for the listener: it notes the answers, and no call is ever interrupted."""

    def __init__(self) -> None:
        self.answered: list[int] = []
        self.are_valid = True

    def answer(self, id: int, value: int = 0, error: int = 0) -> bool:
        assert (value, error) == (0, 0)
        self.answered.append(id)
        return True

    def is_valid(self, _id: int) -> bool:
        return self.are_valid


class Memory:
    """Stands for the memory of the caller: one message, at ADDRESS, of which one read returns `part` bytes at most."""

    def __init__(self, message: bytearray, part: int = 1 << 17) -> None:
        self.message, self._part = message, part

    def read(self, _thread: int, address: int, size: int) -> bytes:
        start = address - ADDRESS
        return bytes(self.message[start : start + min(size, self._part)])

    def write(self, _thread: int, address: int, data: bytes) -> None:
        assert address == ADDRESS
        self.message[: len(data)] = data


class Supervisor:
    """Answers while `is_alive`, and counts the questions."""

    def __init__(self, settings: Settings) -> None:
        self.scopes = Scopes(settings)
        self.calls = Calls()
        self.is_alive = True
        self.questions: list[int] = []

    def ask(self, option: int, message: bytearray, fd: int = -1, part: int = 1 << 17) -> None:
        """Answer one message, as if a thread of this process had sent it. Raises OSError."""
        handlers = PrivateCalls(self.calls, Memory(message, part), self.scopes)  # type: ignore[arg-type]
        handlers.setsockopt(
            1, os.getpid(), fd & 0xFFFFFFFF, _supervision.PRIVATE_LEVEL, option, ADDRESS, len(message), 0
        )

    def setsockopt(self, sock: _originals.Socket, level: int, option: int, value: bytearray) -> None:
        """Stand in for the call of a sealed process."""
        if level != _supervision.PRIVATE_LEVEL:
            raise OSError(ENOPROTOOPT, os.strerror(ENOPROTOOPT))
        if not self.is_alive:
            raise OSError(ENOSYS, os.strerror(ENOSYS))
        self.questions.append(option)
        self.ask(option, value, sock.fileno())


@contextmanager
def fails(error: int) -> Iterator[None]:
    """Expect an OSError with this errno."""
    with pytest.raises(OSError, match="Errno") as failure:
        yield
    assert failure.value.errno == error


def as_kernel(call: Callable[..., object]) -> Callable[..., object]:
    """Return a function whose errors look like those of a system call, and not like those of a signal handler.

    `_signal_safety.ours` tells them apart by the module of the frame that raised them.
    """

    def called(*args: object) -> object:
        try:
            return call(*args)
        except OSError as error:
            raise error.with_traceback(None) from None

    known = {**globals(), "__name__": "socksify.of_a_test"}
    return FunctionType(called.__code__, known, "called", None, called.__closure__)


def supervise(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Supervisor:
    """Put this process under a supervisor of these settings, for the duration of the test."""
    supervisor = Supervisor(settings)
    monkeypatch.setattr(_originals, "setsockopt", as_kernel(supervisor.setsockopt))
    monkeypatch.setattr(_supervision, "_seal", _supervision._Seal())
    return supervisor
