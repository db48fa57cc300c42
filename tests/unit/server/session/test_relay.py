"""A relay: both directions to their own ends, under load, with slow and vanishing peers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from socksify.server.session import bulk_thread
from tests.support.routing import gone
from tests.support.streams import receive, receive_all
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.relayed import Peer, arrives, send
from tests.unit.server.running import Running


@pytest.fixture
def peer(running: Running) -> Iterator[Peer]:
    peer = Peer(running)
    with peer.target:
        yield peer


def test_the_clients_half_close_leaves_the_answer_alone(peer: Peer, running: Running) -> None:
    peer.client.sendall(b"question")
    peer.client.shutdown(socket.SHUT_WR)
    assert receive_all(peer.target) == b"question"
    peer.target.sendall(b"answer")
    peer.target.close()
    assert receive_all(peer.client) == b"answer"
    report = running.report()
    assert (report.outcome, report.up, report.down) == ("done", 8, 6)


def test_the_targets_half_close_leaves_the_client_alone(peer: Peer) -> None:
    peer.target.shutdown(socket.SHUT_WR)
    assert receive_all(peer.client) == b""
    peer.client.sendall(b"still here")
    assert receive(peer.target, 10) == b"still here"


def test_a_banner_reaches_a_client_that_has_said_nothing(peer: Peer) -> None:
    peer.target.sendall(b"220 ready\r\n")
    assert receive(peer.client, 11) == b"220 ready\r\n"


def test_data_before_a_close_arrives(peer: Peer) -> None:
    assert arrives(peer.target, peer.client)


@pytest.mark.parametrize("before", [0, 3 << 20], ids=["small talk", "bulk"])
@pytest.mark.parametrize("side", ["client", "target"])
def test_urgent_data_is_not_lost(side: str, before: int, peer: Peer) -> None:
    """ftplib's abort() sends its command as urgent data, of which the last byte is the urgent one."""
    one, other = (peer.client, peer.target) if side == "client" else (peer.target, peer.client)

    def abort() -> None:
        one.sendall(bytes(before))
        one.sendall(b"ABOR\r\n", socket.MSG_OOB)
        send(one, b"QUIT\r\n" + bytes(before))

    sender = threading.Thread(target=abort)
    sender.start()
    assert receive_all(other) == bytes(before) + b"ABOR\r\nQUIT\r\n" + bytes(before)
    sender.join()


@pytest.mark.parametrize("side", ["client", "target"])
def test_a_reset_is_passed_on_as_one(side: str, peer: Peer, running: Running) -> None:
    one, other = (peer.client, peer.target) if side == "client" else (peer.target, peer.client)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    one.close()
    with pytest.raises(ConnectionResetError):
        other.recv(1)
    report = running.report()
    assert (report.outcome, report.detail) == ("reset", "Connection reset by peer")


def test_a_slow_reader_holds_up_the_writer(peer: Peer) -> None:
    """The memory of a relay is bounded: the writer stalls when the kernel's buffers and the relay's are full."""
    peer.target.setblocking(False)
    written, idle = 0, 0
    chunk = bytes(1 << 20)
    while idle < 20 and written < 1 << 28:
        try:
            written += peer.target.send(chunk)
            idle = 0
        except BlockingIOError:
            idle += 1
            threading.Event().wait(0.01)
    assert written < 1 << 26
    peer.target.close()
    assert len(receive_all(peer.client)) == written


def test_a_waiting_side_that_has_ended_does_not_wake_the_loop_for_ever(peer: Peer) -> None:
    """The client has gone completely and the target is silent: the server must sleep."""
    peer.client.shutdown(socket.SHUT_RDWR)
    assert receive_all(peer.target) == b""
    before = sum(os.times()[:2])
    threading.Event().wait(0.3)
    assert sum(os.times()[:2]) - before < 0.15


@pytest.mark.parametrize("ended", ["client", "target"])
def test_an_end_that_comes_with_room_for_more_stops_nothing(
    ended: str, peer: Peer, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one turn of the loop, a slow reader ends its own direction and makes room for more data."""
    # Otherwise the regular look for small relays would restart a flow that has stopped.
    monkeypatch.setattr(bulk_thread, "STAY_SECONDS", 60.0)
    reader, writer = (peer.client, peer.target) if ended == "client" else (peer.target, peer.client)
    sent = taken(lambda: writer.send(bytes(1 << 20)), writer)
    with held(running):
        reader.shutdown(socket.SHUT_WR)
        read = taken(lambda: len(reader.recv(1 << 20)), reader)
    writer.shutdown(socket.SHUT_WR)
    assert read + len(receive_all(reader)) == sent


def taken(piece: Callable[[], int], stream: socket.socket) -> int:
    """Returns how many bytes are taken, piece by piece, until no more are."""
    count = 0
    stream.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            count += piece()
    stream.settimeout(10)
    return count


@contextlib.contextmanager
def held(running: Running) -> Iterator[None]:
    """Stops both loops of the server during the block."""
    both, go = threading.Barrier(3), threading.Event()
    for loop in (running.server._loop, running.bulk):
        loop.call(lambda: (both.wait(10), go.wait(10)))
    both.wait(10)
    yield
    go.set()


def test_late_data_behind_a_half_close_in_bulk_is_kept(peer: Peer, running: Running) -> None:
    """The client half-closes long before the target answers, and the answer is long and is read slowly."""
    question, answer = os.urandom(4 << 20), os.urandom(8 << 20)
    asker = threading.Thread(target=send, args=(peer.client, question))
    asker.start()
    assert receive_all(peer.target) == question
    asker.join()
    answerer = threading.Thread(target=send, args=(peer.target, answer))
    answerer.start()
    received = bytearray()
    while piece := peer.client.recv(100_000):
        received += piece
        if len(received) % 7 == 0:
            threading.Event().wait(0.001)
    answerer.join()
    assert received == answer
    report = running.report()
    assert (report.outcome, report.up, report.down) == ("done", len(question), len(answer))


def test_without_pipes_bytes_are_copied(running: Running, peer: Peer) -> None:
    pipes = running.bulk.pipes
    pipes.take = lambda: None  # type: ignore[method-assign]
    assert arrives(peer.client, peer.target)


def test_an_idle_relay_holds_no_pipe(running: Running, peer: Peer) -> None:
    data = os.urandom(3 << 20)
    sender = threading.Thread(target=peer.client.sendall, args=(data,))
    sender.start()
    assert receive(peer.target, len(data)) == data
    sender.join()
    peer.client.sendall(b"x")
    assert receive(peer.target, 1) == b"x"
    # The pipe is given back a moment after its last byte has arrived.
    gone(lambda: running.bulk.pipes._lent)


@pytest.mark.parametrize("reset", [True, False])
def test_a_relay_that_ends_with_a_full_pipe_leaves_no_descriptor(reset: bool, running: Running, peer: Peer) -> None:
    bulk = running.bulk
    before = len(os.listdir("/proc/self/fd"))
    peer.client.setblocking(False)
    stalled = 0
    while stalled < 20:
        try:
            peer.client.send(bytes(1 << 20))
            stalled = 0
        except BlockingIOError:
            stalled += 1
            threading.Event().wait(0.01)
    if reset:
        peer.target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    peer.target.close()
    assert running.report().outcome == "reset"
    peer.client.close()
    idle = 2 * len(bulk.pipes._idle)
    assert wait_for(lambda: len(os.listdir("/proc/self/fd")) - idle <= before - 2)


def wait_for(condition: Callable[[], bool]) -> bool:
    """Waits, because the server closes descriptors a moment after the report."""
    for _ in range(200):
        if condition():
            return True
        threading.Event().wait(0.01)
    return False


def test_the_idle_are_ended(running: Running) -> None:
    running.limit(idle_seconds=0.1)
    running.server._loop.call(running.server._server._sweep)
    peer = Peer(running)
    with peer.target:
        for _ in range(3):
            peer.client.sendall(b"x")
            assert receive(peer.target, 1) == b"x"
            threading.Event().wait(0.05)
        assert receive_all(peer.target) == b""
    assert running.report().outcome == "timeout"


def test_eight_streams_both_ways_arrive_whole(running: Running, echo_server: Target) -> None:
    streams = [running.connect() for _ in range(8)]
    outcomes: list[bool] = []

    def exchange(stream: socket.socket, seed: int) -> None:
        data = random.Random(seed).randbytes(24 << 20)
        assert client.ask(stream, 5, *echo_server.address) == 0
        writer = threading.Thread(target=send, args=(stream, data))
        writer.start()
        digest = hashlib.sha256()
        while piece := stream.recv(1 << 16):
            digest.update(piece)
        writer.join()
        outcomes.append(digest.digest() == hashlib.sha256(data).digest())

    threads = [threading.Thread(target=exchange, args=(stream, seed)) for seed, stream in enumerate(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == [True] * 8
