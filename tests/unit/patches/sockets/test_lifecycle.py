"""Objects come and go on a kernel socket: copies know the target, nothing outlives what it belongs to."""

from __future__ import annotations

import copy
import errno
import gc
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable

import pytest

import socksify
from tests.support.bad_proxy import BadProxy, Script
from tests.support.routing import entries, routed
from tests.support.steps import HANG, READ_GREETING, Send, Wait, good
from tests.support.targets import Target

SILENT = [READ_GREETING, HANG]


def speaks(stream: socket.socket) -> bool:
    stream.settimeout(10)
    stream.sendall(b"ping")
    return stream.recv(4, socket.MSG_WAITALL) == b"ping"


COPIES: dict[str, Callable[[socket.socket], socket.socket]] = {
    "dup": lambda sock: sock.dup(),
    "fromfd": lambda sock: socket.fromfd(sock.fileno(), sock.family, sock.type),
    "os.dup": lambda sock: socket.socket(fileno=os.dup(sock.fileno())),
    "detach": lambda sock: socket.socket(fileno=sock.detach()),
    "detach and dup": lambda sock: _moved(sock.detach()),
}


def _moved(fd: int) -> socket.socket:
    other = os.dup(fd)
    os.close(fd)
    return socket.socket(fileno=other)


@pytest.mark.parametrize("unix", [False, True], ids=["IPv4", "Unix"])
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_knows_the_target(way: str, unix: bool, tmp_path: object, echo_server: Target) -> None:
    path = tmp_path / "proxy" if unix else None  # type: ignore[operator]
    with BadProxy(good("socks5h"), path=path) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.connect(echo_server.address)
        with COPIES[way](sock) as other:
            assert other.getpeername() == echo_server.address
            assert (other.family, other.type) == (socket.AF_INET, socket.SOCK_STREAM)
            assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            if sock.fileno() >= 0:
                sock.close()
            assert other.getpeername() == echo_server.address
            assert speaks(other)


def test_a_copy_of_a_failed_socket_has_failed(echo_server: Target) -> None:
    with BadProxy(good("socks5h", reply=5)) as proxy, routed(proxy.url()), socket.socket() as sock:
        with pytest.raises(ConnectionRefusedError):
            sock.connect(echo_server.address)
        with sock.dup() as other:
            with pytest.raises(OSError) as caught:
                other.getpeername()
            assert caught.value.errno == errno.ENOTCONN
            assert isinstance(socksify.last_error(other), ConnectionRefusedError)


def test_a_file_keeps_the_connection_after_close(echo_server: Target) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()):
        sock = socket.create_connection(echo_server.address, timeout=10)
        with sock.makefile("rwb") as stream:
            sock.close()
            assert sock.getpeername() == echo_server.address
            stream.write(b"ping\n")
            stream.flush()
            assert stream.readline() == b"ping\n"
        assert sock.fileno() == -1


def test_a_reused_fd_is_another_socket(echo_server: Target) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()):
        sock = socket.create_connection(echo_server.address, timeout=10)
        fd = sock.detach()
        with socket.socket() as fresh:
            # As close() and socket() would, but that no other thread can come in between.
            os.dup2(fresh.fileno(), fd)
        with socket.socket(fileno=fd) as other:
            with pytest.raises(OSError) as caught:
                other.getpeername()
            assert caught.value.errno == errno.ENOTCONN
            other.bind(("127.0.0.1", 0))
            assert other.getsockname()[0] == "127.0.0.1"
            assert socksify.last_error(other) is None


@pytest.mark.parametrize("refuse", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_socket_is_no_more_picklable_than_it_was(refuse: Callable[[object], object], echo_server: Target) -> None:
    with socket.socket() as sock, pytest.raises(TypeError) as native:
        refuse(sock)
    with BadProxy(good("socks5h"), SILENT) as proxy, routed(proxy.url()):
        with socket.create_connection(echo_server.address) as sock, pytest.raises(TypeError) as caught:
            refuse(sock)
        assert str(caught.value) == str(native.value)
        with socket.socket() as sock:
            sock.setblocking(False)
            assert sock.connect_ex(echo_server.address) == errno.EINPROGRESS
            with pytest.raises(TypeError) as caught:
                refuse(sock)
        assert str(caught.value) == str(native.value)


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Runs a call in another thread; what came of it is put in the list."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_close_in_another_thread_ends_a_pending_connect(timeout: float | None, echo_server: Target) -> None:
    asked = threading.Event()
    with BadProxy([READ_GREETING, lambda _: asked.set(), HANG]) as proxy, routed(proxy.url()):
        sock = socket.socket()
        sock.settimeout(timeout)
        thread, outcome = in_thread(lambda: sock.connect(echo_server.address))
        assert asked.wait(10)
        sock.close()
        thread.join(10)
        assert not thread.is_alive()
        assert isinstance(outcome[0], OSError)
        assert outcome[0].errno == errno.EBADF
        outcome.clear()
        assert not entries()


def test_shutdown_in_another_thread_ends_a_pending_connect(echo_server: Target) -> None:
    asked = threading.Event()
    with BadProxy([READ_GREETING, lambda _: asked.set(), HANG]) as proxy, routed(proxy.url()), socket.socket() as sock:
        thread, outcome = in_thread(lambda: sock.connect(echo_server.address))
        assert asked.wait(10)
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()
        assert isinstance(outcome[0], ConnectionResetError)


def test_what_another_thread_sends_meanwhile_comes_behind_the_handshake(echo_server: Target) -> None:
    """As on a socket that connects natively: send(2) and recv(2) wait until it is connected."""
    asked, go = threading.Event(), threading.Event()
    script: Script = [READ_GREETING, lambda _: asked.set(), Wait(go), Send(b"\x05\0"), *good("socks5h")[2:]]
    with BadProxy(script) as proxy, routed(proxy.url()), socket.socket() as sock:
        connecting, connected = in_thread(lambda: sock.connect(echo_server.address))
        assert asked.wait(10)
        sending, sent = in_thread(lambda: sock.sendall(b"early"))
        receiving, received = in_thread(lambda: sock.recv(5, socket.MSG_WAITALL))
        # Long enough for bytes to go astray, if they are going to.
        sending.join(0.1)
        assert not sent
        go.set()
        for thread in (connecting, sending, receiving):
            thread.join(10)
            assert not thread.is_alive()
        assert (connected, sent, received) == ([None], [None], [b"early"])
        assert type(sock) is socket.socket
        assert b"early" not in proxy.sessions[0].received


def test_an_interrupt_ends_a_pending_connect_and_the_socket_can_be_used_again(echo_server: Target) -> None:
    main = threading.main_thread().ident
    assert main is not None
    interrupt = [READ_GREETING, lambda _: signal.pthread_kill(main, signal.SIGINT), HANG]
    with BadProxy(interrupt, good("socks5h")) as proxy, routed(proxy.url()), socket.socket() as sock:
        with pytest.raises(KeyboardInterrupt):
            sock.connect(echo_server.address)
        assert proxy.finished().error is None
        sock.connect(echo_server.address)
        assert speaks(sock)


def test_a_signal_whose_handler_returns_does_not_end_a_connect(echo_server: Target) -> None:
    seen: list[int] = []
    main = threading.main_thread().ident
    assert main is not None
    script: Script = [READ_GREETING, lambda _: signal.pthread_kill(main, signal.SIGUSR1), *good("socks5h")[1:]]
    previous = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        with BadProxy(script) as proxy, routed(proxy.url()), socket.socket() as sock:
            sock.connect(echo_server.address)
            assert speaks(sock)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen == [signal.SIGUSR1]


def test_threads_connect_at_once(echo_server: Target) -> None:
    def talk() -> bool:
        for _ in range(10):
            with socket.create_connection(echo_server.address, timeout=10) as sock:
                assert sock.getpeername() == echo_server.address
                assert speaks(sock)
        return True

    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()):
        threads = [in_thread(talk) for _ in range(8)]
        for thread, _ in threads:
            thread.join(30)
        assert [outcome for _, outcome in threads] == [[True]] * 8
        assert len(proxy.sessions) == 80


def test_a_failed_socket_that_nobody_closes_is_collected(echo_server: Target) -> None:
    with BadProxy(good("socks5h", reply=5)) as proxy, routed(proxy.url()):
        sock = socket.socket()
        fd = sock.fileno()
        with pytest.raises(ConnectionRefusedError):
            sock.connect(echo_server.address)
        with pytest.warns(ResourceWarning):
            del sock
            gc.collect()
        with pytest.raises(OSError):
            os.fstat(fd)
        assert not entries()
