"""Bulk is relayed in its own thread, and small pieces do not wait for it."""

from __future__ import annotations

import _thread
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from socksify.server.session import bulk_thread as under_test
from socksify.server.session.relay import BLOCKED, Relay
from tests.support.routing import gone
from tests.support.streams import receive, receive_all
from tests.unit.server.relayed import Peer, arrives
from tests.unit.server.running import Running

# More than the buffers of a socket hold.
MUCH = 64 << 20


def relays(running: Running) -> list[Relay]:
    sessions = running.server._server._sessions.values()
    return [session._stage for session in sessions if isinstance(session._stage, Relay)]


def is_away(running: Running) -> bool:
    return any(relay.loop is running.bulk for relay in relays(running))


@contextmanager
def moving(running: Running) -> Iterator[Peer]:
    """A relay that carries bulk, with at least three quarters of MUCH still to come."""
    peer = Peer(running)
    sender = threading.Thread(target=swallowing, args=(peer.client,))
    sender.start()
    try:
        become_bulk(running, peer)
        yield peer
    finally:
        peer.target.close()
        with suppress(OSError):
            peer.client.shutdown(socket.SHUT_RDWR)
        sender.join()


def become_bulk(running: Running, peer: Peer) -> None:
    """Reads until the pieces have become large. They do if the reader is slower than the writer."""
    peer.target.settimeout(0.1)
    for _ in range(MUCH // 4 >> 16):
        if is_away(running):
            peer.target.settimeout(10)
            return
        with suppress(TimeoutError):
            peer.target.recv(1 << 16)
    raise AssertionError("no bulk")


def swallowing(stream: socket.socket) -> None:
    with suppress(OSError):
        stream.sendall(bytes(MUCH))


def test_small_talk_goes_on_while_bulk_is_at_work(running: Running) -> None:
    with moving(running), running.bulk.lock:
        small = Peer(running)
        with small.target:
            small.client.sendall(b"question")
            assert receive(small.target, 8) == b"question"
            small.target.sendall(b"answer")
            assert receive(small.client, 6) == b"answer"


def test_a_relay_of_small_pieces_returns_to_the_main_loop(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "STAY_SECONDS", 0.05)
    with moving(running) as peer:
        drain(peer.target)
        gone(lambda: is_away(running))
        peer.target.sendall(b"answer")
        assert receive(peer.client, 6) == b"answer"
        # It moves to the bulk thread again when it carries bulk again.
        assert arrives(peer.target, peer.client)


def test_a_session_is_ended_in_the_midst_of_bulk(running: Running) -> None:
    with moving(running) as peer:
        running.limit(idle_seconds=0.001)
        # Nobody reads.
        gone(lambda: not stalled(running))
        running.server._loop.call(running.server._server._sweep)
        assert running.report().outcome == "timeout"
        gone(lambda: running.bulk._relays)
        gone(lambda: running.bulk.pipes._lent)
        peer.target.settimeout(10)
        assert len(receive_all(peer.target)) < MUCH


def drain(stream: socket.socket) -> None:
    """Reads until nothing more comes."""
    stream.settimeout(0.5)
    with suppress(TimeoutError):
        while stream.recv(1 << 20):
            pass
    stream.settimeout(10)


def stalled(running: Running) -> bool:
    [relay] = relays(running)
    return relay.to_target.state == BLOCKED


def test_the_server_ends_in_the_midst_of_bulk(running: Running) -> None:
    with moving(running):
        before = threading.active_count()
        running.server.close()
        assert running.report().outcome == "ended"
        assert running.bulk._closed
        assert threading.active_count() <= before


def test_a_session_that_ends_before_it_has_moved(running: Running) -> None:
    """Its relay was on the way to the bulk thread, which was busy."""
    peer = Peer(running)
    with running.bulk.lock:
        sender = threading.Thread(target=swallowing, args=(peer.client,))
        sender.start()
        become_bulk(running, peer)
        ending = threading.Thread(target=running.server.close)
        ending.start()
    ending.join(10)
    assert not ending.is_alive()
    assert running.report().outcome == "ended"
    sender.join()
    peer.target.close()
    assert not running.bulk._relays


def test_without_a_descriptor_for_it_bulk_is_moved_at_home(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.server._server.services, "bulk_loop", lambda: None)
    peer = Peer(running)
    with peer.target:
        assert arrives(peer.client, peer.target)


def test_without_a_thread_for_it_no_descriptor_is_kept(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", none)
    before = len(os.listdir("/proc/self/fd"))
    assert running.server._server.services.bulk_loop() is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_forked_child_keeps_nothing_of_it(running: Running) -> None:
    with moving(running) as peer:
        epoll = running.bulk._epoll.fileno()
        pid = os.fork()
        if not pid:
            try:
                os.fstat(epoll)
            except OSError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        # The relay of the parent goes on.
        assert receive(peer.target, 1 << 20) == bytes(1 << 20)
