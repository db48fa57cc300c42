"""A recvfrom(2) that the supervisor carries out: how it ends, and what it leaves. The memory is this process's own."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from typing import cast

import pytest

from socksify import _originals
from socksify.seal.datagrams import reception as datagram_reception
from socksify.seal.datagrams.messages import Recvfrom
from socksify.seal.datagrams.reception import Reception
from socksify.seal.kernel import system_calls
from socksify.seal.kernel.listener import Listener
from socksify.seal.kernel.target import Target
from socksify.server.core.loop import Loop

SECONDS = 10.0
SENDER = b"the sender"


class Calls:
    """Stands for the listener. The loop stops when the call is answered."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.valid = True
        self.ends: list[tuple[int, int]] = []

    def is_valid(self, _id: int) -> bool:
        return self.valid

    def answer(self, _id: int, value: int = 0, error: int = 0) -> bool:
        self.ends.append((value, error))
        self._loop.stop()
        return True


class Call:
    """A socket and a call of recvfrom(2) on it, with room for 8 bytes and for an address of 16."""

    def __init__(self, loop: Loop, flags: int = 0, **places: int) -> None:
        self.loop, self.calls = loop, Calls(loop)
        self.socket = _originals.Socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self._data, self._address = (ctypes.create_string_buffer(b"?" * 32, 32) for _ in range(2))
        self._length = ctypes.c_int(16)
        self._arguments = {
            "data": ctypes.addressof(self._data),
            "size": 8,
            "flags": flags,
            "address": ctypes.addressof(self._address),
            "length": ctypes.addressof(self._length),
            **places,
        }

    def start(self) -> None:
        """Carry the call out on a duplicate, as pidfd_getfd(2) makes it."""
        duplicate = _originals.Socket(fileno=os.dup(self.socket.fileno()))
        call = Recvfrom(id=1, thread=os.getpid(), **self._arguments)
        target, listener = Target(system_calls.here().numbers), cast(Listener, self.calls)
        Reception(self.loop, listener, target, call, duplicate, lambda _: SENDER).start()

    def send(self, data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(data, self.socket.getsockname())

    def run(self) -> list[tuple[int, int]]:
        self.loop.after(SECONDS, self.loop.stop)
        self.loop.run()
        self.socket.close()
        return self.calls.ends

    @property
    def memory(self) -> tuple[bytes, bytes, int]:
        return self._data.raw.rstrip(b"?"), self._address.raw.rstrip(b"?"), self._length.value


def test_what_is_there_is_received_at_once(loop: Loop) -> None:
    call = Call(loop)
    call.send(b"datagram of a length")
    call.start()
    assert call.run() == [(8, 0)]
    assert call.memory == (b"datagram", SENDER, len(SENDER))


def test_what_is_not_there_is_waited_for(loop: Loop) -> None:
    call = Call(loop)
    call.start()
    assert not call.calls.ends
    loop.after(0.01, lambda: call.send(b"late"))
    assert call.run() == [(4, 0)]


@pytest.mark.parametrize("how", ["flag", "socket"])
def test_a_call_that_does_not_wait_fails_at_once(loop: Loop, how: str) -> None:
    call = Call(loop, socket.MSG_DONTWAIT if how == "flag" else 0)
    call.socket.setblocking(how == "flag")
    call.start()
    assert call.run() == [(0, errno.EAGAIN)]


def test_a_call_waits_as_long_as_the_socket_says(loop: Loop) -> None:
    call = Call(loop)
    call.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 50_000))
    call.start()
    assert call.run() == [(0, errno.EAGAIN)]


def test_the_length_of_a_truncated_datagram_is_told_on_demand(loop: Loop) -> None:
    call = Call(loop, socket.MSG_TRUNC)
    call.send(bytes(20))
    call.start()
    assert call.run() == [(20, 0)]


@pytest.mark.parametrize("place", ["data", "address", "length"])
def test_memory_that_is_not_there_is_an_error_of_the_call(loop: Loop, place: str) -> None:
    call = Call(loop, **{place: 8})
    call.send(b"datagram")
    call.start()
    assert call.run() == [(0, errno.EFAULT)]


def test_a_call_that_a_signal_has_ended_takes_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagram_reception, "_LOOK", 0.02)
    before = descriptors()
    call = Call(loop)
    call.start()
    call.calls.valid = False
    loop.after(0.1, loop.stop)
    loop.run()
    # Its socket is closed, so a datagram cannot wake it.
    call.send(b"for the next call")
    assert descriptors() == before + 1
    assert call.socket.recv(100) == b"for the next call"
    call.socket.close()
    assert call.calls.ends == []


def test_a_datagram_is_left_to_the_next_call_if_this_one_is_over(loop: Loop) -> None:
    call = Call(loop)
    call.start()
    call.calls.valid = False
    call.send(b"for the next call")
    loop.after(0.05, loop.stop)
    loop.run()
    assert call.socket.recv(100) == b"for the next call"
    call.socket.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
