"""The scripted proxy does what it is told: each step is seen from the client's side."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import steps
from tests.support.bad_proxy import BadProxy, Script
from tests.support.streams import receive
from tests.support.targets import Target


@contextmanager
def connected(proxy: BadProxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as stream:
        yield stream


def requests(target: Target) -> dict[str, list[tuple[bytes, bytes]]]:
    """For each scheme what a client says, and what a good proxy answers to it."""
    port = target.port.to_bytes(2)
    name = b"\x09localhost"
    http = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % target.port
    return {
        "socks4": [(b"\x04\x01" + port + b"\x7f\0\0\x01me\0", steps.socks4_reply(90))],
        "socks4a": [(b"\x04\x01" + port + b"\0\0\0\x01me\0localhost\0", steps.socks4_reply(90))],
        "socks5": [(b"\x05\x01\0", b"\x05\0"), (b"\x05\x01\0\x01\x7f\0\0\x01" + port, steps.socks5_reply(0))],
        "socks5h": [(b"\x05\x01\0", b"\x05\0"), (b"\x05\x01\0\x03" + name + port, steps.socks5_reply(0))],
        "http": [(http, steps.http_reply(200))],
    }


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h", "http"])
@pytest.mark.parametrize("manner", [list, steps.trickled, lambda script: steps.delayed(script, 0.01)])
def test_a_good_script_relays(scheme: str, manner: type[list[steps.Step]], echo_server: Target) -> None:
    with BadProxy(manner(steps.good(scheme))) as proxy, connected(proxy) as stream:
        sent = b""
        for message, answer in requests(echo_server)[scheme]:
            stream.sendall(message)
            sent += message
            assert receive(stream, len(answer)) == answer
        assert proxy.sessions[0].received == sent
        stream.sendall(b"ping")
        assert receive(stream, 4) == b"ping"
        stream.shutdown(socket.SHUT_WR)
        assert receive(stream, 1) == b""


def test_credentials_are_demanded_and_recorded() -> None:
    with BadProxy(steps.good("socks5", password=True)) as proxy, connected(proxy) as stream:
        stream.sendall(b"\x05\x01\x02")
        assert receive(stream, 2) == b"\x05\x02"
        stream.sendall(b"\x01\x02me\x02pw")
        assert receive(stream, 2) == b"\x01\x00"
        assert proxy.sessions[0].received.endswith(b"\x02me\x02pw")


def test_a_refusal_is_answered_and_closed(echo_server: Target) -> None:
    with BadProxy(steps.good("socks4", reply=93)) as proxy, connected(proxy) as stream:
        stream.sendall(requests(echo_server)["socks4"][0][0])
        assert receive(stream, 100) == steps.socks4_reply(93)


def test_reply_and_banner_come_in_one_segment() -> None:
    glued: Script = [steps.READ_SOCKS4, steps.Send(steps.socks4_reply(90) + b"220 banner\r\n"), steps.HANG]
    with BadProxy(glued) as proxy, connected(proxy) as stream:
        stream.sendall(b"\x04\x01\0\x50\x7f\0\0\x01\0")
        assert stream.recv(100) == steps.socks4_reply(90) + b"220 banner\r\n"


def test_close_ends_by_fin_and_reset_by_rst() -> None:
    with BadProxy([steps.CLOSE], [steps.Read(1), steps.RESET]) as proxy:
        with connected(proxy) as stream:
            stream.sendall(b"unread")
            assert stream.recv(1) == b""
        with connected(proxy) as stream:
            stream.sendall(b"unread")
            with pytest.raises(ConnectionResetError):
                stream.recv(1)


def test_hang_is_silent_until_the_end() -> None:
    with BadProxy([steps.HANG]) as proxy, connected(proxy) as stream:
        stream.settimeout(0.05)
        with pytest.raises(TimeoutError):
            stream.recv(1)
    assert proxy.sessions[0].over.is_set()


def test_wait_is_for_the_test_to_end() -> None:
    go = threading.Event()
    with BadProxy([steps.Wait(go), steps.Send(b"x")]) as proxy, connected(proxy) as stream:
        go.set()
        assert stream.recv(1) == b"x"


def test_garbage_comes_whole() -> None:
    with BadProxy([steps.garbage()]) as proxy, connected(proxy) as stream:
        assert len(receive(stream, 2 << 20)) == 1 << 20


def test_a_client_that_goes_away_is_noted() -> None:
    with BadProxy(steps.good("socks5")) as proxy:
        with connected(proxy) as stream:
            stream.sendall(b"\x05")
        session = proxy.finished()
    assert isinstance(session.error, ConnectionAbortedError)
    assert session.received == b"\x05"


def test_a_mistake_in_a_script_is_raised() -> None:
    with pytest.raises(AssertionError), BadProxy([steps.DIAL]) as proxy, connected(proxy) as stream:
        stream.recv(1)


def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "proxy"
    with BadProxy([steps.Send(b"x")], path=path) as proxy, socket.socket(socket.AF_UNIX) as stream:
        assert proxy.url() == f"socks5h://localhost{path}"
        stream.connect(str(path))
        assert stream.recv(1) == b"x"
