"""Dials on a loop: through each kind of proxy, on own sockets and on given ones, and every way to fail."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest

from socksify import _originals
from socksify.config.loader import load
from socksify.routing.route import Via
from socksify.routing.router import Router
from socksify.seal.notices import Notices
from socksify.seal.streams.dial import Dialer, disconnect, families_of
from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import Threads
from tests.support import targets
from tests.support.bad_proxy import BadProxy
from tests.support.processes import free_port
from tests.support.steps import CLOSE, HANG, READ_GREETING, RESET, Send, delayed, garbage, good, trickled

SECONDS = 10.0
Dialled = Callable[..., tuple[OSError | None, _originals.Socket | None]]


@pytest.fixture
def threads(loop: Loop) -> Iterator[Threads]:
    threads = Threads(loop)
    yield threads
    threads.close()


@pytest.fixture
def dialer(loop: Loop, threads: Threads) -> Dialer:
    return Dialer(loop, threads, Notices())


@pytest.fixture
def dialled(loop: Loop, dialer: Dialer) -> Dialled:
    """Dial, and return the error, and the socket of an open tunnel."""

    def dial(
        route: Via, sock: _originals.Socket | None = None, seconds: float = SECONDS
    ) -> tuple[OSError | None, _originals.Socket | None]:
        outcomes: list[OSError | None] = []

        def done(error: OSError | None) -> None:
            outcomes.append(error)
            loop.stop()

        if sock is None:
            begun = dialer.fresh(route, seconds, done)
            begun.start()
            loop.run()
            return outcomes[0], begun.sock
        dialer.own(sock, route, seconds, done).start()
        loop.run()
        return outcomes[0], sock

    return dial


def route(target: targets.Target, *proxies: str) -> Via:
    settings = load({"proxy": list(proxies), "routes": ["127.0.0.1/32=proxy"]}, {}, "/", "install")
    decided = Router(settings).decide(socket.AF_INET, (target.host, target.port))
    assert isinstance(decided, Via)
    return decided


def echoes(sock: _originals.Socket | None) -> bool:
    assert sock is not None
    sock.setblocking(True)
    sock.send(b"hello")
    return sock.recv(5) == b"hello"


def nonblocking(family: int = socket.AF_INET) -> _originals.Socket:
    return _originals.Socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
@pytest.mark.parametrize("pace", [list, trickled], ids=["at once", "byte by byte"])
def test_a_tunnel_is_opened(
    dialled: Dialled, echo_server: targets.Target, scheme: str, pace: Callable[[Sequence[object]], list[object]]
) -> None:
    with BadProxy(pace(good(scheme))) as proxy:  # type: ignore[arg-type]
        error, sock = dialled(route(echo_server, proxy.url(scheme)))
        assert error is None
        assert echoes(sock)


def test_a_socket_of_the_target_is_used(dialled: Dialled, dialer: Dialer, echo_server: targets.Target) -> None:
    with BadProxy(good("socks5h")) as proxy:
        way = route(echo_server, proxy.url())
        sock = nonblocking()
        dialer.addresses.candidates(way.chain[0], socket.AF_INET)
        assert dialer.fits(sock, way.chain[0])
        error, _ = dialled(way, sock)
        assert error is None
        assert echoes(sock)
        sock.close()


def test_a_chain_is_opened(dialled: Dialled, echo_server: targets.Target) -> None:
    with BadProxy(good("socks5h")) as first, BadProxy(good("http")) as second:
        error, sock = dialled(route(echo_server, first.url(), second.url("http")))
        assert error is None
        assert echoes(sock)


@pytest.mark.parametrize(
    ("script", "number"),
    [
        (good("socks5h", reply=5), errno.ECONNREFUSED),
        (good("socks5h", reply=2), errno.EACCES),
        (good("socks5h", reply=3), errno.ENETUNREACH),
        ([CLOSE], errno.ECONNRESET),
        ([READ_GREETING, RESET], errno.ECONNRESET),
        ([READ_GREETING, garbage()], errno.ECONNABORTED),
        ([READ_GREETING, Send(b"\x05\xff")], errno.EACCES),
    ],
    ids=["refused", "denied", "no network", "closed", "reset", "garbage", "no method"],
)
def test_a_failure_has_its_errno(
    dialled: Dialled, echo_server: targets.Target, script: Sequence[object], number: int
) -> None:
    with BadProxy(list(script)) as proxy:  # type: ignore[arg-type]
        error, sock = dialled(route(echo_server, proxy.url()))
        assert error is not None
        assert error.errno == number
        assert sock is None


def test_a_proxy_that_is_not_there(dialled: Dialled, echo_server: targets.Target) -> None:
    error, sock = dialled(route(echo_server, f"socks5h://127.0.0.1:{free_port()}"))
    assert error is not None
    assert error.errno == errno.ECONNREFUSED
    assert "cannot be reached" in str(error)
    assert sock is None


def test_a_silent_proxy_is_given_up(dialled: Dialled, echo_server: targets.Target) -> None:
    with BadProxy([READ_GREETING, HANG]) as proxy:
        error, _ = dialled(route(echo_server, proxy.url()), seconds=0.2)
        assert error is not None
        assert error.errno == errno.ETIMEDOUT


def test_a_slow_proxy_is_waited_for(dialled: Dialled, echo_server: targets.Target) -> None:
    with BadProxy(delayed(good("socks5h"), 0.1)) as proxy:
        error, sock = dialled(route(echo_server, proxy.url()))
        assert error is None
        assert echoes(sock)


def test_a_name_of_a_proxy_is_looked_up_in_a_thread(
    dialled: Dialled, dialer: Dialer, echo_server: targets.Target
) -> None:
    with BadProxy(good("socks5h")) as proxy:
        way = route(echo_server, f"socks5h://localhost:{proxy.port}")
        assert dialer.addresses.must_look_up(way.chain[0])
        # Its families are not known yet.
        sock = nonblocking()
        assert not dialer.fits(sock, way.chain[0])
        sock.close()
        error, fresh = dialled(way)
        assert error is None
        assert echoes(fresh)


def test_an_unknown_name_of_a_proxy(dialled: Dialled, echo_server: targets.Target) -> None:
    error, _ = dialled(route(echo_server, "socks5h://no-such-proxy.invalid:1080"))
    assert error is not None
    assert error.errno == errno.EHOSTUNREACH


def test_a_cancelled_dial_closes_its_socket(loop: Loop, dialer: Dialer, echo_server: targets.Target) -> None:
    with BadProxy([READ_GREETING, HANG]) as proxy:
        begun = dialer.fresh(route(echo_server, proxy.url()), SECONDS, lambda _: pytest.fail("the dial was cancelled"))
        begun.start()
        proxy_has_accepted = loop.after(0.2, begun.cancel)
        loop.after(0.3, loop.stop)
        loop.run()
        assert proxy_has_accepted.due < loop.now
        assert proxy.finished().over.is_set()


def test_the_families_of_a_socket() -> None:
    ipv4, dual, only = nonblocking(), nonblocking(socket.AF_INET6), nonblocking(socket.AF_INET6)
    dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    assert families_of(ipv4) == (socket.AF_INET,)
    assert families_of(dual) == (socket.AF_INET6, socket.AF_INET)
    assert families_of(only) == (socket.AF_INET6,)
    dual.bind(("::1", 0))
    assert families_of(dual) == (socket.AF_INET6,)
    for sock in (ipv4, dual, only):
        sock.close()


def test_a_disconnected_socket_connects_again(echo_server: targets.Target) -> None:
    sock = _originals.Socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect((echo_server.host, echo_server.port))
    disconnect(sock)
    sock.connect((echo_server.host, echo_server.port))
    assert echoes(sock)
    sock.close()
