"""Targets behind other proxies: names and addresses, one proxy and several, and their refusals."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from socksify.config import proxy_url
from socksify.server import embedded
from socksify.server.policy.policy import Demand, Denied, Permitted, Policy
from tests.support import servers
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.running import Running, run

Through = Callable[..., Running]


class Chained(Policy):
    """Sends everything through a chain, and keeps what was asked."""

    def __init__(self, *urls_: str) -> None:
        super().__init__()
        self.chain = tuple(hop for url in urls_ for hop in proxy_url.parse_chain(url, "test"))
        self.asked: list[tuple[str | None, str | None]] = []

    def decide(self, demand: Demand) -> Permitted | Denied:
        self.asked.append((demand.name, demand.address))
        return Permitted("through", chain=self.chain)


@pytest.fixture
def through() -> Iterator[Through]:
    with ExitStack() as stack:

        def start(*urls_: str) -> Running:
            running = run(Chained(*urls_))
            stack.callback(lambda: next(running, None))
            return next(running)

        yield start


@pytest.fixture
def upstream() -> Iterator[embedded.Embedded]:
    with closing(embedded.start()) as server:
        yield server


def echoes(running: Running, host: str, port: int) -> bool:
    stream = running.connect()
    assert client.ask(stream, 5, host, port) == 0
    stream.sendall(b"ping")
    # There is no half-close, because microsocks closes both directions then.
    return receive(stream, 4) == b"ping"


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_each_protocol(
    scheme: str, host: str, through: Through, upstream: embedded.Embedded, echo_server: Target
) -> None:
    running = through(f"{scheme}://127.0.0.1:{upstream.port}")
    assert echoes(running, host, echo_server.port)


def test_other_peoples_proxy(proxy: servers.Server, through: Through, echo_server: Target) -> None:
    assert echoes(through(proxy.url()), "127.0.0.1", echo_server.port)


def test_a_proxy_that_wants_a_password(
    danted_with_password: servers.Server, through: Through, echo_server: Target
) -> None:
    assert echoes(through(danted_with_password.url()), "127.0.0.1", echo_server.port)


def test_a_chain(
    through: Through, upstream: embedded.Embedded, microsocks: servers.Server, echo_server: Target
) -> None:
    running = through(upstream.url, microsocks.url(), upstream.url)
    assert echoes(running, "127.0.0.1", echo_server.port)


def test_a_name_is_left_to_a_proxy_that_takes_it(through: Through, upstream: embedded.Embedded) -> None:
    running = through(upstream.url)
    stream = running.connect()
    assert client.ask(stream, 5, "no-such-host.invalid", 80) == 4
    stream.close()
    report = running.report()
    assert (report.outcome, report.rule) == ("failed", "through")
    assert isinstance(running.policy, Chained)
    assert running.policy.asked == [("no-such-host.invalid", None)]


def test_a_name_is_resolved_here_for_one_that_does_not(
    through: Through, upstream: embedded.Embedded, echo_server: Target
) -> None:
    running = through(f"socks5://127.0.0.1:{upstream.port}")
    assert echoes(running, "localhost", echo_server.port)
    assert isinstance(running.policy, Chained)
    assert ("localhost", None) in running.policy.asked
    assert ("localhost", "127.0.0.1") in running.policy.asked


def test_the_failure_of_the_proxy_is_told(through: Through, upstream: embedded.Embedded) -> None:
    running = through(upstream.url)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert client.ask(running.connect(), 5, *nobody.getsockname()) == 5


def test_a_proxy_that_is_not_there(through: Through) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        running = through(f"socks5h://127.0.0.1:{nobody.getsockname()[1]}")
        stream = running.connect()
        assert client.ask(stream, 5, "example.com", 80) == 5
    stream.close()
    assert "proxy: " in running.report().detail


def test_a_proxy_that_is_silent(through: Through) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running = through(f"socks5h://127.0.0.1:{silent.getsockname()[1]}")
        running.limit(connect_seconds=0.1)
        assert client.ask(running.connect(), 5, "example.com", 80) == 6


def test_a_target_that_the_proxy_has_no_words_for(through: Through, upstream: embedded.Embedded) -> None:
    running = through(f"socks4://127.0.0.1:{upstream.port}")
    assert client.ask(running.connect(), 5, "::1", 80) == 8


def test_a_proxy_on_a_unix_socket(through: Through, tmp_path: Path) -> None:
    """A proxy written by hand. It grants everything, and then echoes."""
    path = str(tmp_path / "proxy")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(10)
        running = through(f"socks5h://localhost{path}")
        stream = running.connect()
        stream.sendall(client.GREETING + client.request5("example.com", 80))
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(10)
            assert receive(peer, 3)[:1] == b"\x05"
            peer.sendall(b"\x05\x00")
            assert receive(peer, 18).endswith(b"example.com\0\x50")
            peer.sendall(b"\x05\0\0\x01\x01\x02\x03\x04\0\x50banner")
            assert receive(stream, 2) == b"\x05\x00"
            assert client.reply5(stream) == (0, b"\x01\x01\x02\x03\x04\0\x50")
            assert receive(stream, 6) == b"banner"


@pytest.mark.parametrize("command", [client.BIND, client.UDP_ASSOCIATE])
def test_the_other_commands_do_not_go_round_the_proxy(command: int, through: Through) -> None:
    """Sent directly, they would leave from an address that they must not leave from."""
    running = through("socks5h://127.0.0.1:9")
    assert client.ask(running.connect(), 5, "127.0.0.1", 0, command) == 7
