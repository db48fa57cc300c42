"""Chains: each hop is asked for the next, each in its own protocol; and the proxy's several addresses are tried."""

from __future__ import annotations

import contextlib
import socket
from itertools import product

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import good
from tests.support.targets import Target

SCHEMES = ["socks4", "socks4a", "socks5", "socks5h", "http"]
CHAINS: list[tuple[str, ...]] = [
    *((scheme,) for scheme in SCHEMES),
    *product(SCHEMES, repeat=2),
    ("socks4", "socks5h", "http"),
    ("http", "socks4a", "socks5"),
    ("socks5", "http", "socks4"),
    ("http", "http", "http"),
]


# A timeout changes how a connect waits, not what the hops are asked: the longest chains will do.
@pytest.mark.parametrize(("timeout", "chains"), [(None, CHAINS), (10.0, CHAINS[-4:])], ids=["blocking", "timeout"])
def test_every_mixture_of_hops_gets_there(
    timeout: float | None, chains: list[tuple[str, ...]], echo_server: Target
) -> None:
    with contextlib.ExitStack() as stack:
        # Three of each protocol: a chain may have the same one thrice.
        proxies = {(s, i): stack.enter_context(BadProxy(good(s))) for s in SCHEMES for i in range(3)}
        for chain in chains:
            hops = [proxies[scheme, place] for place, scheme in enumerate(chain)]
            urls = [hop.url(scheme) for hop, scheme in zip(hops, chain, strict=True)]
            with routed(*urls), socket.socket() as sock:
                sock.settimeout(timeout)
                sock.connect(echo_server.address)
                assert sock.getpeername() == echo_server.address
                sock.sendall(b"ping")
                assert sock.recv(4, socket.MSG_WAITALL) == b"ping", chain
            for hop, following in zip(hops, [*hops[1:], None], strict=True):
                aim = (following.host, following.port) if following else echo_server.address
                assert hop.sessions[-1].target == aim, chain


def test_real_servers_make_a_chain(danted: Server, microsocks: Server, ssh_d: Server, echo_server: Target) -> None:
    with (
        routed(danted.url("socks4"), microsocks.url(), ssh_d.url("socks4a")),
        socket.create_connection(echo_server.address, timeout=10) as sock,
    ):
        sock.sendall(b"ping")
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"


def test_a_name_is_left_to_the_last_hop(echo_server: Target) -> None:
    with (
        BadProxy(good("socks5h")) as last,
        BadProxy(good("socks5h")) as first,
        routed(f"socks5h://127.0.0.1:{first.port}", f"socks5h://localhost:{last.port}"),
        socket.socket() as sock,
    ):
        sock.connect(("localhost", echo_server.port))
        assert first.sessions[0].target == ("localhost", last.port)
        assert last.sessions[0].target == ("localhost", echo_server.port)


@pytest.mark.parametrize("kind", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("timeout", [None, 10.0], ids=["blocking", "timeout"])
def test_a_proxy_with_two_addresses_is_tried_at_both(kind: int, timeout: float | None, echo_server: Target) -> None:
    """localhost is ::1 and 127.0.0.1, and the proxy listens on the second alone."""
    host = "127.0.0.1" if kind == socket.AF_INET else "::1"
    with (
        BadProxy(good("socks5h")) as proxy,
        routed(f"socks5h://localhost:{proxy.port}"),
        socket.socket(kind) as sock,
    ):
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((host, echo_server.port))
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        sock.sendall(b"ping")
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_credentials_are_given_to_their_own_hop(scheme: str, echo_server: Target) -> None:
    second_script = good("socks5h", password=True)
    with (
        BadProxy(second_script) as second,
        BadProxy(good(scheme)) as first,
        routed(first.url(scheme), f"socks5h://alice:sesame@127.0.0.1:{second.port}"),
        socket.socket() as sock,
    ):
        sock.connect(echo_server.address)
        assert b"\x05alice\x06sesame" in second.sessions[0].received
        # The first hop relays it, but is not asked with it.
        assert b"sesame" not in bytes(first.sessions[0].received)
