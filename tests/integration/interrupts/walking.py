"""Interrupts a call of socksify's at its n-th bytecode, for every n: as a signal handler may, and worse."""

from __future__ import annotations

import contextlib
import faulthandler
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import EALREADY, EINPROGRESS, EISCONN
from pathlib import Path
from types import FrameType
from typing import Any

import socksify
from socksify.tunnel.registry import registry
from tests.support.processes import end
from tests.support.routing import open_fds

HERE = str(Path(socksify.__file__).parent)
TARGET = ("203.0.113.5", 80)
# Seconds, by the tester's clock, after which a walk has hung.
HUNG = 60


class Interrupted(Exception):
    """What a signal handler raises."""


class Timeout(Interrupted, TimeoutError):
    """The same from a handler whose exception looks like one of the socket's."""


@dataclass
class Walk:
    """Traces one call; at the n-th bytecode of socksify's it does something."""

    at: int
    action: Callable[[], object]
    seen: int = 0
    done: bool = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        # Where an instruction belongs to no line, the compiler clears up after an `except`, and no handler runs.
        if event == "opcode" and not self.done and frame.f_lineno is not None:
            self.seen += 1
            if self.seen == self.at:
                self.done = True
                self.action()
        return self


def interrupted(at: int, action: Callable[[], object], call: Callable[[], object]) -> bool:
    """Make a call, interrupted at its n-th bytecode; whether it had so many. Raises what it raises."""
    walk = Walk(at, action)
    before = sys.gettrace()
    # Python 3.12 asks this when tracing begins.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(walk)
    try:
        call()
    finally:
        sys.settrace(before)
        walk.at = -1
    return walk.done


def leave_by(kind: type[BaseException]) -> Callable[[], object]:
    """A handler that raises."""

    def leave() -> None:
        raise kind

    return leave


@contextlib.contextmanager
def patience(seconds: float = HUNG) -> Iterator[None]:
    """Ends the process with a traceback of every thread, should it hang: in C, so that no handler of Python's runs."""
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def strict_proxy() -> Iterator[tuple[str, Callable[[], str]]]:
    """The proxy's URL, and a function that ends it and tells what it complains of."""
    argv = [sys.executable, "-m", "tests.integration.interrupts.strict_proxy"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().rpartition(":")[2].strip()

        def complaints() -> str:
            told, _ = process.communicate(timeout=HUNG)
            return told

        try:
            yield f"socks5h://127.0.0.1:{port}", complaints
        finally:
            end(process)


def use(sock: socket.socket) -> int:
    """Have an interrupted socket connected after all, as a client would; returns how many calls that took."""
    for attempt in range(1, 8):
        number = sock.connect_ex(TARGET)
        if number in (EINPROGRESS, EALREADY):
            assert select.select([], [sock], [], 5)[1], "a poller was never told"
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or EISCONN
        if number in (0, EISCONN):
            sock.settimeout(5)
            sock.sendall(b"ping")
            answer = sock.recv(4, socket.MSG_WAITALL)
            assert answer == b"ping", answer
            assert sock.getpeername() == TARGET
            return attempt
    raise AssertionError(f"never connected: {number}")


def left_behind(fds: set[int]) -> list[object]:
    """What is still known of sockets that are closed, and descriptors that were not open before."""
    return [
        *registry.by_fd,
        *registry._by_identity,
        *registry.unsettled,
        *registry.deadlines.everyone(),
        *(open_fds() - fds),
    ]
