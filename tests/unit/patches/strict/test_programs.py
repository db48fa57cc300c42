"""What came through us, or has no business with the network, is let alone; and the hook itself."""

from __future__ import annotations

import _socket
import asyncio
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

import socksify
from tests.support.bad_proxy import BadProxy
from tests.support.both import Both
from tests.support.certificates import Certificates
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import good
from tests.support.strict_refusals import FAR, NOWHERE, refused
from tests.support.targets import PAGE, Target


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
    child = both.python("-m", "socksify", "--embedded", "--strict", "--seal=off", *routes, "program.py", flags=flags)
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
    child = both.socksify("--strict", "--seal=off", "program.py")
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
