"""System calls as C makes them, and what they return, as words that can be compared.

A call is named by its result: `ok`, a number, or the name of the errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

Address = tuple[str, int]

SECONDS = 20.0
# asm-generic/unistd.h and the table of x86-64.
CONNECT = {"x86_64": 42, "aarch64": 203}[os.uname().machine]
AF_UNSPEC = struct.pack("=H14x", socket.AF_UNSPEC)

libc = ctypes.CDLL(None, use_errno=True)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def go() -> None:
    """Tell the test that the peer may answer."""
    say("GO")


def outcome(call: Callable[..., object], *arguments: object) -> object:
    """The result of a Python function, or the name of the error that it raised."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno] if error.errno else type(error).__name__


def connect(sock: socket.socket, address: Address) -> str:
    """connect(2) itself: Python's method waits with poll(2) and starts again after a signal."""
    return connect_raw(sock.fileno(), sockaddr(address))


def connect_raw(fd: int, data: bytes | None, length: int | None = None) -> str:
    return named(libc.connect(fd, data, ctypes.c_uint32(len(data or b"") if length is None else length)))


def named(result: int) -> str:
    if result >= 0:
        return "ok" if result == 0 else str(result)
    return errno.errorcode[ctypes.get_errno()]


def sockaddr(address: Address) -> bytes:
    host, port = address
    if ":" in host:
        return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, socket.inet_pton(10, host), 0)
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


def so_error(sock: socket.socket) -> str:
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errno.errorcode.get(number, str(number))


def opened(address: Address, *, blocking: bool = False) -> socket.socket:
    """An unconnected socket of the address's family."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(blocking)
    return sock


def begun(address: Address) -> socket.socket:
    """A socket whose connect is under way, while the peer does not answer."""
    sock = opened(address)
    say(connect(sock, address))
    return sock


def ready(sock: socket.socket, events: int = select.POLLOUT, seconds: float = SECONDS) -> str:
    """The events that poll(2) reports within `seconds`, by name."""
    poller = select.poll()
    poller.register(sock, events)
    found = poller.poll(seconds * 1000)
    return event_names(found[0][1]) if found else "nothing"


def event_names(mask: int) -> str:
    names = {1: "IN", 2: "PRI", 4: "OUT", 8: "ERR", 16: "HUP", 0x2000: "RDHUP"}
    return "|".join(name for bit, name in names.items() if mask & bit) or "nothing"


def echoes(sock: socket.socket, data: bytes = b"ping") -> bool:
    """Whether the connection carries bytes there and back."""
    sock.setblocking(True)
    sock.sendall(data)
    return receive(sock, len(data)) == data


def receive(sock: socket.socket, count: int) -> bytes:
    """Return `count` bytes, fewer only at the end of the stream."""
    data = b""
    while len(data) < count and (piece := sock.recv(count - len(data))):
        data += piece
    return data


def wait_for_connect(task: int) -> None:
    """Wait until a process or thread is inside connect(2). proc(5): the number of its call, or `running`."""
    wait(lambda: Path(f"/proc/{task}/syscall").read_text().split()[0] == str(CONNECT))


def wait(condition: Callable[[], bool]) -> None:
    """Nobody tells when the state of another thread or process changes. So look, at most for SECONDS."""
    for _ in range(int(SECONDS * 1000)):
        if condition():
            return
        select.select([], [], [], 0.001)
    sys.exit("nothing happened")
