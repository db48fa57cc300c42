"""Bad peers: whatever a proxy does, connect() ends in the documented exception, in time, and the fd is still usable."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

import socksify
from tests.support.bad_proxy import BadProxy, Script
from tests.support.routing import routed
from tests.support.steps import (
    CLOSE,
    HANG,
    READ_GREETING,
    READ_HTTP,
    READ_REQUEST,
    READ_SOCKS4,
    RESET,
    Send,
    delayed,
    garbage,
    good,
    http_reply,
    socks4_reply,
    socks5_reply,
    trickled,
)
from tests.support.targets import Target

TARGET = ("203.0.113.5", 80)
# No test asserts a tight time: far less than what ends a hanging test, far more than the machine's noise.
PATIENCE = 5.0
SOCKS5: list[Callable[..., None]] = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST]


def failure(timeout: float | None, target: Target) -> socksify.ProxyError:
    """What connect() raises; after which the same socket has to reach the target through the next, good connection."""
    with socket.socket() as sock:
        sock.settimeout(timeout)
        started = time.monotonic()
        with pytest.raises(socksify.ProxyError) as caught:
            sock.connect(target.address)
        assert time.monotonic() - started < PATIENCE
        # A copy, which has no traceback to keep the socket by; no other story.
        assert str(socksify.last_error(sock)) == str(caught.value)
        sock.settimeout(10)
        sock.connect(target.address)
        assert socksify.last_error(sock) is None
        sock.sendall(b"ping")
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"
    return caught.value


HANGS: dict[str, tuple[str, Script]] = {
    "after accept": ("socks5h", [HANG]),
    "after greeting": ("socks5h", [*SOCKS5[:2], HANG]),
    "after request": ("socks5h", [*SOCKS5, HANG]),
    "in the reply": ("socks5h", [*SOCKS5, Send(socks5_reply(0)[:7]), HANG]),
    "after SOCKS4's request": ("socks4", [READ_SOCKS4, HANG]),
    "in SOCKS4's reply": ("socks4", [READ_SOCKS4, Send(b"\0\x5a"), HANG]),
    "after HTTP's request": ("http", [READ_HTTP, HANG]),
    "in HTTP's head": ("http", [READ_HTTP, Send(http_reply(200)[:-3]), HANG]),
    "byte by byte": ("socks5h", trickled(good("socks5h", reply=5), 0.1)),
    "SOCKS4 byte by byte": ("socks4", trickled([READ_SOCKS4, Send(socks4_reply(90))], 0.1)),
    "HTTP byte by byte": ("http", trickled([READ_HTTP, Send(http_reply(200))], 0.05)),
    "each step within the time, not their sum": ("socks5h", delayed(good("socks5h"), 0.15)),
}


@pytest.mark.parametrize("bound", ["settimeout", "connect_timeout"])
@pytest.mark.parametrize("when", HANGS)
def test_silence_ends_with_the_timeout(when: str, bound: str, echo_server: Target) -> None:
    scheme, script = HANGS[when]
    limit: dict[str, Any] = {"connect_timeout": 0.2} if bound == "connect_timeout" else {}
    with BadProxy(script, good(scheme)) as proxy, routed(proxy.url(scheme), **limit):
        error = failure(None if limit else 0.2, echo_server)
    assert isinstance(error, TimeoutError)
    assert (error.errno, error.hop, error.reply) == (errno.ETIMEDOUT, 1, None)
    assert "timed out after 0.2 s" in str(error)


def test_silence_between_hops_names_the_second(echo_server: Target) -> None:
    with BadProxy([*SOCKS5[:2], HANG], good("socks5h")) as second, BadProxy(good("socks5h")) as first:
        with routed(first.url(), second.url()):
            error = failure(0.2, echo_server)
        assert (error.hop, error.proxy, error.errno) == (2, second.url(), errno.ETIMEDOUT)
        assert "hop 2 of 2" in str(error)


def test_connect_ex_tells_a_timeout_as_the_stdlib_does(echo_server: Target) -> None:
    with BadProxy([HANG]) as proxy, routed(proxy.url(), connect_timeout=0.2):
        for timeout, number in [(0.2, errno.EAGAIN), (None, errno.ETIMEDOUT)]:
            with socket.socket() as sock:
                sock.settimeout(timeout)
                assert sock.connect_ex(echo_server.address) == number


ENDINGS: dict[str, tuple[str, list[Callable[..., None]]]] = {
    "accept": ("socks5h", []),
    "greeting": ("socks5h", SOCKS5[:1]),
    "choice": ("socks5h", SOCKS5[:2]),
    "request": ("socks5h", SOCKS5),
    "half a reply": ("socks5h", [*SOCKS5, Send(socks5_reply(0)[:7])]),
    "SOCKS4's request": ("socks4", [READ_SOCKS4]),
    "half of SOCKS4's reply": ("socks4", [READ_SOCKS4, Send(b"\0\x5a\0")]),
    "HTTP's request": ("http", [READ_HTTP]),
    "half of HTTP's head": ("http", [READ_HTTP, Send(http_reply(200)[:-2])]),
}


@pytest.mark.parametrize(("how", "timeout"), [(CLOSE, None), (RESET, 5.0)])
@pytest.mark.parametrize("after", ENDINGS)
def test_a_proxy_that_hangs_up_is_a_reset(
    after: str, how: Callable[..., None], timeout: float | None, echo_server: Target
) -> None:
    scheme, script = ENDINGS[after]
    with BadProxy([*script, how], good(scheme)) as proxy, routed(proxy.url(scheme)):
        error = failure(timeout, echo_server)
    assert type(error) is socksify.ProxyConnectionResetError
    assert (error.errno, error.hop, error.reply) == (errno.ECONNRESET, 1, None)


NONSENSE: dict[str, tuple[str, list[Callable[..., None]]]] = {
    "version 4 where 5 is spoken": ("socks5h", [READ_GREETING, Send(socks4_reply(90))]),
    "a method that was not offered": ("socks5h", [READ_GREETING, Send(b"\x05\x02")]),
    "GSSAPI": ("socks5h", [READ_GREETING, Send(b"\x05\x01")]),
    "another version in the reply": ("socks5h", [*SOCKS5, Send(b"\x04" + socks5_reply(0)[1:])]),
    "address type 2": ("socks5h", [*SOCKS5, Send(b"\x05\0\0\x02" + bytes(6))]),
    "a SOCKS4 reply of version 4": ("socks4", [READ_SOCKS4, Send(b"\4" + socks4_reply(90)[1:])]),
    "HTTP where SOCKS5 is spoken": ("socks5h", [READ_GREETING, Send(b"HTTP/1.1 400 Bad Request\r\n\r\n")]),
    "SSH where HTTP is spoken": ("http", [READ_HTTP, Send(b"SSH-2.0-OpenSSH_9.2\r\n")]),
    "a bad status line": ("http", [READ_HTTP, Send(b"HTTP/1.1 OK\r\n\r\n")]),
    "garbage for a choice": ("socks5h", [READ_GREETING, garbage()]),
    "garbage for a reply": ("socks5h", [*SOCKS5, garbage()]),
    "garbage for a SOCKS4 reply": ("socks4", [READ_SOCKS4, garbage()]),
    "garbage for a head": ("http", [READ_HTTP, garbage()]),
    "a head without an end": ("http", [READ_HTTP, Send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20))]),
    "interim responses for ever": ("http", [READ_HTTP, Send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)]),
}


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_aborts_and_is_quoted(what: str, timeout: float | None, echo_server: Target) -> None:
    scheme, script = NONSENSE[what]
    with BadProxy([*script, HANG], good(scheme)) as proxy, routed(proxy.url(scheme)):
        error = failure(timeout, echo_server)
    assert type(error) is socksify.ProxyConnectionAbortedError
    assert (error.errno, error.hop) == (errno.ECONNABORTED, 1)
    assert "expected" in str(error)
    assert "got b'" in str(error)
    assert len(str(error)) < 700


@pytest.mark.parametrize("timeout", [None, 10.0])
@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5h", "http"])
def test_a_slow_proxy_is_waited_for(scheme: str, timeout: float | None, echo_server: Target) -> None:
    with BadProxy(trickled(good(scheme), 0.002)) as proxy, routed(proxy.url(scheme)), socket.socket() as sock:
        sock.settimeout(timeout)
        sock.connect(echo_server.address)
        sock.sendall(b"ping")
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"


def test_a_proxy_with_no_room_for_another_connection_is_bounded_in_time() -> None:
    """A connect(2) is not answered while the listener's backlog is full, not even on loopback.

    Without a timeout it is the kernel that gives up, after some two minutes.
    """
    with socket.socket() as listener, contextlib.ExitStack() as crowd:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            stream = crowd.enter_context(socket.socket())
            stream.setblocking(False)
            stream.connect_ex(listener.getsockname())
        url = "socks5h://{}:{}".format(*listener.getsockname())
        with routed(url, routes=("*=proxy",)), socket.socket() as sock:
            sock.settimeout(0.5)
            started = time.monotonic()
            with pytest.raises(TimeoutError) as caught:
                sock.connect(TARGET)
            assert time.monotonic() - started < PATIENCE
            assert caught.value.errno == errno.ETIMEDOUT
            assert isinstance(caught.value, socksify.ProxyError)
