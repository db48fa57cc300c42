"""What is said of a datagram that does not leave: what it was, which rule or proxy it was for, what would allow it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from socksify import config
from socksify.routing import log
from socksify.routing.route import Blocked, Via
from socksify.routing.router import Router
from socksify.tunnel import datagrams
from socksify.tunnel.errors import ProxyPermissionError


def refused(kind: int, proto: int, address: Any, **settings: Any) -> ProxyPermissionError:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    proxy = "socks5h://alice:secret@192.0.2.1:1080"
    route = Router(config.load({"proxy": [proxy], **settings}, {}, "/nonexistent")).decide(family, address)
    assert isinstance(route, (Via, Blocked))
    with (
        socket.socket(family, kind, proto, fileno=socket.socket().detach()) as sock,
        pytest.raises(ProxyPermissionError) as caught,
    ):
        datagrams.refuse(sock, route, address)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "proto", "what"),
    [
        (socket.SOCK_DGRAM, 0, "UDP"),
        (socket.SOCK_DGRAM, 17, "UDP"),
        (socket.SOCK_DGRAM, 136, "UDP-Lite"),
        (socket.SOCK_DGRAM, 1, "ICMP"),
        (socket.SOCK_RAW, 1, "ICMP"),
        (socket.SOCK_RAW, 58, "ICMPv6"),
        (socket.SOCK_RAW, 255, "IP protocol 255"),
        (socket.SOCK_STREAM, 132, "SCTP"),
        (6, 33, "DCCP"),
    ],
)
def test_it_is_called_by_its_name(kind: int, proto: int, what: str) -> None:
    assert str(refused(kind, proto, ("203.0.113.5", 7))).startswith(f"[Errno 13] {what} to 203.0.113.5:7 refused: ")


def test_the_proxy_is_named_without_its_password() -> None:
    story = str(refused(socket.SOCK_DGRAM, 0, ("name.example", 7)))
    assert "rule '*=proxy' (built in) leaves it to proxy socks5h://alice:***@192.0.2.1:1080" in story
    assert story.endswith('udp="direct" (--udp direct) or a direct rule allows it')
    assert "secret" not in story


def test_the_rule_that_blocks_is_named() -> None:
    error = refused(socket.SOCK_DGRAM, 0, ("2001:db8::5", 7), routes=["2001:db8::/32=block"])
    assert "[2001:db8::5]:7 refused: blocked by rule '2001:db8::/32=block'" in str(error)
    assert error.target == "[2001:db8::5]:7"


def test_both_are_logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(log, "name", "client")
    log.open_log(str(tmp_path / "log"))
    try:
        refused(socket.SOCK_DGRAM, 0, ("name.example", 7))
        with pytest.raises(ProxyPermissionError, match="frame to eth0 refused"):
            datagrams.refuse_frame("eth0")
    finally:
        log.close_log()
    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.startswith("socksify: client: UDP name.example:7 denied: rule '*=proxy'")
    assert second.startswith("socksify: client: frame eth0 denied: what is written to an interface goes past")
