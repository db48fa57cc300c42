"""A network in which each name of `lookup_calls` has the address that is its fake address when the name is routed.

The network is a namespace with this machine alone, its hosts file, and a name server that records its queries. Native
look-ups get the same addresses as the table of fake addresses gives, so results can be compared exactly. When names are
routed, no query may reach the name server.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.lookup_calls import FAKE, OWN, OWN_ADDRESS
from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.network.packets import question
from tests.support.paths import ROOT

# The machine's addresses outside loopback, and other names that the name server knows.
HERE = ("203.0.113.7", "2001:db8:ffff::7")
OTHERS = ("printer.lan", "www.corp.example")
PROXY = "socks5h://192.0.2.1:1080"
SECONDS = 60
FILES = {
    "hosts": f"127.0.0.1 localhost\n::1 ip6-localhost\n{OWN_ADDRESS} {OWN}.lan {OWN}\n",
    "resolv.conf": "nameserver 127.0.0.1\nsearch .\noptions timeout:1 attempts:1\n",
    "nsswitch.conf": "hosts: files dns\nservices: files\nprotocols: files\nnetworks: files\n",
}
# RFC 1035, 3.2.2 and 4.1.1; RFC 3596.
A, PTR, AAAA, IN = 1, 12, 28, 1
RESPONSE, NO_SUCH_NAME = 0x8180, 3
HEADER = struct.Struct("!6H")
# A compression pointer to the name in the question, which follows the header (4.1.4).
THE_NAME_ASKED_FOR = 0xC000 | HEADER.size


class Zone:
    """The records of the name server: addresses of one family, and their names."""

    def __init__(self) -> None:
        known = {**FAKE, **dict.fromkeys(OTHERS, HERE)}
        self.addresses = {name: dict(zip((A, AAAA), both, strict=True)) for name, both in known.items()}
        self._reverse = {_reverse(literal): name for name, both in FAKE.items() for literal in both}
        self.type = A

    def answer(self, query: bytes) -> bytes:
        """Return the answer to a query. Each host has one address."""
        number, *_ = HEADER.unpack_from(query)
        name = (question(query) or "").lower()
        end = query.index(b"\0", HEADER.size) + 5
        (wanted,) = struct.unpack_from("!H", query, end - 4)
        known = name in self.addresses or name in self._reverse
        record = self._record(name, wanted)
        head = HEADER.pack(number, RESPONSE | (0 if known else NO_SUCH_NAME), 1, 1 if record else 0, 0, 0)
        return head + query[HEADER.size : end] + record

    def _record(self, name: str, wanted: int) -> bytes:
        if wanted == PTR and name in self._reverse:
            labels = self._reverse[name].encode().split(b".")
            data = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
        elif wanted == self.type and name in self.addresses:
            family = socket.AF_INET if wanted == A else socket.AF_INET6
            data = socket.inet_pton(family, self.addresses[name][wanted])
        else:
            return b""
        return struct.pack("!HHHIH", THE_NAME_ASKED_FOR, wanted, IN, 60, len(data)) + data


def _reverse(literal: str) -> str:
    if ":" in literal:
        return ".".join(reversed(socket.inet_pton(socket.AF_INET6, literal).hex())) + ".ip6.arpa"
    return ".".join(reversed(literal.split("."))) + ".in-addr.arpa"


class LookupNetwork:
    """Runs programs in the network. `queries` has the names that they asked the name server for."""

    def __init__(self, namespace: Namespace, zone: Zone, queries: list[str]) -> None:
        self._namespace, self.zone, self.queries = namespace, zone, queries

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Return a block in which this thread opens its sockets in the network."""
        return self._namespace.inside()

    def run(self, *argv: str, **environment: str) -> str:
        """Run a program that must succeed, and return its output. It is Python unless the first word is a path."""
        command = self._namespace.command(*self._argv(argv))
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        assert done.returncode == 0 and not done.stderr, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    @staticmethod
    def _argv(argv: tuple[str, ...]) -> list[str]:
        return list(argv) if argv[0].startswith("/") else [sys.executable, "-bb", "-W", "error", *argv]

    def outcomes(self, family: int, *words: str) -> Mapping[str, str]:
        """Return the outcomes of the calls that ask for this family: native ones or, given a proxy, routed ones."""
        self.zone.type = AAAA if family == socket.AF_INET6 else A
        wanted = "6" if family == socket.AF_INET6 else "4"
        printed = self.run("-m", "tests.support.lookup_calls", wanted, *words)
        outcomes: dict[str, str] = json.loads(printed)
        return outcomes


@contextlib.contextmanager
def lookup_network(hosts: str = FILES["hosts"], addresses: Sequence[str] = HERE) -> Iterator[LookupNetwork]:
    """Build the network for the length of the block."""
    needs_root()
    with tempfile.TemporaryDirectory(prefix="socksify-naming-") as path:
        files = etc(Path(path) / "etc", {**FILES, "hosts": hosts})
        with Namespace(files, OWN) as namespace:
            # AI_ADDRCONFIG needs an address that is not loopback's.
            namespace.ip(*(f"addr add {literal} dev lo" for literal in addresses))
            zone, queries = Zone(), list[str]()
            with _served(namespace, zone, queries):
                yield LookupNetwork(namespace, zone, queries)


@contextlib.contextmanager
def _served(namespace: Namespace, zone: Zone, queries: list[str]) -> Iterator[None]:
    with namespace.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))

    def serve() -> None:
        while True:
            query, client = server.recvfrom(4096)
            if not query:
                return
            queries.append(question(query) or ".")
            server.sendto(zone.answer(query), client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", 53))
        thread.join()
        server.close()
