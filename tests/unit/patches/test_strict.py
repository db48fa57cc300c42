"""strict: what did not come through us is refused where it belongs to the proxy, works where it is direct; and what
came through us, or has no business with the network, is let alone."""

from __future__ import annotations

import _socket
import asyncio
import functools
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from errno import EACCES
from pathlib import Path
from typing import Any

import pytest

import socksify
from socksify.patches import strict
from socksify.routing import fake_addresses
from tests.support.bad_proxy import BadProxy
from tests.support.both import Both
from tests.support.certificates import Certificates
from tests.support.routing import LOOPBACK, routed
from tests.support.servers import Server
from tests.support.steps import good
from tests.support.targets import PAGE, Target

NOWHERE = "socks5h://192.0.2.1:1080"
FAR = ("192.0.2.7", 80)
FAR6 = ("2001:db8::7", 80)


@pytest.fixture
def installed() -> Iterator[None]:
    """Everything but loopback belongs to a proxy that nobody will reach."""
    socksify.install(NOWHERE, strict=True)
    yield
    socksify.uninstall()


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    socksify.uninstall()
    assert strict._HOOK.checks == {}


def refused(call: Callable[[], object]) -> str:
    """What is said of a call that strict refuses."""
    with pytest.raises(PermissionError) as caught:
        call()
    assert isinstance(caught.value, socksify.ProxyError)
    assert caught.value.errno == EACCES
    assert "goes past socksify, which strict forbids" in str(caught.value)
    return str(caught.value)


class Derived(_socket.socket):
    """As gevent has one."""


@pytest.mark.parametrize("cls", [_socket.socket, _socket.SocketType, Derived])
@pytest.mark.parametrize("family", [None, socket.AF_INET, socket.AF_INET6, socket.AF_PACKET])
@pytest.mark.usefixtures("installed")
def test_a_raw_socket_is_refused_when_it_is_made(cls: Any, family: int | None) -> None:
    arguments = () if family is None else (family, socket.SOCK_DGRAM)
    told = refused(lambda: cls(*arguments))
    assert cls.__qualname__ in told
    assert "use socket.socket" in told


@pytest.mark.usefixtures("installed")
def test_a_raw_socket_is_refused_a_descriptor() -> None:
    with socket.socket() as sock:
        refused(lambda: _socket.socket(fileno=sock.fileno()))
        refused(lambda: _socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, sock.fileno()))


@pytest.mark.usefixtures("installed")
def test_other_families_are_let_alone() -> None:
    one, other = _socket.socketpair()
    one.send(b"x")
    assert other.recv(1) == b"x"
    one.close()
    other.close()
    raw = _socket.socket(socket.AF_UNIX)
    raw.close()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
        _socket.socket.bind(netlink, (0, 0))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, pytest.raises(FileNotFoundError):
        _socket.socket.connect(sock, "/nowhere/at/all")


def _with_default(original: Callable[..., Any]) -> Callable[..., Any]:
    def held(call: Callable[..., Any] = original) -> Callable[..., Any]:
        return call

    return lambda *args: held()(*args)


# Each holds on to a method of _socket.socket, found before install(), and calls it on a socket.
KEEPERS: dict[str, Callable[[str], Callable[..., Any]]] = {
    "method": lambda name: getattr(socket.socket, name),
    "base's method": lambda name: getattr(_socket.socket, name),
    "partial": lambda name: functools.partial(getattr(socket.socket, name)),
    "default": lambda name: _with_default(getattr(socket.socket, name)),
    "super": lambda name: lambda sock, *args: getattr(super(socket.socket, sock), name)(*args),
}
SENDS: dict[str, tuple[int, Callable[[Callable[[str], Callable[..., Any]]], Callable[..., Any]]]] = {
    "connect": (socket.SOCK_STREAM, lambda keep: keep("connect")),
    "connect_ex": (socket.SOCK_STREAM, lambda keep: keep("connect_ex")),
    "sendto": (socket.SOCK_DGRAM, lambda keep: _sending(keep("sendto"))),
    "sendmsg": (socket.SOCK_DGRAM, lambda keep: _sending_message(keep("sendmsg"))),
    "fast open": (socket.SOCK_STREAM, lambda keep: _opening(keep("sendto"))),
    "connect and send": (socket.SOCK_DGRAM, lambda keep: _connecting(keep("connect"))),
}


def _sending(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sock, address: call(sock, b"x", address)


def _sending_message(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sock, address: call(sock, [b"x"], [], 0, address)


def _connecting(call: Callable[..., Any]) -> Callable[..., Any]:
    """connect(2) of a datagram socket sends nothing, but nobody would hear of what is sent then."""
    return lambda sock, address: call(sock, address) or sock.send(b"x")


def _opening(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sock, address: call(sock, b"x", socket.MSG_FASTOPEN, address)


@pytest.mark.parametrize("keeper", KEEPERS)
@pytest.mark.parametrize("send", SENDS)
def test_a_saved_method_is_refused_what_belongs_to_the_proxy(send: str, keeper: str) -> None:
    kind, make = SENDS[send]
    call = make(KEEPERS[keeper])
    socksify.install(NOWHERE, strict=True)
    for family, address in (
        (socket.AF_INET, FAR),
        (socket.AF_INET6, FAR6),
        (socket.AF_INET6, ("::ffff:192.0.2.7", 80)),
        (socket.AF_INET, (b"192.0.2.7", 80)),
    ):
        with socket.socket(family, kind) as sock:
            told = refused(lambda sock=sock, address=address: call(sock, address))  # type: ignore[misc]
            assert "rule '*=proxy'" in told
            assert "not originals saved before install()" in told


@pytest.mark.parametrize("send", SENDS)
def test_nothing_of_it_arrives(send: str, echo_server: Target) -> None:
    """The same call reaches a server when strict is off, and would when it was let through."""
    kind, make = SENDS[send]
    call = make(KEEPERS["method"])
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        server.settimeout(30)
        address = server.getsockname()
        with routed(NOWHERE, routes=(*LOOPBACK,), strict=True), socket.socket(socket.AF_INET, kind) as sock:
            refused(lambda: call(sock, address))
        with routed(NOWHERE, strict=False), socket.socket(socket.AF_INET, kind) as sock:
            call(sock, address)
            mine = sock.getsockname()
        if kind == socket.SOCK_STREAM:
            peer, sender = server.accept()
            peer.close()
        else:
            _, sender = server.recvfrom(9)
        # The first to arrive is the second that was sent.
        assert sender[1] == mine[1]
    assert echo_server.port


@pytest.mark.parametrize("keeper", KEEPERS)
def test_a_saved_method_works_where_it_is_direct(keeper: str, echo_server: Target) -> None:
    connect, connect_ex = KEEPERS[keeper]("connect"), KEEPERS[keeper]("connect_ex")
    sendto, sendmsg = KEEPERS[keeper]("sendto"), KEEPERS[keeper]("sendmsg")
    socksify.install(NOWHERE, strict=True, routes=["192.0.2.0/24=direct"])
    for call in (connect, connect_ex):
        with socket.socket() as sock:
            assert not call(sock, echo_server.address)
            sock.sendall(b"ping")
            assert sock.recv(4) == b"ping"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(30)
        sendto(sock, b"one", other.getsockname())
        sendmsg(sock, [b"two"], [], 0, other.getsockname())
        connect(sock, other.getsockname())
        sendmsg(sock, [b"three"])
        assert [other.recv(9) for _ in range(3)] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("event", ["socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"])
@pytest.mark.usefixtures("installed")
def test_a_name_that_c_has_resolved_is_refused_all_the_same(event: str) -> None:
    """The look-up has been made by the time that the hook is told: see the README."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            refused(lambda sock=sock: sys.audit(event, sock, ("host.example", 80)))  # type: ignore[misc]
            sys.audit(event, sock, ("localhost", 80))


def test_datagrams_may_go_where_udp_is_direct() -> None:
    sent = sys.audit
    socksify.install(NOWHERE, strict=True, udp="direct")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            sent(event, sock, FAR)
            sent(event, sock, ("host.example", 80))
    with socket.socket() as sock:
        refused(lambda: sent("socket.connect", sock, FAR))


@pytest.mark.parametrize("udp", ["block", "direct"])
def test_frames(udp: str) -> None:
    """packet(7): the interface's name comes first."""
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    except PermissionError:
        pytest.skip("only root makes these")
    socksify.install(NOWHERE, strict=True, udp=udp)
    with sock:
        sys.audit("socket.sendto", sock, ("lo", 0x0800))
        if udp == "direct":
            sys.audit("socket.sendto", sock, ("eth0", 0x0800))
        else:
            assert "eth0" in refused(lambda: sys.audit("socket.sendto", sock, ("eth0", 0x0800)))


LOOKUPS: dict[str, Callable[[Callable[..., Any], Any], Any]] = {
    "getaddrinfo": lambda call, host: call(host, 80),
    "gethostbyname": lambda call, host: call(host),
    "gethostbyname_ex": lambda call, host: call(host),
    "gethostbyaddr": lambda call, host: call(host),
}
HOLDERS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "partial": lambda call: functools.partial(call),
    "default": _with_default,
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


def test_off_and_on_again() -> None:
    for _ in range(3):
        socksify.install(NOWHERE, strict=True)
        refused(_socket.socket)
        socksify.install(NOWHERE)
        _socket.socket().close()
        socksify.install(NOWHERE, strict=True)
        refused(_socket.socket)
        socksify.install(NOWHERE, strict=True, udp="direct")
        refused(_socket.socket)
        socksify.uninstall()
        _socket.socket().close()


def test_there_is_one_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    socksify.install(NOWHERE, strict=True)
    socksify.uninstall()
    monkeypatch.setattr(sys, "addaudithook", None)
    socksify.install(NOWHERE, strict=True)
    refused(_socket.socket)


def test_it_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "log"
    socksify.install("socks5h://user:secret@192.0.2.1:1080", strict=True, log=str(log))
    told = refused(_socket.socket)
    assert told.partition("] ")[2] in log.read_text()
    assert "secret" not in told


def test_names_of_all_threads_and_of_a_forked_child(installed: None) -> None:
    outcomes: list[str] = []
    thread = threading.Thread(target=lambda: outcomes.append(refused(_socket.socket)))
    thread.start()
    thread.join()
    assert len(outcomes) == 1
    pid = os.fork()
    if pid == 0:
        try:
            _socket.socket()
        except PermissionError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert installed is None


# What came through us.


def test_connections_through_the_proxy(proxy: Server, echo_server: Target) -> None:
    with routed(proxy.url(), strict=True):
        for host in echo_server.hosts:
            with socket.create_connection((host, echo_server.port), timeout=30) as sock:
                sock.sendall(b"ping")
                assert sock.recv(4) == b"ping"
        with socket.create_connection(("localhost", echo_server.port), timeout=30) as sock:
            sock.sendall(b"ping")
            assert sock.recv(4) == b"ping"


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4", "http"])
def test_every_scheme(scheme: str, echo_server: Target) -> None:
    with BadProxy(good(scheme)) as proxy:
        with routed(proxy.url(scheme), strict=True):
            socket.create_connection(echo_server.address, timeout=30).close()
            with socket.socket() as sock:
                assert sock.connect_ex(echo_server.address) == 0
        assert len(proxy.sessions) == 2


def test_an_ipv4_socket_and_an_ipv6_proxy(danted6: Server, echo_server: Target) -> None:
    """A fresh socket of our own is moved onto the client's fd."""
    with routed(danted6.url(), strict=True), socket.create_connection(echo_server.address, timeout=30) as sock:
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"


def test_a_proxy_by_name(danted: Server, echo_server: Target) -> None:
    url = danted.url().replace("127.0.0.1", "localhost")
    with routed(url, strict=True):
        socket.create_connection(echo_server.address, timeout=30).close()


def test_asyncio(proxy: Server, echo_server: Target) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(*echo_server.address)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()
        await writer.wait_closed()
        assert await loop.getaddrinfo("host.example", 80)
        assert await loop.getnameinfo(FAR) == ("192.0.2.7", "http")
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            pass
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        transport.close()
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")
        assert await child.wait() == 0

    with routed(proxy.url(), strict=True):
        asyncio.run(asyncio.wait_for(main(), 60))


def test_tls(danted: Server, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with certificates.server().wrap_socket(peer, server_side=True) as wrapped:
            wrapped.sendall(b"hello")

    thread = threading.Thread(target=serve)
    thread.start()
    with routed(danted.url(), strict=True), listener:
        sock = socket.create_connection(listener.getsockname(), timeout=30)
        with certificates.client().wrap_socket(sock, server_hostname="target.example") as wrapped:
            assert wrapped.recv(9) == b"hello"
        thread.join()


def test_a_page(proxy: Server, http_server: Target) -> None:
    with routed(proxy.url(), strict=True), urllib.request.urlopen(f"{http_server.url}/", timeout=30) as answer:
        assert answer.read() == PAGE


def test_servers_and_what_stays_on_this_machine() -> None:
    with routed(NOWHERE, routes=(), strict=True):
        with (
            socket.create_server(("", 0)) as listener,
            socket.create_connection(("127.0.0.1", listener.getsockname()[1])),
        ):
            peer, _ = listener.accept()
            peer.dup().close()
            socket.fromfd(peer.fileno(), peer.family, peer.type).close()
            socket.socket(fileno=peer.detach()).close()
        one, other = socket.socketpair()
        one.close()
        other.close()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("localhost", 0))
            sock.sendto(b"x", sock.getsockname())
            sock.sendmsg([b"y"], [], 0, sock.getsockname())
            assert [sock.recv(9), sock.recv(9)] == [b"x", b"y"]
        assert subprocess.run([sys.executable, "-c", "pass"], check=True).returncode == 0


# Whole programs.

PROGRAM = """
import _socket, socket, threading
listener = socket.create_server(("127.0.0.1", 0))
orig = _socket.socket.connect
for host in ("127.0.0.1", "localhost"):
    with socket.create_connection((host, listener.getsockname()[1]), timeout=30) as sock:
        peer, _ = listener.accept()
        peer.sendall(b"hello")
        peer.close()
        print(sock.recv(99))
for call in (_socket.socket, lambda: orig(socket.socket(), listener.getsockname())):
    try:
        call()
    except PermissionError as error:
        print("refused")
"""


@pytest.mark.parametrize("flags", [[], ["-X", "dev"], ["-I"]], ids=str)
def test_a_program_on_the_embedded_server(flags: list[str], tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.write("program.py", PROGRAM)
    routes = ["--route", "127.0.0.0/8=proxy", "--route", "localhost=proxy"]
    child = both.python("-m", "socksify", "--embedded", "--strict", *routes, "program.py", flags=flags)
    if "-X" in flags:
        # Development mode names what the program leaves to the garbage collector.
        assert b"Error" not in child.stderr
    else:
        assert child.stderr == b""
    assert child.stdout.splitlines() == [b"b'hello'"] * 2 + [b"refused"] * 2
    assert child.returncode == 0


@pytest.mark.parametrize(
    "program",
    {
        "threads": "import socket, threading, time\n"
        "def work():\n    while True:\n        socket.socket().close(); socket.getaddrinfo('127.0.0.1', 1)\n"
        "[threading.Thread(target=work, daemon=True).start() for _ in range(4)]\ntime.sleep(0.1)\nprint('end')",
        "atexit": "import atexit, socket\natexit.register(lambda: socket.socket().close())\nprint('end')",
        "__del__": "import socket\nclass Late:\n    def __del__(self, make=socket.socket):\n        make().close()\n"
        "late = Late()\nlate.itself = late\nprint('end')",
        "subprocess": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)\nprint('end')",
        "multiprocessing": "import multiprocessing\nif __name__ == '__main__':\n"
        "    with multiprocessing.get_context('fork').Pool(1) as pool:\n        pool.map(abs, [1])\n    print('end')",
        "another hook": "import sys, socket\nheard = []\nsys.addaudithook(lambda event, _: heard.append(event))\n"
        "socket.socket().close()\nassert 'socket.__new__' in heard\nprint('end')",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_program_ends_as_it_would(program: tuple[str, str], tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.write("program.py", program[1])
    child = both.socksify("--strict", "program.py")
    assert (child.returncode, child.stdout, child.stderr) == (0, b"end\n", b"")


def test_a_hook_that_lets_no_other_in(tmp_path: Path) -> None:
    """sys.addaudithook() says nothing then; install() does, nothing is patched, and the network is closed."""
    both = Both(tmp_path)
    both.write(
        "program.py",
        "import sys, socket, socksify\n"
        "def only(event, _):\n    if event == 'sys.addaudithook': raise RuntimeError('no')\n"
        "sys.addaudithook(only)\n"
        "try:\n    socksify.install('socks5h://127.0.0.1:9', strict=True)\n"
        "except socksify.ConfigError as error:\n    print(error)\n"
        "from socksify import patches\n"
        "assert not patches.is_installed()\n"
        "for call in (lambda: socket.create_connection(('127.0.0.1', 9)), lambda: socket.gethostbyname('a.example'),\n"
        "             lambda: socket.getaddrinfo('a.example', 1), lambda: socket.socket().connect(('127.0.0.1', 9))):\n"
        "    try:\n        call()\n"
        "    except OSError as error:\n        print(error.errno)\n",
    )
    child = both.python("program.py")
    assert (child.returncode, child.stderr) == (0, b"")
    assert child.stdout == b"strict: another audit hook of this process does not let ours in\n" + b"100\n" * 4
