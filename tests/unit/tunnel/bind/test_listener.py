"""What is asked for a listening socket, and what pollers are told of it; the whole is tested through the patches."""

from __future__ import annotations

import socket
from select import EPOLLET, POLLIN, POLLOUT, POLLPRI

import pytest

from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.protocol import client
from socksify.protocol.address import IPV4, IPV6, NAME, Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.socks5 import BIND
from socksify.routing.route import Via
from socksify.tunnel.bind import listener
from socksify.tunnel.registry import registry
from socksify.tunnel.state import BindListener, Tunnel

PROXY = Proxy("socks5", "192.0.2.1", 1080)


def caller(host: str) -> Tunnel:
    return Tunnel(Via((PROXY,), Address.of(host, 21), (), Rule("*=proxy", "", "proxy")))


def made(*hosts: str, family: int = socket.AF_INET, wanted: int = 0) -> BindListener:
    return listener.listener_for([caller(host) for host in hosts], family, wanted, 1.0, False)


@pytest.mark.parametrize(
    ("hosts", "family", "target"),
    [
        (("203.0.113.5",), socket.AF_INET, Address(IPV4, "203.0.113.5", 7)),
        (("ftp.example",), socket.AF_INET, Address(NAME, "ftp.example", 7)),
        (("2001:db8::5",), socket.AF_INET6, Address(IPV6, "2001:db8::5", 7)),
        (("ftp.example", "ftp.example"), socket.AF_INET, Address(NAME, "ftp.example", 7)),
        (("203.0.113.5", "203.0.113.6"), socket.AF_INET, Address(IPV4, "0.0.0.0", 7)),
        (("203.0.113.5", "ftp.example"), socket.AF_INET6, Address(IPV6, "::", 7)),
    ],
)
def test_who_is_to_come(hosts: tuple[str, ...], family: int, target: Address) -> None:
    asked = made(*hosts, family=family, wanted=7)
    assert (asked.route.target, asked.route.command, asked.route.chain) == (target, BIND, (PROXY,))


@pytest.mark.parametrize("mask", [POLLIN, POLLIN | POLLPRI | POLLOUT, POLLOUT, POLLIN | EPOLLET])
def test_what_stands_in_for_a_mask(mask: int) -> None:
    asked = made("203.0.113.5")
    assert asked.is_idle and asked.awaited(mask) == POLLOUT
    asked.await_peer(Conversation(client.socks5_peer()))
    assert not asked.is_idle and asked.awaited(mask) == mask & ~POLLOUT


def test_a_socket_that_was_only_bound_is_no_business_of_pollers() -> None:
    with socket.socket() as sock:
        tunnel = listener.register(sock, made("203.0.113.5"))
        fd = sock.fileno()
        assert registry.find(sock) is tunnel and fd not in registry.unsettled
        assert not tunnel.is_open and not tunnel.listens and tunnel.awaited(POLLIN) == POLLIN
        assert listener.everyone() == [tunnel]
        registry.drop(fd, tunnel)
        assert listener.everyone() == []
