"""What follows from the outcome of a handshake, where two threads find it at the same time."""

from __future__ import annotations

import errno
import socket

import pytest

from socksify.tunnel import settlement
from socksify.tunnel.registry import registry
from socksify.tunnel.state import Tunnel
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.steps import HANG, READ_GREETING


def test_a_failure_is_reported_once_where_two_threads_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shutdown lets other threads run: one settles the tunnel, and its client asks for the failure at once."""
    told: list[int] = []
    silence = settlement.silence

    def interrupted(tunnel: Tunnel) -> None:
        silence(tunnel)
        monkeypatch.setattr(settlement, "silence", silence)
        settlement.settle(tunnel)
        told.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url()), socket.socket() as sock:
        sock.setblocking(False)
        assert sock.connect_ex(("203.0.113.5", 80)) == errno.EINPROGRESS
        tunnel = registry.find(sock)
        assert tunnel is not None
        monkeypatch.setattr(settlement, "silence", interrupted)
        settlement.fail(tunnel, OSError(errno.ECANCELED, "over"))
        told.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    assert told == [errno.ECANCELED, 0]
