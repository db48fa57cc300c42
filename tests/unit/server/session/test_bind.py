"""BIND: two replies, and one peer, which must be the right one and come in time."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest

from socksify.protocol.socks5 import BIND
from socksify.server.policy.policy import Demand, Denied, Permitted, Policy
from tests.support.streams import receive, receive_all
from tests.unit.server import client
from tests.unit.server.running import Running, run


def assert_closed(address: tuple[str, int]) -> None:
    """Asserts that nobody listens on this address any more."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)


@pytest.mark.parametrize(("version", "host"), client.VERSIONS)
def test_the_peer_is_told_and_relayed(version: int, host: str, running: Running) -> None:
    stream = running.connect()
    code, address = client.bind(stream, version, host)
    assert code == 0
    with socket.create_connection(address, timeout=10) as peer:
        assert client.reply(stream, version) == (0, peer.getsockname()[:2])
        peer.sendall(b"200 data\r\n")
        assert receive(stream, 10) == b"200 data\r\n"
        stream.sendall(b"thanks")
        assert receive(peer, 6) == b"thanks"
    stream.close()
    report = running.report()
    assert (report.command, report.outcome, report.up, report.down) == ("bind", "done", 6, 10)


def test_early_data_of_the_client_is_for_the_peer(running: Running) -> None:
    stream = running.connect()
    stream.sendall(client.GREETING + client.request5("127.0.0.1", 0, client.BIND) + b"early")
    assert receive(stream, 2) == b"\x05\x00"
    _, address = client.reply(stream, 5)
    stream.sendall(b" bird")
    with socket.create_connection(address, timeout=10) as peer:
        assert receive(peer, 10) == b"early bird"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_any_peer_may_connect_if_the_client_awaits_anybody(host: str, running: Running) -> None:
    stream = running.connect()
    code, address = client.bind(stream, 5, host)
    assert code == 0
    with socket.create_connection(address, timeout=10) as peer:
        assert client.reply(stream, 5) == (0, peer.getsockname()[:2])


def test_a_client_that_awaits_anybody_gets_the_port_it_wants_if_that_is_free(running: Running) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert client.bind(running.connect(), 5, "0.0.0.0", port)[1][1] not in (0, port)
    assert client.bind(running.connect(), 5, "0.0.0.0", port) == (0, ("127.0.0.1", port))


@pytest.mark.parametrize(("version", "code"), [(4, 91), (5, 2)])
def test_another_peer_is_refused_and_told(version: int, code: int, running: Running) -> None:
    stream = running.connect()
    _, address = client.bind(stream, version, "127.0.0.1")
    with socket.create_connection(address, timeout=10, source_address=("127.0.0.9", 0)) as peer:
        assert client.reply(stream, version) == (code, ("127.0.0.9", peer.getsockname()[1]))
        assert receive_all(peer) == b""
    assert receive_all(stream) == b""
    stream.close()
    report = running.report()
    assert (report.outcome, report.detail) == ("denied", "127.0.0.9 connected instead")


def test_there_is_one_peer_only(running: Running) -> None:
    stream = running.connect()
    _, address = client.bind(stream, 5, "127.0.0.1")
    with socket.create_connection(address, timeout=10):
        assert client.reply(stream, 5)[0] == 0
        assert_closed(address)


@pytest.mark.parametrize(("version", "code"), [(4, 91), (5, 6)])
def test_it_does_not_wait_for_ever(version: int, code: int, running: Running) -> None:
    running.limit(bind_seconds=0.05)
    stream = running.connect()
    _, address = client.bind(stream, version, "127.0.0.1")
    assert client.reply(stream, version)[0] == code
    assert_closed(address)
    stream.close()
    assert running.report().outcome == "timeout"


def test_a_client_that_leaves_takes_the_port_with_it(running: Running) -> None:
    stream = running.connect()
    _, address = client.bind(stream, 5, "127.0.0.1")
    stream.close()
    assert running.report().outcome == "left"
    assert_closed(address)


def test_an_unknown_name(running: Running) -> None:
    stream = running.connect()
    assert client.bind(stream, 5, "no-such-host.invalid")[0] == 4


class Picky(Policy):
    """Permits no BIND for 127.0.0.3, and no BIND that 127.0.0.4 connects to."""

    def decide(self, demand: Demand) -> Permitted | Denied:
        if demand.command != BIND or demand.address in ("127.0.0.3", "127.0.0.4"):
            return Denied("rule 7")
        return Permitted("rule 8", reserved=True)


def test_the_rules_are_asked_before_and_after() -> None:
    for running in run(Picky()):
        with running.connect() as stream:
            assert client.bind(stream, 5, "127.0.0.3")[0] == 2
        stream = running.connect()
        _, address = client.bind(stream, 5, "0.0.0.0")
        with socket.create_connection(address, timeout=10, source_address=("127.0.0.4", 0)):
            assert client.reply(stream, 5)[0] == 2
        stream.close()
        reports = [running.report(), running.report()]
        assert {(report.outcome, report.detail) for report in reports} == {("denied", "rule 7")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has ports below 1024")
def test_a_reserved_port_is_answered_by_one_where_the_rules_allow() -> None:
    for running in run(Picky()):
        address = (running.server.host, running.server.port)
        with socket.socket() as stream:
            stream.settimeout(10)
            client.bind_reserved(stream)
            stream.connect(address)
            assert 512 <= client.bind(stream, 5, "127.0.0.1")[1][1] < 1024
        assert client.bind(running.connect(), 5, "127.0.0.1")[1][1] >= 1024
