"""System calls that Python has no function for."""

from __future__ import annotations

import ctypes
import os
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
# syscall(2) is variadic. Without types, ctypes passes an int of 32 bits, whose upper half is undefined in a register.
_SYSCALL.argtypes = [ctypes.c_long] * 7
# In bytes: sigset_t of libc.
_SIGSET_SIZE = 128

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    _T = TypeVar("_T")


def system_call(name: str, number: int, *arguments: int) -> int:
    """Make a system call. Raises OSError, whose message begins with the name of the call."""
    result: int = _SYSCALL(number, *arguments, *(0,) * (6 - len(arguments)))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def call(function: Callable[..., _T], *arguments: int) -> _T:
    """Call a function of `os` that has the name of its system call. Raises OSError, whose message begins with it."""
    try:
        return function(*arguments)
    except OSError as error:
        raise OSError(error.errno, f"{function.__name__}: {error.strerror}") from None


def connect_raw(fd: int, address: bytes) -> int:
    """Call connect(2) with an address as it lies in memory. Return 0 or an errno."""
    if not _LIBC.connect(fd, address, len(address)):
        return 0
    return ctypes.get_errno()


def unshare(flags: int, names: str) -> None:
    """Call unshare(2), for which `os` has a function from Python 3.12 on. Raises OSError, whose message has `names`."""
    if _LIBC.unshare(flags):
        error = ctypes.get_errno()
        raise OSError(error, f"unshare({names}): {os.strerror(error)}")


def prctl(name: str, option: int, value: int) -> None:
    """Call prctl(2) with one argument. Raises OSError, whose message begins with the name of the option."""
    if _LIBC.prctl(option, ctypes.c_ulong(value), *(ctypes.c_ulong(),) * 3):
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({name}): {os.strerror(error)}")


def signalfd(signals: Iterable[int]) -> int:
    """Return a descriptor that reads these signals, which have to be blocked. It is closed on exec. Raises OSError."""
    mask = sum(1 << number - 1 for number in signals)
    fd: int = _LIBC.signalfd(-1, mask.to_bytes(_SIGSET_SIZE, sys.byteorder), os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"signalfd: {os.strerror(error)}")
    return fd
