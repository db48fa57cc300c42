"""Saved look-ups: refused where a name belongs to the proxy, and working for numbers and local names."""

from __future__ import annotations

import _socket
import functools
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

import socksify
from socksify.routing import fake_addresses
from tests.support.strict_refusals import FAR, FAR6, NOWHERE, refused, with_default
from tests.support.targets import Target

LOOKUPS: dict[str, Callable[[Callable[..., Any], Any], Any]] = {
    "getaddrinfo": lambda call, host: call(host, 80),
    "gethostbyname": lambda call, host: call(host),
    "gethostbyname_ex": lambda call, host: call(host),
    "gethostbyaddr": lambda call, host: call(host),
}


HOLDERS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "partial": lambda call: functools.partial(call),
    "default": with_default,
}


NAMES = ["host.example", b"host.example", "HOST.example.", "b\u00fccher.example", "host", "foo_bar.example", "a\0b"]


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("name", LOOKUPS)
@pytest.mark.parametrize("host", NAMES[:-1], ids=str)
def test_a_saved_look_up_of_a_name_is_refused(name: str, holder: str, host: Any) -> None:
    call = HOLDERS[holder](getattr(_socket, name))
    socksify.install(NOWHERE, strict=True)
    told = refused(lambda: LOOKUPS[name](call, host))
    assert "not originals saved before install()" in told


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_saved_look_up_of_a_number_works(name: str) -> None:
    """Of whom an address is, only where a rule says that the resolver may be asked."""
    call = functools.partial(getattr(_socket, name))
    without = LOOKUPS[name](call, "127.0.0.1")
    socksify.install(NOWHERE, strict=True, routes=["127.0.0.0/8=direct"])
    assert LOOKUPS[name](call, "127.0.0.1") == without
    assert LOOKUPS[name](call, "localhost") is not None
    if name == "gethostbyaddr":
        assert "192.0.2.7" in refused(lambda: call("192.0.2.7"))
    else:
        assert LOOKUPS[name](call, "192.0.2.7") is not None
        assert LOOKUPS[name](call, b"127.1") is not None


def test_a_saved_getnameinfo() -> None:
    call = functools.partial(_socket.getnameinfo)
    without = call(("127.0.0.1", 80), 0)
    socksify.install(NOWHERE, strict=True, routes=["127.0.0.0/8=direct"])
    assert call(("127.0.0.1", 80), 0) == without
    for address in (FAR, FAR6):
        assert address[0] in refused(lambda address=address: call(address, 0))  # type: ignore[misc]


EVENTS = ["socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("host", [*NAMES, bytearray(b"host.example")], ids=repr)
@pytest.mark.usefixtures("installed")
def test_how_c_reads_a_host(event: str, host: Any) -> None:
    refused(lambda: sys.audit(event, host))


@pytest.mark.parametrize("event", EVENTS)
def test_names_that_are_resolved_here(event: str) -> None:
    socksify.install(NOWHERE, strict=True, routes=["*.lan=direct", "*.away.lan=proxy"], direct=["10.0.0.0/8"])
    sys.audit(event, "host.lan")
    sys.audit(event, "10.1.2.3")
    refused(lambda: sys.audit(event, "host.example"))
    socksify.install("socks5://192.0.2.1:1080", strict=True)
    sys.audit(event, "host.example")
    sys.audit(event, "192.0.2.7")


def test_a_name_that_is_resolved_here_may_be_resolved_by_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """decide() looks it up, which the hook is told of in its turn."""
    from socksify import _originals

    asked: list[Any] = []

    def getaddrinfo(host: Any, port: int, *_: object) -> list[Any]:
        asked.append(host)
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
        return [(2, 1, 6, "", FAR)]

    socksify.install("socks5://192.0.2.1:1080", strict=True)
    monkeypatch.setattr(_originals, "getaddrinfo", getaddrinfo)
    with socket.socket() as sock:
        refused(lambda: sys.audit("socket.connect", sock, ("host.example", 80)))
    assert asked == [b"host.example"]


@pytest.mark.usefixtures("installed")
def test_what_needs_no_name_server_is_not_refused() -> None:
    """The hook does not see the flags; through the socket module's functions it does not have to."""
    for host in ("host.example", b"host.example", "?", "192.0.2.7", "b\u00fccher.example"):
        try:
            socket.getaddrinfo(host, 80, flags=socket.AI_NUMERICHOST)
        except socket.gaierror as error:
            assert host != "192.0.2.7"
            assert error.errno == socket.EAI_NONAME
    for host in ("?", b"host..example", "-.example"):
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo(host, 80)
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert socket.getnameinfo(FAR, numeric) == ("192.0.2.7", "80")
    assert socket.getnameinfo(FAR, socket.NI_NUMERICSERV) == ("192.0.2.7", "80")
    with pytest.raises(socket.herror):
        socket.gethostbyaddr("192.0.2.7")
    assert socket.gethostbyaddr("127.0.0.1")[2] == ["127.0.0.1"]
    assert fake_addresses.TABLE.is_fake(socket.gethostbyname("host.example"))
    assert socket.getaddrinfo(None, 80)
    assert socket.gethostbyname("") == "0.0.0.0"
    assert socket.gethostbyname("<broadcast>") == "255.255.255.255"
    assert socket.getfqdn()
    assert socket.gethostbyname_ex(socket.gethostname())


@pytest.mark.parametrize("strictly", [True, False])
def test_an_address_by_name_may_be_another_networks(strictly: bool, echo_server: Target) -> None:
    """A name that is routed direct, of an address that is not: connect() through us makes it direct."""
    socksify.install(NOWHERE, strict=strictly, routes=["localhost=direct", "127.0.0.0/8=proxy", "::1=proxy"])
    with socket.socket() as sock:
        sock.connect(("localhost", echo_server.port))
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"
