"""What pollers say of a failed tunnel is what they say of a connect(2) that was refused, for whatever was asked."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

import pytest

from socksify import _originals
from tests.support.bad_proxy import BadProxy
from tests.support.processes import free_port
from tests.support.routing import routed
from tests.support.stepping import ANYWHERE, SECONDS, begin
from tests.support.steps import CLOSE, HANG, READ_GREETING, READ_REQUEST, RESET, Send, Step, garbage, good

BITS = (select.POLLIN, select.POLLPRI, select.POLLOUT, select.POLLRDNORM, select.POLLWRNORM, select.POLLRDHUP)
MASKS = [sum(bits) for bits in product(*((0, bit) for bit in BITS))]
WAYS = {"level": 0, "EPOLLET": select.EPOLLET, "EPOLLONESHOT": select.EPOLLONESHOT}
LISTS = list(product((False, True), repeat=3))

# How a tunnel can fail, and how long the client gives it.
ENDINGS: dict[str, tuple[list[Step], float]] = {
    "refused": (good("socks5", reply=5), SECONDS),
    "closed": ([READ_GREETING, CLOSE], SECONDS),
    "reset": ([READ_GREETING, Send(b"\x05\0"), READ_REQUEST, RESET], SECONDS),
    "garbage": ([READ_GREETING, garbage(), CLOSE], SECONDS),
    "silent": ([READ_GREETING, HANG], 0.1),
}


@pytest.fixture(params=ENDINGS)
def failing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Routed through a proxy that fails in one way or another."""
    script, seconds = ENDINGS[request.param]
    with BadProxy(script) as proxy, routed(proxy.url(), routes=ANYWHERE, connect_timeout=seconds):
        yield


@contextmanager
def refused() -> Iterator[socket.socket]:
    """A socket whose native connect was refused, and that has not been told yet."""
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            _originals.connect(sock, ("127.0.0.1", free_port()))
        poll = _originals.poll()
        poll.register(sock, 0)
        assert poll.poll(SECONDS * 1000)
        yield sock


def fails(sock: socket.socket) -> None:
    """Waits for the failure, with a poller of no interest."""
    poll = select.poll()
    poll.register(sock, 0)
    assert poll.poll(SECONDS * 1000) == [(sock.fileno(), select.POLLERR | select.POLLHUP)]


def polled(sock: socket.socket) -> dict[int, int]:
    """mask -> what poll(2) tells of the socket."""
    found = {}
    for mask in MASKS:
        poll = select.poll()
        poll.register(sock, mask)
        found[mask] = dict(poll.poll(0)).get(sock.fileno(), 0)
    return found


def selected(sock: socket.socket) -> dict[tuple[bool, ...], list[bool]]:
    """Which lists it is in -> in which it comes back."""
    found = {}
    for asked in LISTS:
        reading, writing, failing = ([sock] if is_in else [] for is_in in asked)
        answer = select.select(reading, writing, failing, 0)
        found[asked] = [sock in ready for ready in answer]
    return found


@pytest.mark.usefixtures("failing")
def test_poll_and_select_tell_the_same() -> None:
    with refused() as native, socket.socket() as sock:
        begin(sock)
        fails(sock)
        assert polled(sock) == polled(native)
        assert selected(sock) == selected(native)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_epoll_tells_the_same(way: str, when: str) -> None:
    """Registered while the connect is pending, or when it has failed already."""
    with refused() as native, socket.socket() as sock, ExitStack() as stack:
        begin(sock)
        epolls = {mask: stack.enter_context(select.epoll()) for mask in MASKS}
        if when == "before":
            for mask, epoll in epolls.items():
                epoll.register(sock, mask | WAYS[way])
        fails(sock)
        for mask, epoll in epolls.items():
            if when == "after":
                epoll.register(sock, mask | WAYS[way])
            with select.epoll() as other:
                other.register(native, mask | WAYS[way])
                assert dict(epoll.poll(SECONDS))[sock.fileno()] == dict(other.poll(SECONDS))[native.fileno()]
                # The proxy's own end of the connection, which comes later, may be one more edge.
                assert way == "EPOLLET" or bool(epoll.poll(0)) == bool(other.poll(0))


@pytest.mark.usefixtures("failing")
def test_once_told_it_is_a_closed_connection() -> None:
    with refused() as native, socket.socket() as sock:
        begin(sock)
        fails(sock)
        for one in (native, sock):
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # A proxy that goes on talking is answered by a reset, and that is one more error.
        assert {mask: events & ~select.POLLERR for mask, events in polled(sock).items()} == polled(native)
        assert selected(sock) == selected(native)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("call", ["recv", "send", "recv_into", "sendmsg", "recvmsg"])
def test_input_and_output_tell_the_outcome_too(call: str) -> None:
    """As the kernel has it: the first call that fails is told the error, and nobody after it."""
    arguments = {"recv": (100,), "send": (b"x",), "recv_into": (bytearray(9),), "sendmsg": ([b"x"],), "recvmsg": (9,)}
    with refused() as native, socket.socket() as sock:
        begin(sock)
        fails(sock)
        with pytest.raises(ConnectionRefusedError):
            getattr(native, call)(*arguments[call])
        with pytest.raises(OSError) as said:
            getattr(sock, call)(*arguments[call])
        assert said.value.errno
        assert not isinstance(said.value, (BlockingIOError, BrokenPipeError))
        for one in (native, sock):
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert native.recv(100) == b""
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass  # a proxy that went on talking to a connection that was shut down


def test_a_unix_proxy_that_fails_is_told_like_any_other(tmp_path: Path) -> None:
    script = [READ_GREETING, CLOSE]
    with (
        BadProxy(script, path=tmp_path / "proxy") as proxy,
        routed(proxy.url(), routes=ANYWHERE),
        refused() as native,
        socket.socket() as sock,
    ):
        begin(sock)
        fails(sock)
        assert polled(sock) == polled(native)
        assert selected(sock) == selected(native)


@contextmanager
def deaf() -> Iterator[tuple[str, int]]:
    """The address of a listener that has no room for another connection: the kernel drops the SYN."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        _originals.connect(first, listener.getsockname())
        yield listener.getsockname()


def test_a_proxy_that_takes_no_connection_is_told_like_any_other() -> None:
    with (
        deaf() as (host, port),
        routed(f"socks5h://{host}:{port}", routes=ANYWHERE, connect_timeout=0.2),
        refused() as native,
        socket.socket() as sock,
        ExitStack() as stack,
    ):
        begin(sock)
        epolls = {mask: stack.enter_context(select.epoll()) for mask in MASKS}
        for mask, epoll in epolls.items():
            epoll.register(sock, mask)
        fails(sock)
        for mask, epoll in epolls.items():
            with select.epoll() as other:
                other.register(native, mask)
                assert dict(epoll.poll(SECONDS))[sock.fileno()] == dict(other.poll(0))[native.fileno()]
        assert polled(sock) == polled(native)
        assert selected(sock) == selected(native)
