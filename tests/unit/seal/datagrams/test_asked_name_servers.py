"""Questions are led to our responders, and their answers are attributed to the name server that was asked."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from socksify import _originals
from socksify.seal.datagrams import asked_name_servers
from socksify.seal.datagrams.asked_name_servers import AskedNameServers
from socksify.seal.kernel import raw_sockaddr
from tests.support.network.namespaces import needs_root

INET, INET6 = socket.AF_INET, socket.AF_INET6
TO = ("9.9.9.9", 53)


@pytest.fixture
def servers() -> Iterator[AskedNameServers]:
    servers = AskedNameServers()
    yield servers
    for responder in servers.responders:
        responder.close()


@pytest.fixture(params=[INET, INET6])
def asker(request: pytest.FixtureRequest) -> Iterator[_originals.Socket]:
    sock = _originals.Socket(request.param, socket.SOCK_DGRAM)
    sock.settimeout(10)
    yield sock
    sock.close()


def inode(sock: _originals.Socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def server_for(sock: _originals.Socket) -> tuple[bytes, tuple[str, int]]:
    """The raw address of a name server, and its destination."""
    if sock.family == INET:
        return raw_sockaddr.pack(INET, TO), TO
    return raw_sockaddr.pack(INET6, ("fe80::53", 53, 0, 3)), ("fe80::53", 53)


def answer(servers: AskedNameServers) -> bytes:
    """Answer the first question that has arrived."""
    for responder in servers.responders:
        try:
            question, client = responder.recvfrom(512)
        except BlockingIOError:
            continue
        responder.sendto(b"answer", client)
        return question
    raise AssertionError("no question has arrived")


def test_a_question_arrives_and_its_answer_is_the_name_servers(
    servers: AskedNameServers, asker: _originals.Socket
) -> None:
    raw, to = server_for(asker)
    assert not servers
    assert servers.ask(asker, raw, to, b"question", 0) == 8
    assert servers and inode(asker) in servers
    assert answer(servers) == b"question"
    data, sender = asker.recvfrom(512)
    assert (data, servers.sender(asker, inode(asker), sender)) == (b"answer", raw)


def test_a_socket_is_connected_to_a_responder(servers: AskedNameServers, asker: _originals.Socket) -> None:
    raw, to = server_for(asker)
    assert servers.connect(asker, inode(asker), raw, to) == raw
    asker.send(b"question")
    assert answer(servers) == b"question"
    assert servers.sender(asker, inode(asker), asker.recvfrom(512)[1]) == raw


def test_another_sender_is_reported_as_it_is(servers: AskedNameServers, asker: _originals.Socket) -> None:
    raw, to = server_for(asker)
    servers.ask(asker, raw, to, b"question", 0)
    other = ("127.0.0.1", 9) if asker.family == INET else ("::1", 9, 0, 0)
    assert servers.sender(asker, inode(asker), other) == raw_sockaddr.pack(asker.family, other)


def test_a_socket_of_ipv6_that_asks_a_server_of_ipv4_sees_it_mapped(servers: AskedNameServers) -> None:
    asker = _originals.Socket(INET6, socket.SOCK_DGRAM)
    try:
        raw = raw_sockaddr.pack(INET, TO)
        assert servers.connect(asker, inode(asker), raw, TO) == raw_sockaddr.pack(INET6, ("::ffff:9.9.9.9", 53, 0, 0))
    finally:
        asker.close()


def test_a_socket_that_is_connected_elsewhere_is_forgotten(servers: AskedNameServers, asker: _originals.Socket) -> None:
    servers.ask(asker, *server_for(asker), b"question", 0)
    servers.forget(inode(asker))
    assert inode(asker) not in servers


def test_a_question_of_another_socket_is_not_served(servers: AskedNameServers, asker: _originals.Socket) -> None:
    host = "127.0.0.1" if asker.family == INET else "::1"
    asker.bind((host, 0))
    client = asker.getsockname()
    assert not servers.serves(client)
    servers.ask(asker, *server_for(asker), b"question", 0)
    assert servers.serves(client)
    asker.close()
    # The port may be another user's from now on.
    with socket.socket(asker.family, socket.SOCK_DGRAM) as other:
        other.bind(client)
        assert not servers.serves(client)


def test_the_sockets_that_asked_least_recently_are_forgotten(
    servers: AskedNameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked_name_servers, "_MOST_ASKERS", 2)
    askers = [_originals.Socket(INET, socket.SOCK_DGRAM) for _ in range(3)]
    try:
        for index in (0, 1, 0, 2):
            servers.ask(askers[index], raw_sockaddr.pack(INET, TO), TO, b"", 0)
        assert [inode(asker) in servers for asker in askers] == [True, False, True]
    finally:
        for asker in askers:
            asker.close()


def test_a_question_does_not_leave_by_the_device_of_a_socket(servers: AskedNameServers) -> None:
    needs_root()
    device = next((name for _, name in socket.if_nameindex() if name != "lo"), None)
    if device is None:
        pytest.skip("this machine has the loopback interface alone")
    asker = _originals.Socket(INET, socket.SOCK_DGRAM)
    try:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        with pytest.raises(OSError) as raised:
            servers.ask(asker, raw_sockaddr.pack(INET, TO), TO, b"question", 0)
        assert raised.value.errno == errno.ENETUNREACH
    finally:
        asker.close()
