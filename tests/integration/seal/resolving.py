"""A network in which real resolvers ask our responder, and the responder's side of it.

The sealed programs are in an empty namespace, as their UDP sockets are under a seal: every address leads to the
responder. The supervisor's sockets are in another namespace, with a name server and a proxy.

    sealed: dig, glibc, ...  -- port 53 of every address --  responder    outside: name server 203.0.113.53, proxy
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import pytest

from socksify import _originals
from socksify.config.loader import load
from socksify.routing import local_host
from socksify.routing.hosts_file import SystemFile
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router
from socksify.seal.dns import answers as subject
from socksify.seal.dns.answers import Answers, parse_search_list
from socksify.seal.dns.responder import TcpResponder, UdpResponder
from socksify.seal.notices import Notices
from socksify.seal.streams.dial import Dialer
from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import Threads
from tests.support.network.namespaces import PROGRAMS, Namespace, etc, needs_root
from tests.support.processes import require, running
from tests.support.targets import Server4, serving

NAME_SERVER, NAME_SERVER6, PROXY = "203.0.113.53", "2001:db8::53", ("127.0.0.1", 1080)
SECONDS = 60
# <linux/in6.h>; the `socket` module does not have it.
IPV6_FREEBIND = 78
# AI_ADDRCONFIG needs addresses that are not loopback's.
ADDRESSES = ("addr add 192.0.2.1 dev lo", "addr add 2001:db8:1::1 dev lo")
FILES = {
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "hosts: files dns\n",
    "resolv.conf": f"nameserver {NAME_SERVER}\nnameserver {NAME_SERVER6}\noptions timeout:5 attempts:1\n",
}
ZONE = {
    ("host.lan.", "A"): ("192.0.2.7",),
    ("host.lan.", "AAAA"): ("2001:db8::7",),
    ("large.lan.", "TXT"): tuple(f'"{number:0200}"' for number in range(30)),
    ("7.2.0.192.in-addr.arpa.", "PTR"): ("host.lan.",),
    ("target.example.", "MX"): ("10 mail.target.example.",),
    ("large.example.", "TXT"): tuple(f'"{number:0200}"' for number in range(30)),
}


class ZoneServer:
    """Answers from ZONE on port 53, over UDP and TCP. `asked` has (transport, name, type) of each query."""

    def __init__(self, host: str) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._host = host

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        outer = self

        class Datagrams(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, server = self.request
                server.sendto(outer.answer(query, "udp"), self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while length := self.rfile.read(2):
                    answer = outer.answer(self.rfile.read(int.from_bytes(length, "big")), "tcp")
                    self.wfile.write(len(answer).to_bytes(2, "big") + answer)

        at = self._host, 53
        with serving(socketserver.ThreadingUDPServer(at, Datagrams)), serving(Server4(at, Stream)):
            yield

    def answer(self, data: bytes, transport: str) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        kind = question.rdtype.name
        name = question.name.to_text().lower()
        self.asked.append((transport, name, kind))
        response = dns.message.make_response(query, recursion_available=True)
        records = ZONE.get((name, kind), ())
        if records:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif not any(name == known for known, _ in ZONE):
            response.set_rcode(dns.rcode.NXDOMAIN)
        size = 0xFFFF if transport == "tcp" else query.payload or 512
        try:
            return response.to_wire(max_size=size)
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()


class Resolving:
    """Runs programs beside a responder. `server` is the name server outside."""

    def __init__(self, sealed: Namespace, server: ZoneServer) -> None:
        self._sealed = sealed
        self.server = server

    def run(self, *argv: str, status: int = 0) -> str:
        """Run a program, which has to end with this status, and return its output."""
        command = self._sealed.command(*argv)
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=PROGRAMS)
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, program: str) -> list[str]:
        """Run a program of Python without patches. Return the words of its output."""
        return self.run(sys.executable, "-W", "error", "-c", program).split()


@contextlib.contextmanager
def machine(directory: Path, resolv_conf: str = "") -> Iterator[tuple[Namespace, ZoneServer]]:
    """Make a namespace for the length of the block, with its name server and a proxy that resolves names."""
    needs_root()
    files = {**FILES, "resolv.conf": FILES["resolv.conf"] + resolv_conf}
    server = ZoneServer(NAME_SERVER)
    with contextlib.ExitStack() as stack:
        namespace = stack.enter_context(Namespace(etc(directory / "machine", files), "machine"))
        namespace.ip(f"addr add {NAME_SERVER} dev lo", *ADDRESSES)
        with namespace.inside():
            stack.enter_context(server.running())
            argv = [require("microsocks"), "-i", PROXY[0], "-p", str(PROXY[1])]
            stack.enter_context(running(argv, "microsocks", PROXY, directory / "log"))
        yield namespace, server


@contextlib.contextmanager
def resolving(*routes: str, resolv_conf: str = "", **settings: str) -> Iterator[Resolving]:
    """Build the network for the length of the block, with a proxy that resolves names."""
    needs_root()
    files = {**FILES, "resolv.conf": FILES["resolv.conf"] + resolv_conf}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="socksify-resolving-")))
        sealed = stack.enter_context(Namespace(etc(directory / "sealed", files), "sealed"))
        sealed.ip("route add local 0.0.0.0/0 dev lo", "route add local ::/0 dev lo", *ADDRESSES)
        outside, server = stack.enter_context(machine(directory))
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        monkeypatch.setattr(local_host, "nameservers", lambda: (NAME_SERVER, NAME_SERVER6))
        listed = SystemFile(str(directory / "sealed" / "resolv.conf"), parse_search_list)
        monkeypatch.setattr(subject, "SEARCH_LIST", listed)
        given = {"proxy": ("socks5h://127.0.0.1:1080",), "routes": routes, **settings}
        loaded = load(given, {}, "/", caller="the test")
        stack.enter_context(_responders(sealed, outside, lambda loop: _answers(loop, loaded)))
        yield Resolving(sealed, server)


def _answers(loop: Loop, settings: object) -> Answers:
    router = Router(settings)  # type: ignore[arg-type]
    dialer = Dialer(loop, Threads(loop), Notices())
    return Answers(router, Lookups(router), settings, loop, dialer)  # type: ignore[arg-type]


@contextlib.contextmanager
def _responders(sealed: Namespace, outside: Namespace, answers: Callable[[Loop], Answers]) -> Iterator[None]:
    """Answer in `sealed`, with sockets of our own in `outside`."""
    loop = Loop()
    with sealed.inside():
        datagrams = loop.datagrams(socket.AF_INET6)
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        datagrams.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        datagrams.bind(("::", 53))
        listener = loop.stream(socket.AF_INET6)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        _originals.bind(listener, ("::", 53))
        listener.listen()
    made = answers(loop)
    UdpResponder(loop, datagrams, made)
    TcpResponder(loop, listener, made)
    with outside.inside():
        thread = threading.Thread(target=loop.run)
        thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(SECONDS)
        loop.close()
        assert not thread.is_alive()
