"""Look-ups inside a block of via(): answered here, or sent to name servers, as the block's proxy requires."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import socksify
from socksify import _originals
from tests.integration.via.world import World, world

NAME = "name.example"
REMOTE, LOCAL = "socks5h://192.0.2.1:1080", "socks5://192.0.2.1:1080"


pytestmark = pytest.mark.usefixtures("uninstalled")


def is_fake(address: str) -> bool:
    return address.startswith(("198.18.", "198.19."))


@pytest.mark.parametrize(
    ("installed", "dns", "inside", "remote"),
    [
        (REMOTE, "auto", LOCAL, False),
        (REMOTE, "auto", "direct", False),
        (REMOTE, "auto", "block", True),
        (LOCAL, "auto", REMOTE, True),
        (LOCAL, "remote", LOCAL, True),
        (LOCAL, "remote", "direct", False),
        (REMOTE, "local", REMOTE, False),
    ],
)
def test_who_resolves(installed: str, dns: str, inside: str, remote: bool, asked: list[Any]) -> None:
    socksify.install(installed, dns=dns)
    with socksify.via(inside):
        if remote:
            assert is_fake(socket.gethostbyname(NAME))
            assert is_fake(str(socket.getaddrinfo(NAME, 80)[0][4][0]))
            assert asked == []
        else:
            for look_up in (socket.gethostbyname, lambda name: socket.getaddrinfo(name, 80), socket.gethostbyaddr):
                with pytest.raises(socket.gaierror, match="asked"):
                    look_up(NAME)
            assert asked == [NAME] * 3


def test_a_fake_address_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for its name inside as well: given to the block's proxy, or resolved here where it is direct."""
    with world() as proxies:
        fake = socket.gethostbyname(NAME)
        with socksify.via(proxies.b.url()):
            assert proxies.answerer((fake, 80)) == "b"
        assert proxies.asked()[1] == [(NAME, 80)]
        with socksify.via(proxies.b.url("socks5")), pytest.raises(socket.gaierror):
            proxies.answerer((fake, 80))
        monkeypatch.setattr(_originals, "getaddrinfo", _to_loopback(_originals.getaddrinfo))
        with socksify.via("direct"):
            assert proxies.answerer((fake, proxies.target[1])) == "T"
        with socksify.via("block"), pytest.raises(PermissionError):
            proxies.answerer((fake, 80))


def _to_loopback(original: Any) -> Any:
    def getaddrinfo(host: Any, *args: Any) -> Any:
        return original(b"127.0.0.1" if host == NAME.encode() else host, *args)

    return getaddrinfo


def test_a_fake_address_from_inside() -> None:
    """The address is known outside, too, where no other fake addresses exist."""
    with world(dns="local") as proxies:
        socksify.install(proxies.a.url("socks5"), routes=["*=proxy"])
        with socksify.via(proxies.b.url()):
            fake = socket.gethostbyname(NAME)
        with pytest.raises(socket.gaierror):
            proxies.answerer((fake, 80))
        for inside in ("direct", "proxy"):
            with socksify.via(inside), pytest.raises(PermissionError, match="stands for no name in this process"):
                proxies.answerer(("198.18.0.0", 80))


def test_a_look_up_outside_is_none_of_the_blocks(asked: list[Any]) -> None:
    socksify.install(REMOTE)
    with socksify.via("direct"):
        pass
    assert is_fake(socket.gethostbyname(NAME))
    assert asked == []


def test_a_name_server_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes questions on, so it is asked only where names may be."""
    from socksify.routing import local_host

    monkeypatch.setattr(local_host, "nameservers", lambda: ("127.0.0.53",))
    socksify.install(REMOTE)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(PermissionError):
            sock.sendto(b"?", ("127.0.0.53", 53))
        with socksify.via("direct"):
            assert sock.sendto(b"?", ("127.0.0.53", 53)) == 1
        with socksify.via(LOCAL.replace("192.0.2.1", "192.0.2.2")):
            assert sock.sendto(b"?", ("127.0.0.53", 53)) == 1
        with socksify.via("socks5h://192.0.2.2:1080"), pytest.raises(PermissionError):
            sock.sendto(b"?", ("127.0.0.53", 53))


def test_a_proxy_without_names(proxies: World) -> None:
    with socksify.via("socks4://192.0.2.1:1080"), pytest.raises(socket.gaierror):
        proxies.answerer((NAME, 80))
