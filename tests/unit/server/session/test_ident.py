"""The question to a client's identd: it comes from the right address, and any kind of answer is handled."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify.server.core.loop import Loop
from socksify.server.policy.policy import Denied, Permitted
from socksify.server.session import ident
from socksify.server.session.ident import Ident, apply_ident, parse
from tests.support.streams import receive_all
from tests.unit.server.policies import demand

CLIENT, OWN = ("127.0.0.1", 6193), ("127.0.0.5", 23)
PORTS = (6193, 23)


@pytest.mark.parametrize(
    ("answer", "user"),
    [
        (b"6193, 23 : USERID : UNIX : stjohns\r\n", b"stjohns"),
        (b"6193,23:USERID:UNIX:stjohns\n", b"stjohns"),
        (b" 6193 , 23 :USERID:OTHER,US-ASCII: a:b \r\nmore", b"a:b"),
        (b"6193, 23 : USERID : UNIX : \xff\r\n", b"\xff"),
        (b"6193, 23 : ERROR : NO-USER\r\n", None),
        (b"6193, 23 : ERROR : HIDDEN-USER : x\r\n", None),
        (b"6194, 23 : USERID : UNIX : stjohns\r\n", None),
        (b"6193, 24 : USERID : UNIX : stjohns\r\n", None),
        (b"6193 : USERID : UNIX : stjohns\r\n", None),
        (b"6193, 23 : userid : UNIX : stjohns\r\n", None),
        (b"6193, 23 : USERID : UNIX : \r\n", None),
        (b"6193, 23 : USERID : UNIX\r\n", None),
        # The line is cut: the name might have been longer.
        (b"6193, 23 : USERID : UNIX : stj", None),
        (b"\r\n", None),
        (b"", None),
    ],
)
def test_answers(answer: bytes, user: bytes | None) -> None:
    assert parse(answer, PORTS) == user


@given(st.binary())
def test_any_answer_is_one(answer: bytes) -> None:
    assert parse(answer, PORTS) != b""


GRANTED = {mode: Permitted("test", ident=mode) for mode in ("", "i", "I")}


@pytest.mark.parametrize(
    ("mode", "userid", "named", "permitted"),
    [
        ("", b"alice", b"bob", True),
        ("i", b"alice", b"alice", True),
        ("i", b"alice", b"bob", False),
        ("i", b"alice", None, True),
        ("I", b"alice", b"alice", True),
        ("I", b"alice", b"bob", False),
        ("I", b"alice", None, False),
        ("I", b"", b"bob", True),
        ("I", b"", None, False),
        ("i", b"root", b"bob", False),
    ],
)
def test_the_answer_decides(mode: str, userid: bytes, named: bytes | None, permitted: bool) -> None:
    verdict = apply_ident(GRANTED[mode], demand("192.0.2.1", userid=userid), 40000, named)
    assert verdict == GRANTED[mode] if permitted else isinstance(verdict, Denied)
    # If a user was verified, identd must name that user, whatever SOCKS4's user id is.
    if userid:
        verdict = apply_ident(GRANTED[mode], demand("192.0.2.1", user=userid, userid=b"zoe"), 40000, named)
        assert isinstance(verdict, Permitted) is permitted


def test_root_behind_a_reserved_port_is_believed() -> None:
    asked = demand("192.0.2.1", userid=b"root")
    for port, permitted in ((1023, True), (512, True), (511, False), (1024, False)):
        assert isinstance(apply_ident(GRANTED["I"], asked, port, b"bob"), Permitted) is permitted
    assert isinstance(apply_ident(GRANTED["I"], asked, 1023, None), Denied)


@pytest.mark.parametrize("verdict", [None, Denied("why")])
def test_a_denial_stays_a_denial(verdict: Denied | None) -> None:
    assert apply_ident(verdict, demand("192.0.2.1"), 40000, b"bob") is verdict


@pytest.fixture
def identd(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        monkeypatch.setattr(ident, "PORT", listener.getsockname()[1])
        yield listener


def told(client: tuple[str, int] = CLIENT, own: tuple[str, int] = OWN) -> list[bytes | None]:
    """Returns what Ident answers."""
    loop = Loop()
    answers: list[bytes | None] = []

    def stop(user: bytes | None) -> None:
        answers.append(user)
        loop.after(0, loop.stop)

    try:
        Ident(loop, client, own, stop).start()
        loop.run()
    finally:
        loop.close()
    return answers


class Identd(threading.Thread):
    """Takes one connection and answers the question in pieces. Then it waits for the end, or closes."""

    def __init__(self, listener: socket.socket, *pieces: bytes, leaves: bool = False) -> None:
        super().__init__()
        self._listener = listener
        self._pieces = pieces
        self._leaves = leaves
        self.asker = ""
        self.question = self.afterwards = b""
        self.start()

    def run(self) -> None:
        stream, (self.asker, _) = self._listener.accept()
        with stream:
            stream.settimeout(10)
            while not self.question.endswith(b"\n"):
                self.question += stream.recv(100)
            for piece in self._pieces:
                stream.sendall(piece)
            if not self._leaves:
                self.afterwards = stream.recv(1)


def test_it_asks_from_the_address_that_the_client_knows(identd: socket.socket) -> None:
    server = Identd(identd, b"6193, 23 : USERID", b" : UNIX : stjohns\r", b"\n")
    assert told() == [b"stjohns"]
    # It returns when the connection was closed.
    server.join(10)
    assert (server.asker, server.question, server.afterwards) == ("127.0.0.5", b"6193, 23\r\n", b"")


@pytest.mark.parametrize("pieces", [(), (b"6193, 23 : USERID : UNIX : stj",), (b"6193, 23 : ERROR : NO-USER\r\n",)])
def test_it_may_leave_without_an_answer(identd: socket.socket, pieces: tuple[bytes, ...]) -> None:
    server = Identd(identd, *pieces, leaves=True)
    assert told() == [None]
    server.join(10)


def test_it_may_talk_too_much(identd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ident, "SECONDS", 1000.0)
    server = Identd(identd, b"x" * ident.MAX_ANSWER)
    assert told() == [None]
    server.join(10)


def test_it_may_be_silent(identd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ident, "SECONDS", 0.1)
    server = Identd(identd)
    assert told() == [None]
    server.join(10)
    assert server.afterwards == b""


def test_there_may_be_none(identd: socket.socket) -> None:
    identd.close()
    assert told() == [None]


@pytest.mark.parametrize(
    ("client", "own"),
    [(("", 0), ("", 0)), (CLIENT, ("192.0.2.1", 23)), (("fe80::1", 6193), ("::1", 23))],
)
def test_it_may_be_out_of_reach(client: tuple[str, int], own: tuple[str, int]) -> None:
    """A client of a Unix socket has no identd, and an address that is gone cannot be bound."""
    assert told(client, own) == [None]


def test_after_close_nothing_is_answered(identd: socket.socket) -> None:
    loop = Loop()
    answers: list[bytes | None] = []
    question = Ident(loop, CLIENT, OWN, answers.append)
    question.start()
    stream, _ = identd.accept()
    with stream:
        question.close()
        loop.after(0, loop.stop)
        loop.run()
        stream.settimeout(10)
        # The question may have been sent, because the connection was accepted.
        receive_all(stream)
    loop.close()
    assert answers == []
