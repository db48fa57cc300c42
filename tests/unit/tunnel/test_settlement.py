"""What follows from the outcome of a handshake, where a thread or a handler comes in between."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from socksify.tunnel import settlement
from socksify.tunnel.deadlines import Deadlines
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


def test_a_fork_while_a_tunnel_is_registered_leaves_nothing_pending_in_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal handler may fork between any two steps; the child settles the tunnel before the code beneath goes on."""
    add = Deadlines.add

    def forked(deadlines: Deadlines, tunnel: Tunnel) -> None:
        settlement.after_fork()
        add(deadlines, tunnel)

    monkeypatch.setattr(Deadlines, "add", forked)
    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url()), socket.socket() as sock:
        with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
            sock.connect(("203.0.113.5", 80))
        assert registry.deadlines.everyone() == []
        assert not registry.unsettled
