"""A refusal is told as soon as its code has come: some proxies say no more than that, and then wait, or hang up."""

from __future__ import annotations

import errno
import select
import socket
import time

import pytest

from tests.support import steps
from tests.support.bad_proxy import BadProxy, Script, Session
from tests.support.bind_proxy import bind_proxy
from tests.support.routing import routed
from tests.support.steps import (
    CLOSE,
    HANG,
    READ_CREDENTIALS,
    READ_GREETING,
    READ_HTTP,
    READ_REQUEST,
    READ_SOCKS4,
    RESET,
    Send,
    Trickle,
)

TARGET = ("192.0.2.1", 80)
ANYWHERE = ("*=proxy",)
SECONDS = 8.0
V5: list[steps.Step] = [READ_GREETING, Send(b"\x05\x00"), READ_REQUEST]
LOGIN: list[steps.Step] = [READ_GREETING, Send(b"\x05\x02"), READ_CREDENTIALS]
# What was heard before, what is said, the errno that it means.
REFUSALS: list[tuple[str, list[steps.Step], bytes, int]] = [
    ("socks5h", V5, b"\x05\x05", errno.ECONNREFUSED),
    ("socks5h", V5, b"\x05\x05\x00", errno.ECONNREFUSED),
    ("socks5h", V5, b"\x05\x02\x00\x01", errno.EACCES),
    ("socks5h", V5, b"\x05\x04\x00\x01\x00", errno.EHOSTUNREACH),
    ("socks5h", V5, b"\x05\x06\x00\x03\x09", errno.ETIMEDOUT),
    ("socks5h", V5, b"\x05\x03\x00\x04\x00\x00", errno.ENETUNREACH),
    ("socks5h", V5, b"\x05\x01\x00\x00\x00", errno.ECONNREFUSED),
    ("socks5h", [READ_GREETING], b"\x05\xff", errno.EACCES),
    ("socks5h://me:pw@", LOGIN, b"\x01\x01", errno.EACCES),
    ("socks4", [READ_SOCKS4], b"\x00\x5b", errno.ECONNREFUSED),
    ("socks4", [READ_SOCKS4], b"\x00\x5d\x00\x00\x00", errno.ECONNREFUSED),
    ("socks4a", [READ_SOCKS4], b"\x00\x5c", errno.ECONNREFUSED),
    ("http", [READ_HTTP], b"HTTP/1.1 403", errno.EACCES),
    ("http", [READ_HTTP], b"HTTP/1.1 403 Forbidden\r\n", errno.EACCES),
    ("http", [READ_HTTP], b"HTTP/1.0 502 Bad\r\nVia: x\r\n", errno.EHOSTUNREACH),
    ("http", [READ_HTTP], b"HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: Basic", errno.EACCES),
    ("http", [READ_HTTP], b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 504", errno.ETIMEDOUT),
]
ENDS = {"silence": HANG, "close": CLOSE, "reset": RESET}


def AT_ONCE(session: Session) -> None:
    """No byte waits for the one before to be acknowledged: a reset would take it back."""
    session.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def answered(said: bytes, end: steps.Step) -> steps.Step:
    def step(session: Session) -> None:
        for each in (AT_ONCE, Send(said), end):
            each(session)

    return step


def url(proxy: BadProxy, scheme: str) -> str:
    return f"{scheme}{proxy.host}:{proxy.port}" if "@" in scheme else proxy.url(scheme)


def outcome(sock: socket.socket) -> int:
    try:
        code = sock.connect_ex(TARGET)
    except TimeoutError:
        return errno.EAGAIN
    if code != errno.EINPROGRESS:
        return code
    select.select([], [sock], [], SECONDS)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("manner", [Send, Trickle])
@pytest.mark.parametrize("timeout", [None, SECONDS, 0])
@pytest.mark.parametrize(("scheme", "before", "said", "number"), REFUSALS, ids=range(len(REFUSALS)))
def test_the_code_is_the_verdict(
    scheme: str,
    before: Script,
    said: bytes,
    number: int,
    timeout: float | None,
    manner: type[Send | Trickle],
    end: str,
) -> None:
    script: Script = [AT_ONCE, *before, manner(said), ENDS[end]]
    with BadProxy(script) as proxy, routed(url(proxy, scheme), routes=ANYWHERE), socket.socket() as sock:
        sock.settimeout(timeout)
        began = time.monotonic()
        assert errno.errorcode[outcome(sock)] == errno.errorcode[number]
        assert time.monotonic() - began < SECONDS / 2


@pytest.mark.parametrize(
    ("scheme", "before", "said"),
    [
        ("socks5h", V5, b"\x05\x00\x00\x01\x00\x00\x00\x00\x00"),
        ("socks5h", V5, b"\x05\x00"),
        ("socks5h", [READ_GREETING], b"\x05"),
        ("socks4", [READ_SOCKS4], b"\x00\x5a\x00\x00"),
        ("http", [READ_HTTP], b"HTTP/1.1 200 OK\r\n"),
        ("http", [READ_HTTP], b"HTTP/1.1 20"),
        ("http", [READ_HTTP], b"HTTP/1.1 100 Continue\r\n"),
    ],
)
@pytest.mark.parametrize("end", [HANG, CLOSE])
def test_a_grant_has_to_be_complete(scheme: str, before: Script, said: bytes, end: steps.Step) -> None:
    script: Script = [*before, Send(said), end]
    with BadProxy(script) as proxy, routed(url(proxy, scheme), routes=ANYWHERE), socket.socket() as sock:
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError if end is HANG else ConnectionResetError):
            sock.connect(TARGET)


@pytest.mark.parametrize("end", [HANG, CLOSE, RESET])
@pytest.mark.parametrize(("scheme", "said"), [("socks5", b"\x05\x01\x00"), ("socks4", b"\x00\x5b")])
def test_so_it_is_with_the_second_answer_of_bind(scheme: str, said: bytes, end: steps.Step) -> None:
    with bind_proxy(scheme, bind="always") as proxy, proxy.control(), socket.create_server(("", 0)) as listener:
        listener.settimeout(SECONDS)
        listener.getsockname()
        proxy.then(answered(said, end))
        began = time.monotonic()
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        assert time.monotonic() - began < SECONDS / 2
