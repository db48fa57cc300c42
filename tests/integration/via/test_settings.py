"""socksify.via() and the settings: a block decides what they leave open, and they may change inside it."""

from __future__ import annotations

import socket
from errno import EINPROGRESS
from pathlib import Path

import pytest

import socksify
from socksify.patches import scope
from tests.integration.via.world import FAR, SECONDS, saying, world
from tests.support.bad_proxy import BadProxy
from tests.support.stepping import stepping
from tests.support.steps import good

pytestmark = pytest.mark.usefixtures("uninstalled")


def test_names_of_proxies(tmp_path: Path) -> None:
    file = tmp_path / "socksify.toml"
    with BadProxy(saying(b"n")) as named, BadProxy(good("socks5")) as first:
        file.write_text(f'[proxies]\nnamed = "{named.url()}"\nfirst = "{first.url()}"\n')
        early = socksify.via("named")
        with world(config=str(file)) as proxies:
            for via in (early, socksify.via("named"), socksify.via("first+named"), socksify.via(["first", "named"])):
                with via:
                    assert proxies.answerer(FAR) == "n"
        assert len(first.sessions) == 2


def test_before_install_nothing_runs_unproxied() -> None:
    with pytest.raises(socksify.ConfigError, match="unknown scheme"):
        socksify.via("gopher://x")
    via = socksify.via("nobody")
    with pytest.raises(RuntimeError, match=r"before socksify.install\(\)"), via:
        pytest.fail("entered")
    with world(), pytest.raises(socksify.ConfigError, match="no proxy of that name"), via:
        pytest.fail("entered")


def test_uninstall_inside_ends_the_block() -> None:
    with world() as proxies, socksify.via(proxies.b.url()):
        connect = socket.socket.connect
        socksify.uninstall()
        assert proxies.answerer() == "T"
        with socket.socket() as sock:
            connect(sock, proxies.target)
            assert sock.recv(1) == b"T"
        with pytest.raises(RuntimeError), socksify.via("direct"):
            pytest.fail("entered")
    assert scope.entered() is None


def test_other_settings_hold_inside_too(tmp_path: Path) -> None:
    file = tmp_path / "socksify.toml"
    with BadProxy(saying(b"n")) as named:
        file.write_text(f'[proxies]\nnamed = "{named.url()}"\n')
        with world(config=str(file)) as proxies, socksify.via("named"):
            assert proxies.answerer() == "n"
            socksify.install(proxies.a.url(), routes=["203.0.113.0/24=block", "*=proxy"], config=str(file))
            assert proxies.answerer() == "n"
            with pytest.raises(PermissionError, match=r"203\.0\.113\.0/24=block"):
                proxies.answerer(FAR)
            # The proxy is not configured any more: closed, and not through another.
            socksify.install(proxies.a.url(), routes=["*=proxy"])
            with pytest.raises(PermissionError, match="'named': no proxy of that name"):
                proxies.answerer()


def test_what_a_rule_blocks_stays_blocked() -> None:
    routes = ("good.blocked.example=direct", "*.blocked.example=block", "203.0.113.7=block", "*=proxy")
    with world(routes) as proxies:
        for inside in ("direct", "proxy", proxies.b.url()):
            for host in ("203.0.113.7", "www.blocked.example"):
                with (
                    socksify.via(inside),
                    pytest.raises(PermissionError, match=r"blocked by rule '.*=block' \(install\(routes=\)\)"),
                ):
                    proxies.answerer((host, 80))
        # An earlier rule lets this one through, and the block names the proxy.
        with socksify.via(proxies.b.url()):
            assert proxies.answerer(("good.blocked.example", 80)) == "b"


def test_other_rules_are_outranked() -> None:
    routes = ("203.0.113.0/24=direct", ".corp.example=direct", "127.0.0.0/8=proxy")
    with world(routes) as proxies, socksify.via(proxies.b.url()):
        assert proxies.answerer(FAR) == proxies.answerer(("www.corp.example", 80)) == proxies.answerer() == "b"
        assert proxies.asked()[1] == [FAR, ("www.corp.example", 80), proxies.target]


@pytest.mark.parametrize("routes", [(), ("127.0.0.0/8=direct", "localhost=direct", "*.example=proxy", ":9=block")])
def test_loopback_stays_direct(routes: tuple[str, ...]) -> None:
    """What loops, multiprocessing and local servers live on; a rule that says so once more changes nothing."""
    with world(routes) as proxies:
        for inside in (proxies.b.url(), "block", "proxy", "direct"):
            with socksify.via(inside):
                for host in ("127.0.0.1", "localhost"):
                    assert proxies.answerer((host, proxies.target[1])) == "T"
                with socket.socket(socket.AF_UNIX) as sock, pytest.raises(FileNotFoundError):
                    sock.connect("/nowhere/at/all")


def test_the_log_tells_of_the_block(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with BadProxy(saying(b"p", password=True)) as proxy, world(log=str(log)) as proxies:
        url = f"socks5h://alice:open%20sesame@{proxy.host}:{proxy.port}"
        with socksify.via(url) as _:
            assert proxies.answerer() == "p"
        with socksify.via("direct"):
            assert proxies.answerer() == "T"
        with socksify.via("block"), pytest.raises(PermissionError):
            proxies.answerer()
        assert "sesame" not in repr(socksify.via(url, isolate="none")) + repr(scope.entered())
        assert repr(socksify.via(["proxy", proxies.b.url()])) == f"socksify.via(['proxy', {proxies.b.url()!r}])"
    through, direct, denied = log.read_text().splitlines()
    assert f"(rule via('socks5h://alice:***@{proxy.host}:{proxy.port}'))" in through
    assert "direct (rule via('direct'))" in direct
    assert "denied: blocked by rule \"via('block')\" (scope)" in denied


def test_a_pending_handshake_goes_on_outside() -> None:
    with stepping() as steps, BadProxy(good("socks5")) as other:
        socksify.install(other.url(), routes=["*=proxy"])
        with socket.socket() as sock:
            sock.setblocking(False)
            with socksify.via(steps.url):
                assert sock.connect_ex(FAR) == EINPROGRESS
            steps.run()
            sock.settimeout(SECONDS)
            sock.sendall(b"echo")
            assert sock.recv(4, socket.MSG_WAITALL) == b"echo"
            assert sock.getpeername() == FAR
        assert other.sessions == []
