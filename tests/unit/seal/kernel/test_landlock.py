"""Landlock in child processes: what it denies, what it leaves, and what is said where the kernel has none."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from socksify.seal.kernel import restrictions
from tests.support.forks import exit_status, run_in_child
from tests.support.network.namespaces import needs_root
from tests.support.processes import unavailable

NOBODY = 65534


@pytest.fixture(scope="module")
def here() -> None:
    if run_in_child(restrictions.deny_tcp_connect) == 1:
        unavailable("this kernel has no Landlock for networks (Linux 6.7)")


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """Of a server that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def error_of_connect(address: tuple[str, int]) -> int:
    with socket.socket() as sock:
        return sock.connect_ex(address)


@pytest.mark.usefixtures("here")
def test_tcp_does_not_connect(address: tuple[str, int]) -> None:
    assert error_of_connect(address) == 0
    assert run_in_child(lambda: restrictions.deny_tcp_connect() and error_of_connect(address) == errno.EACCES) == 0


@pytest.mark.usefixtures("here")
def test_a_child_of_anybody_is_restricted(address: tuple[str, int]) -> None:
    needs_root()

    def child() -> bool:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return restrictions.deny_tcp_connect() and run_in_child(lambda: error_of_connect(address) == errno.EACCES) == 0

    assert run_in_child(child) == 0


@pytest.mark.usefixtures("here")
def test_everything_else_goes_on() -> None:
    def child() -> bool:
        restrictions.deny_tcp_connect()
        with socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.connect(("127.0.0.1", 9))
            pair = socket.socketpair()
            pair[0].sendall(b"x")
            return pair[1].recv(1) == b"x"

    assert run_in_child(child) == 0


@pytest.mark.usefixtures("here")
def test_a_process_outside_connects_a_socket_of_one_inside(address: tuple[str, int]) -> None:
    """The domain is the caller's, and not the socket's. This is how the supervisor connects the tree's sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if is_connected_from_outside(theirs, address) else 1)
        _, (descriptor,), *_ = socket.recv_fds(ours, 1, 1)
        with socket.socket(fileno=descriptor) as sock:
            sock.connect(address)
        ours.send(b"x")
        assert exit_status(pid) == 0


def is_connected_from_outside(theirs: socket.socket, address: tuple[str, int]) -> bool:
    restrictions.deny_tcp_connect()
    with socket.socket() as sock:
        socket.send_fds(theirs, [b"x"], [sock.fileno()])
        theirs.recv(1)
        return bool(sock.getpeername() == address)


def refusing(error: int, call: str) -> object:
    def system_call(name: str, *_: int) -> int:
        if name == call:
            raise OSError(error, name)
        return restrictions._NETWORK_VERSION

    return system_call


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_a_kernel_without_landlock_is_told(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    monkeypatch.setattr(restrictions, "system_call", refusing(error, "landlock_create_ruleset"))
    assert restrictions.deny_tcp_connect() is False


@pytest.mark.parametrize("version", [1, 3])
def test_a_kernel_whose_landlock_knows_no_networks_is_told(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    monkeypatch.setattr(restrictions, "system_call", lambda *_: version)
    assert restrictions.deny_tcp_connect() is False


def test_another_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restrictions, "system_call", refusing(errno.ENOMEM, "landlock_create_ruleset"))
    with pytest.raises(OSError, match="landlock_create_ruleset"):
        restrictions.deny_tcp_connect()
