"""While a connect is pending, nothing that the client does to its socket mixes with the handshake."""

from __future__ import annotations

import os
import select
import socket
import ssl
from abc import ABCMeta
from collections.abc import Callable
from errno import EAGAIN, EISCONN, ENOTCONN, ETIMEDOUT
from pathlib import Path
from typing import Any

import pytest

from tests.support.stepping import MOMENT, SAID, SECONDS, TARGET, Stepping, begin, stepping

CALLS: dict[str, Callable[[socket.socket], object]] = {
    "send": lambda sock: sock.send(b"x"),
    "sendall": lambda sock: sock.sendall(b"x"),
    "sendmsg": lambda sock: sock.sendmsg([b"x"]),
    "sendto": lambda sock: sock.sendto(b"x", TARGET),
    "recv": lambda sock: sock.recv(9),
    "recv_into": lambda sock: sock.recv_into(bytearray(9)),
    "recvfrom": lambda sock: sock.recvfrom(9),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(9)),
    "recvmsg": lambda sock: sock.recvmsg(9),
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(9)]),
    "peek": lambda sock: sock.recv(9, socket.MSG_PEEK),
}


def opens(sock: socket.socket, steps: Stepping) -> None:
    """Lets the handshake go to its end, and sees that it took no harm."""
    steps.run()
    assert select.select([], [sock], [], SECONDS)[1] == [sock]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert steps.received == SAID
    sock.settimeout(SECONDS)
    sock.sendall(b"ping")
    assert sock.recv(4) == b"ping"


@pytest.mark.parametrize("call", CALLS)
def test_input_and_output_would_block(steps: Stepping, sock: socket.socket, call: str) -> None:
    begin(sock)
    steps.play(lambda: raises_eagain(CALLS[call], sock))
    opens(sock, steps)
    assert type(sock) is socket.socket


def raises_eagain(call: Callable[[socket.socket], object], sock: socket.socket) -> bool:
    """Tries, and gives the proxy a moment; False as long as it would block."""
    with pytest.raises(BlockingIOError) as caught:
        call(sock)
    assert caught.value.errno == EAGAIN
    return bool(select.select([], [sock], [], MOMENT)[1])


def test_trying_again_and_again_gets_there_without_a_poller(steps: Stepping, sock: socket.socket) -> None:
    begin(sock)
    steps.run()
    for _ in range(int(SECONDS / MOMENT)):
        try:
            assert sock.send(b"ping") == 4
            break
        except BlockingIOError:
            # Any wait will do, but for one on this socket.
            select.select([], [], [], MOMENT)
    assert steps.received.startswith(SAID)
    assert sock.connect_ex(TARGET) == EISCONN
    sock.settimeout(SECONDS)
    assert sock.recv(4) == b"ping"


@pytest.mark.parametrize("way", ["connect_ex", "send"])
def test_trying_again_and_again_ends_with_the_time(way: str) -> None:
    with stepping(connect_timeout=0.1), socket.socket() as sock:
        begin(sock)
        number = EAGAIN
        for _ in range(int(SECONDS / MOMENT)):
            select.select([], [], [], MOMENT)
            try:
                number = sock.connect_ex(TARGET) if way == "connect_ex" else sock.send(b"x")
            except OSError as error:
                number = error.errno or 0
            if number == ETIMEDOUT:
                break
        assert number == ETIMEDOUT


def test_nothing_is_sent_of_a_file(steps: Stepping, sock: socket.socket, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_bytes(b"ping")
    begin(sock)
    with page.open("rb") as file:
        with pytest.raises(ValueError, match="non-blocking sockets are not supported"):
            sock.sendfile(file)
        steps.run()
        sock.settimeout(SECONDS)
        assert sock.sendfile(file) == 4
    assert sock.recv(4) == b"ping"
    assert steps.received.startswith(SAID)


@pytest.mark.parametrize("timeout", [None, SECONDS])
@pytest.mark.parametrize("call", ["send", "sendall", "sendmsg"])
def test_made_blocking_it_waits_for_the_tunnel(
    steps: Stepping, sock: socket.socket, timeout: float | None, call: str
) -> None:
    begin(sock)
    sock.settimeout(timeout)
    steps.run()
    CALLS[call](sock)
    assert sock.recv(1) == b"x"
    assert steps.received.startswith(SAID)
    assert type(sock) is socket.socket


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("call", ["send", "recv", "sendall"])
def test_made_blocking_its_timeout_holds(sock: socket.socket, call: str) -> None:
    begin(sock)
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError, match=r"^timed out$"):
        CALLS[call](sock)


@pytest.mark.parametrize("reply", [5])
def test_made_blocking_it_meets_the_failure(reply: int) -> None:
    with stepping(reply=reply) as steps, socket.socket() as sock:
        begin(sock)
        sock.settimeout(SECONDS)
        steps.run()
        with pytest.raises(ConnectionRefusedError):
            sock.send(b"x")
        assert type(sock) is socket.socket


def test_a_dup_is_guarded_and_released(steps: Stepping, sock: socket.socket) -> None:
    begin(sock)
    with sock.dup() as other, socket.socket(fileno=os.dup(sock.fileno())) as third:
        for one in (other, third):
            with pytest.raises(BlockingIOError):
                one.recv(1)
            with pytest.raises(OSError, match="not connected"):
                one.getpeername()
        steps.play(lambda: select.select([], [other, third], [], MOMENT)[1])
        assert select.select([], [other, third], [], SECONDS)[1] == [other, third]
        assert [type(one) for one in (sock, other, third)] == [socket.socket] * 3
        assert third.getpeername() == TARGET
        assert steps.received == SAID


@pytest.mark.parametrize("closed", ["original", "dup"])
def test_closing_one_of_two_leaves_the_other(steps: Stepping, sock: socket.socket, closed: str) -> None:
    begin(sock)
    other = sock.dup()
    gone, left = (sock, other) if closed == "original" else (other, sock)
    gone.close()
    with left:
        opens(left, steps)


def test_a_detached_fd_goes_on_under_a_new_object(steps: Stepping, sock: socket.socket) -> None:
    begin(sock)
    plain = socket.socket(fileno=sock.detach())
    assert type(sock) is socket.socket
    with plain:
        with pytest.raises(BlockingIOError):
            plain.recv(1)
        opens(plain, steps)


def test_wrapping_it_in_tls_touches_nothing(steps: Stepping, sock: socket.socket) -> None:
    context = ssl.create_default_context()
    begin(sock)
    select.select([], [sock], [], MOMENT)
    with context.wrap_socket(sock, server_hostname="target.example", do_handshake_on_connect=False) as wrapped:
        assert isinstance(wrapped, ssl.SSLSocket)
        for call in (wrapped.do_handshake, wrapped.read, lambda: wrapped.write(b"x"), lambda: wrapped.recv(1)):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == ENOTCONN
        steps.play(lambda: select.select([], [wrapped], [], MOMENT)[1])
        assert select.select([], [wrapped], [], SECONDS)[1] == [wrapped]
        assert type(wrapped) is ssl.SSLSocket
        assert steps.received == SAID


class Meta(ABCMeta):
    made: list[str] = []

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> None:
        Meta.made.append(name)
        super().__init__(name, bases, body)


class Counting(socket.socket, metaclass=Meta):
    """A client's own class, which does not suffer subclasses gladly."""

    __slots__ = ("sent",)

    def __init_subclass__(cls, *, licence: str) -> None:
        raise AssertionError(f"{cls} was made without asking")

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        self.sent = data
        return super().send(data, flags)


class Roomy(socket.socket):
    """With a __dict__, a property and a method of its own."""

    mood: str

    @property
    def place(self) -> str:
        return f"{type(self).__name__} {self.fileno()}"


@pytest.mark.parametrize("cls", [socket.socket, Counting, Roomy])
def test_the_class_is_the_clients_to_see(steps: Stepping, cls: type[socket.socket]) -> None:
    with cls() as sock:
        begin(sock)
        assert isinstance(sock, cls)
        assert type(sock).__name__ == cls.__name__
        assert type(sock).__qualname__ == cls.__qualname__
        assert type(sock).__module__ == cls.__module__
        assert type(sock).__doc__ == cls.__doc__
        assert repr(sock).startswith(f"<{cls.__module__}.{cls.__qualname__} fd={sock.fileno()}, ")
        if isinstance(sock, Roomy):
            sock.mood = "pending"
        opens(sock, steps)
        assert type(sock) is cls
    assert Meta.made == ["Counting"]
    if isinstance(sock, Roomy):
        assert (sock.mood, sock.place) == ("pending", "Roomy -1")
    if cls is Counting:
        assert sock.send.__qualname__ == "Counting.send"


def test_a_file_made_of_it_waits_with_it(steps: Stepping, sock: socket.socket) -> None:
    begin(sock)
    sock.settimeout(SECONDS)
    steps.run()
    with sock.makefile("rwb") as file:
        file.write(b"ping\n")
        file.flush()
        assert file.readline() == b"ping\n"


def test_closed_while_pending_it_is_nothing_special(sock: socket.socket) -> None:
    begin(sock)
    sock.close()
    assert type(sock) is socket.socket
    assert sock.fileno() == -1
    for call in (lambda: sock.send(b"x"), lambda: sock.getpeername(), lambda: sock.connect(TARGET)):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call()
