"""A refused client gets its answer, whatever it still sends, and the session ends however long the client stays."""

from __future__ import annotations

import pytest

from socksify.server.session import lingering_close
from tests.support.streams import receive, receive_all
from tests.unit.server import client
from tests.unit.server.running import Running


def test_a_refused_client_that_stays_is_let_go(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering_close, "SECONDS", 0.1)
    stream = running.connect()
    assert client.ask(stream, 5, "127.0.0.1", 9, 77) == 7
    assert running.report().outcome == "unsupported"


def test_payload_behind_a_refused_request_does_not_eat_the_reply(running: Running) -> None:
    stream = running.connect()
    stream.sendall(client.GREETING + client.request5("127.0.0.1", 9, 77) + b"x" * 100_000)
    assert receive(stream, 2) == b"\x05\x00"
    assert client.reply5(stream)[0] == 7
    for _ in range(20):
        # If the server had closed, it would answer this with a reset.
        stream.sendall(b"x" * 100_000)
    assert receive_all(stream) == b""
