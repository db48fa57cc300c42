"""What a socket does while it connects, natively and through a proxy: a table, of which each row says the same twice.

Natively it connects to a listener whose queue is full; through a proxy, to one that never answers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import select
import socket
import struct
import tempfile
import termios
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.bad_proxy import BadProxy, Script
from tests.support.routing import routed
from tests.support.steps import CLOSE, HANG, READ_GREETING, Read

GREETING = b"\5\1\0"
# What connect_ex() says when it begins.
PENDING = (errno.EINPROGRESS,)

Row = Callable[[socket.socket], Any]
Address = tuple[str, int]


@contextlib.contextmanager
def full() -> Iterator[Address]:
    """A listener that accepts nobody: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        yield address


def connecting(address: Address, timeout: float | None = 0.0) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    assert sock.connect_ex(address)
    sock.settimeout(timeout)
    return sock


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the exception's type, errno and words."""
    try:
        found = call()
    except OSError as error:
        return type(error), error.errno, str(error)
    except Exception as error:
        return type(error), str(error)
    return found


def flags(sock: socket.socket) -> tuple[bool, float | None]:
    return os.get_blocking(sock.fileno()), sock.gettimeout()


def readiness(sock: socket.socket) -> Any:
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLOUT)
    ready = select.select([sock], [sock], [sock], 0)
    return [bool(each) for each in ready], [mask for _, mask in poller.poll(0)]


def after(*calls: Row) -> Row:
    """The outcomes of several calls, one after another."""
    return lambda sock: [outcome(lambda: call(sock)) for call in calls]  # noqa: B023


def error(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def sendfile(sock: socket.socket) -> Any:
    with tempfile.TemporaryFile() as file:
        file.write(b"early")
        file.seek(0)
        return os.sendfile(sock.fileno(), file.fileno(), 0, 5)


def method_sendfile(sock: socket.socket) -> Any:
    return sock.sendfile(io.BytesIO(b"early"))


def setblocking(sock: socket.socket) -> Any:
    seen = [flags(sock)]
    for blocking in (True, False):
        sock.setblocking(blocking)
        seen.append(flags(sock))
    return seen


def settimeout(sock: socket.socket) -> Any:
    seen = []
    for timeout in (5, None):
        sock.settimeout(timeout)
        seen.append(flags(sock))
    return seen


def set_blocking(sock: socket.socket) -> Any:
    os.set_blocking(sock.fileno(), True)
    return flags(sock), sock.getblocking()


def set_inheritable(sock: socket.socket) -> Any:
    before = sock.get_inheritable()
    sock.set_inheritable(True)
    return before, sock.get_inheritable()


def made(sock: socket.socket, mode: str) -> Any:
    make: Callable[..., Any] = sock.makefile
    with make(mode, buffering=0) as file:
        return file.read(1) if mode == "rb" else file.write(b"early")


def unread(sock: socket.socket) -> int:
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0])


def unsent(sock: socket.socket) -> int:
    # Of a SYN, the sequence number counts as one that is not acknowledged.
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]) > 1


def dup(sock: socket.socket) -> Any:
    with sock.dup() as copy:
        return outcome(lambda: copy.send(b"early")), outcome(copy.getpeername), flags(copy)


def detached(sock: socket.socket) -> Any:
    fd = sock.detach()
    with socket.socket(fileno=fd) as again:
        return (
            sock.fileno(),
            outcome(lambda: again.send(b"early")),
            outcome(lambda: again.recv(1)),
            outcome(again.getpeername),
            (again.family, again.type, again.proto),
        )


def closed(sock: socket.socket) -> Any:
    sock.close()
    return sock.fileno(), outcome(lambda: sock.send(b"early")), outcome(sock.getpeername)


def level(name: str) -> tuple[int, int]:
    return (socket.IPPROTO_TCP if name.startswith("TCP") else socket.SOL_SOCKET), getattr(socket, name)


def option(name: str, value: int) -> Row:
    return lambda sock: (sock.setsockopt(*level(name), value), bool(sock.getsockopt(*level(name))))


# Of these the kernel natively says EAGAIN. The descriptor is connected to the proxy already, and there they go: what
# the client writes past its socket object we cannot hold back. Functions of `os` would have to be replaced for all of
# the program, which uses them for files and pipes far more often.
PAST_THE_OBJECT: dict[str, Row] = {
    "os.write": lambda sock: os.write(sock.fileno(), b"early"),
    "os.writev": lambda sock: os.writev(sock.fileno(), [b"ear", b"ly"]),
    "os.sendfile": sendfile,
}
ROWS: dict[str, Row] = {
    "send": lambda sock: sock.send(b"early"),
    "send nothing": lambda sock: sock.send(b""),
    "send MSG_DONTWAIT": lambda sock: sock.send(b"early", socket.MSG_DONTWAIT),
    "send no bytes-like object": lambda sock: sock.send("early"),  # type: ignore[arg-type]
    "sendall": lambda sock: sock.sendall(b"early"),
    "sendall nothing": lambda sock: sock.sendall(b""),
    "sendmsg": lambda sock: sock.sendmsg([b"ear", b"ly"]),
    "sendmsg nothing": lambda sock: sock.sendmsg([]),
    "sendto": lambda sock: sock.sendto(b"early", ("127.0.0.1", 9)),
    "recv": lambda sock: sock.recv(1),
    "recv nothing": lambda sock: sock.recv(0),
    "recv less than nothing": lambda sock: sock.recv(-1),
    "recv MSG_PEEK": lambda sock: sock.recv(1, socket.MSG_PEEK),
    "recv MSG_OOB": lambda sock: sock.recv(1, socket.MSG_OOB),
    "recv MSG_WAITALL": lambda sock: sock.recv(4, socket.MSG_WAITALL),
    "recv_into": lambda sock: sock.recv_into(bytearray(4)),
    "recv_into nothing": lambda sock: sock.recv_into(bytearray()),
    "recv_into, 0 of 4": lambda sock: sock.recv_into(bytearray(4), 0),
    "recv_into what is too small": lambda sock: sock.recv_into(bytearray(1), 4),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvfrom nothing": lambda sock: sock.recvfrom(0),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(1)),
    "recvfrom_into nothing": lambda sock: sock.recvfrom_into(bytearray()),
    "recvmsg": lambda sock: sock.recvmsg(1),
    "recvmsg nothing": lambda sock: sock.recvmsg(0),
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(1)]),
    "os.read": lambda sock: os.read(sock.fileno(), 1),
    "os.read nothing": lambda sock: os.read(sock.fileno(), 0),
    "os.readv": lambda sock: os.readv(sock.fileno(), [bytearray(1)]),
    "sendfile": method_sendfile,
    "makefile for reading": lambda sock: made(sock, "rb"),
    "makefile for writing": lambda sock: made(sock, "wb"),
    "readiness": readiness,
    "getpeername": lambda sock: sock.getpeername(),
    "getsockname": lambda sock: (sock.getsockname()[0], bool(sock.getsockname()[1])),
    "SO_ERROR": after(error, error),
    "SO_ACCEPTCONN": lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
    "SO_TYPE": lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
    "SO_DOMAIN": lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN),
    "a wrong option": lambda sock: sock.getsockopt(socket.SOL_SOCKET, 9999),
    "a wrong length": lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR, -1),
    "TCP_NODELAY": option("TCP_NODELAY", 1),
    "SO_KEEPALIVE": option("SO_KEEPALIVE", 1),
    "SO_LINGER": lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1)),
    "bind": lambda sock: sock.bind(("127.0.0.1", 0)),
    "listen": lambda sock: sock.listen(),
    "accept": lambda sock: sock.accept(),
    "connect again": after(lambda sock: sock.connect(("127.0.0.1", 9)), lambda sock: sock.connect_ex(("127.0.0.1", 9))),
    "connect to a wrong type": lambda sock: sock.connect("127.0.0.1"),
    "connect_ex to a wrong type": lambda sock: sock.connect_ex("127.0.0.1"),
    "connect to one of four": lambda sock: sock.connect(("127.0.0.1", 9, 0, 0)),
    "connect to one of one": lambda sock: sock.connect(("127.0.0.1",)),
    "connect to no port": lambda sock: sock.connect(("127.0.0.1", "http")),
    "connect to a port of None": lambda sock: sock.connect(("127.0.0.1", None)),
    "connect to a negative port": lambda sock: sock.connect(("127.0.0.1", -1)),
    "connect to too high a port": lambda sock: sock.connect(("127.0.0.1", 65536)),
    "connect_ex to too high a port": lambda sock: sock.connect_ex(("127.0.0.1", 65536)),
    "connect to no host": lambda sock: sock.connect((None, 9)),
    "connect to a number": lambda sock: sock.connect((127, 9)),
    "connect to a zero byte": lambda sock: sock.connect(("a\0b", 9)),
    "connect to too long a label": lambda sock: sock.connect(("\u00e4" * 64, 9)),
    "shutdown for reading": after(lambda sock: sock.shutdown(socket.SHUT_RD), readiness, error, error),
    "shutdown for writing": after(lambda sock: sock.shutdown(socket.SHUT_WR), readiness, error, error),
    "shutdown": after(lambda sock: sock.shutdown(socket.SHUT_RDWR), readiness, error, error, readiness),
    "shutdown, and send": after(lambda sock: sock.shutdown(socket.SHUT_RDWR), lambda sock: sock.send(b"early"), error),
    "shutdown, and recv": after(lambda sock: sock.shutdown(socket.SHUT_RDWR), lambda sock: sock.recv(1), error),
    "shutdown, and getpeername": after(lambda sock: sock.shutdown(socket.SHUT_RDWR), lambda sock: sock.getpeername()),
    "shutdown, and connect": after(
        lambda sock: sock.shutdown(socket.SHUT_RDWR), lambda sock: sock.connect_ex(("127.0.0.1", 9)) in PENDING
    ),
    "SO_ERROR, with a length": after(
        *[lambda sock, n=n: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR, n) for n in (4, 2, 1025)]
    ),
    "shutdown twice": after(*[lambda sock: sock.shutdown(socket.SHUT_RDWR)] * 2),
    "a wrong shutdown": lambda sock: sock.shutdown(9),
    "FIONREAD": unread,
    "TIOCOUTQ": unsent,
    "setblocking": setblocking,
    "settimeout": settimeout,
    "os.set_blocking": set_blocking,
    "get_inheritable": set_inheritable,
    "dup": dup,
    "detach": detached,
    "close": closed,
    "repr": lambda sock: repr(sock).replace(str(sock.fileno()), "").split("laddr")[0],
    "a file's status": lambda sock: os.fstat(sock.fileno()).st_mode,
}


# Those that wait for the connect on a socket that may wait.
WAITING = [name for name in ROWS if name.startswith(("send", "recv", "makefile", "getpeername", "FIONREAD"))]
MOMENT = 0.02


@pytest.fixture(scope="module")
def native() -> dict[tuple[str, float], Any]:
    """What the kernel says to each row."""
    with full() as address:
        found: dict[tuple[str, float], Any] = {(name, 0.0): _outcome(row, address) for name, row in ROWS.items()}
        return found | {(name, MOMENT): _outcome(ROWS[name], address, MOMENT) for name in WAITING}


def _outcome(row: Row, address: Address, timeout: float = 0.0) -> Any:
    with connecting(address, timeout) as sock:
        return outcome(lambda: row(sock))


@pytest.fixture(scope="module")
def proxy() -> Iterator[BadProxy]:
    with BadProxy([READ_GREETING, HANG]) as proxy:
        yield proxy


@pytest.mark.parametrize(("name", "timeout"), [*((name, 0.0) for name in ROWS), *((name, MOMENT) for name in WAITING)])
def test_a_row(name: str, timeout: float, native: dict[tuple[str, float], Any], proxy: BadProxy) -> None:
    before = len(proxy.sessions)
    # SO_ERROR waits so long for the handshake, which never ends here.
    with routed(proxy.url(), c_watcher_timeout=MOMENT):
        found = _outcome(ROWS[name], ("127.0.0.1", 9), timeout)
        assert found == native[name, timeout]
        # Whatever was tried, the proxy was sent a greeting and no more.
        assert all(GREETING.startswith(bytes(session.received)) for session in proxy.sessions[before:])


@pytest.mark.parametrize("name", PAST_THE_OBJECT)
def test_what_is_written_past_the_object_opens_nothing(name: str) -> None:
    """It spoils the handshake, and so the connect fails with a clear error; it is never taken for the target's."""
    script: Script = [READ_GREETING, Read(5), CLOSE]
    with BadProxy(script) as spoilt, routed(spoilt.url()), connecting(("127.0.0.1", 9)) as sock:
        while sock.connect_ex(("127.0.0.1", 9)) == errno.EALREADY and spoilt.sessions[:1] == []:
            select.select([sock], [], [], 0.01)
        assert outcome(lambda: PAST_THE_OBJECT[name](sock)) == 5
        assert select.select([], [sock], [], 10)[1] == [sock]
        assert error(sock) in (errno.ECONNRESET, errno.ECONNABORTED)


def test_getsockopt_takes_no_none_for_a_length() -> None:
    with routed("socks5h://127.0.0.1:9"), socket.socket() as sock, pytest.raises(TypeError):
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, None)  # type: ignore[call-overload]
