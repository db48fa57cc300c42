"""fork() in the middle: the child inherits fds, not the parent's handshakes."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import socksify
from socksify.config.settings import Settings
from socksify.patches import strict
from socksify.patches.installation import Installation
from socksify.tunnel.registry import registry
from tests.support.bad_proxy import BadProxy, Script
from tests.support.forks import exit_status, run_in_child
from tests.support.routing import LOOPBACK, SECONDS, routed
from tests.support.servers import Server
from tests.support.steps import READ_GREETING, Send, Wait, good
from tests.support.targets import Target


@pytest.fixture(autouse=True)
def _forking_with_threads() -> Iterator[None]:
    """From 3.12 on Python warns of it; the child here calls nothing that another thread may hold."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


def test_a_child_uses_the_connection_it_inherits(echo_server: Target) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.connect(echo_server.address)

        def talk() -> bool:
            sock.sendall(b"child")
            return sock.recv(5, socket.MSG_WAITALL) == b"child" and sock.getpeername() == echo_server.address

        assert run_in_child(talk) == 0
        sock.sendall(b"parent")
        assert sock.recv(6, socket.MSG_WAITALL) == b"parent"


def test_a_child_makes_connections_of_its_own(echo_server: Target) -> None:
    def talk() -> bool:
        with socket.create_connection(echo_server.address, timeout=10) as sock:
            sock.sendall(b"child")
            return sock.recv(5, socket.MSG_WAITALL) == b"child"

    with BadProxy(good("socks5h")) as proxy, routed(proxy.url()):
        assert run_in_child(talk) == 0
        assert len(proxy.sessions) == 1


def test_a_child_leaves_the_parents_pending_connect_alone(echo_server: Target) -> None:
    go = threading.Event()
    script: Script = [READ_GREETING, Wait(go), Send(b"\x05\0"), *good("socks5h")[2:]]
    with BadProxy(script) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.setblocking(False)
        assert sock.connect_ex(echo_server.address) == errno.EINPROGRESS

        def look() -> bool:
            unknown = not registry.deadlines.everyone() and not registry.unsettled
            try:
                sock.send(b"x")
            except OSError as error:
                unknown = unknown and error.errno in (errno.ENOTCONN, errno.EAGAIN)
            sock.close()
            return unknown

        assert run_in_child(look) == 0
        go.set()
        sock.settimeout(10)
        sock.sendall(b"parent")
        assert sock.recv(6, socket.MSG_WAITALL) == b"parent"
        assert sock.getpeername() == echo_server.address


def busy(stop: threading.Event, work: Callable[[], object]) -> threading.Thread:
    """A thread that does something again and again."""

    def run() -> None:
        # The servers are threads of this process, and want their turn.
        while not stop.wait(0.001):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def echoed(address: tuple[str, int]) -> bool:
    with socket.create_connection(address, timeout=SECONDS) as sock:
        sock.sendall(b"child")
        return sock.recv(5, socket.MSG_WAITALL) == b"child"


def begin_and_drop(address: tuple[str, int]) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(address)
        sock.connect_ex(address)


def test_forks_while_threads_are_at_everything(microsocks: Server, echo_server: Target, tmp_path: Path) -> None:
    """Locks of tunnels, of the table of names, of install(): whoever held them is not in the child."""
    counter = itertools.count()
    log = str(tmp_path / "log")
    stop = threading.Event()
    with routed(microsocks.url(), log=log):

        def install_again() -> None:
            given = {"routes": ["localhost=block", *LOOPBACK][next(counter) % 2 :], "log": log}
            socksify.install(microsocks.url(), **given)  # type: ignore[arg-type]

        work = [
            lambda: echoed(echo_server.address),
            lambda: begin_and_drop(echo_server.address),
            lambda: socket.getaddrinfo(f"{next(counter)}.example", 80),
            lambda: socket.gethostbyaddr(socket.gethostbyname("a.example")),
            install_again,
        ]
        threads = [busy(stop, each) for each in work]

        def talk() -> bool:
            name = socket.gethostbyname("child.example")
            socksify.install(microsocks.url(), routes=LOOPBACK, udp="direct")
            return socket.gethostbyaddr(name)[0] == "child.example" and echoed(echo_server.address)

        try:
            assert [run_in_child(talk) for _ in range(20)] == [0] * 20
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_a_fork_waits_for_another_threads_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half patched, the child would stay so."""
    begun, go = threading.Event(), threading.Event()
    original = Installation._watch

    def slowly(installation: Installation, settings: Settings) -> None:
        begun.set()
        go.wait(SECONDS)
        original(installation, settings)

    monkeypatch.setattr(Installation, "_watch", slowly)
    installing = threading.Thread(target=lambda: socksify.install("socks5h://127.0.0.1:9", strict=True))
    installing.start()
    try:
        assert begun.wait(SECONDS)
        forked: list[int] = []
        forking = threading.Thread(target=lambda: forked.append(run_in_child(lambda: bool(strict._HOOK.checks))))
        forking.start()
        forking.join(0.05)
        assert not forked
        go.set()
        forking.join()
        assert forked == [0]
    finally:
        go.set()
        installing.join()
        socksify.uninstall()


def test_a_signal_handler_forks_in_the_middle_of_a_connect(echo_server: Target) -> None:
    """The child's own connect() ends with an error, and the parent's handshake is left alone."""
    go = threading.Event()
    script: Script = [READ_GREETING, Wait(go), Send(b"\x05\0"), *good("socks5h")[2:]]
    children: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: children.append(os.fork()))
    try:
        with BadProxy(script) as proxy, routed(proxy.url()), socket.socket() as sock:
            sock.settimeout(SECONDS)
            killer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            killer.start()
            threading.Timer(0.1, go.set).start()
            try:
                sock.connect(echo_server.address)
            except OSError as error:
                if children == [0]:
                    os._exit(0 if error.errno == errno.ENOTCONN else 1)
                raise
            if children == [0]:
                os._exit(2)
            assert [exit_status(pid) for pid in children] == [0]
            sock.sendall(b"parent")
            assert sock.recv(6, socket.MSG_WAITALL) == b"parent"
    finally:
        signal.signal(signal.SIGUSR1, previous)
