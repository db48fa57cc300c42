"""A network that answers every client and records every packet that a client sends.

    client ==== wire ==== outside: the packet capture, the proxy, the targets, the name server
    client ==== wire ====

Every client gets a network namespace of its own. Its only wire, its default routes (IPv4, IPv6) and its resolver lead
to the namespace "outside". The proxy, the targets and their name server run there, and they are real servers. A client
that bypasses the proxy is therefore not stopped by silence after its first packet: it goes on, and everything that it
leaks is recorded.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.certificates import Certificates
from tests.support.network.addresses import NAME_SERVER, PROXY, TARGET, TARGET4, TARGET6, TOR
from tests.support.network.capture import PacketCapture
from tests.support.network.name_server import name_server
from tests.support.network.namespaces import Namespace, etc
from tests.support.network.packets import Packet
from tests.support.network.target_servers import targets
from tests.support.network.tor_server import tor
from tests.support.processes import require, running

NSSWITCH = "hosts: files dns\n"
LOCALHOST = "127.0.0.1 localhost\n::1 localhost\n"
# Each wire has a /30, and a /24 has room for this many.
LINKS = 64
TARGETS = (TARGET4, TARGET6, NAME_SERVER)
# microsocks logs each connection: "client[7] 203.0.113.2: connected to target.example:80".
LOG, CONNECTED = "microsocks.log", re.compile(r": connected to (\S+)")


class RecordedNetwork:
    """The network. The targets run in `namespace`; those that speak TLS use `certificates`."""

    def __init__(
        self, namespace: Namespace, capture: PacketCapture, certificates: Certificates, directory: Path
    ) -> None:
        self.certificates = certificates
        self.namespace = namespace
        self._capture = capture
        self._log = directory / LOG
        resolver = f"nameserver {NAME_SERVER}\noptions timeout:5 attempts:2\n"
        files = {"resolv.conf": resolver, "hosts": LOCALHOST, "nsswitch.conf": NSSWITCH}
        self._etc = etc(directory / "client", files)
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A namespace for one client."""
        number = next(self._numbers)
        # The machine's own name is in no hosts file, so a native client must ask the name server for it.
        with Namespace(self._etc, "desk") as namespace:
            wire = f"wire{number}"
            _lay(self.namespace, namespace, wire, number % LINKS)
            yield Client(namespace, self._capture, wire)

    def connected(self) -> list[str]:
        """Return the destinations that the proxy has connected to so far, in order, each as HOST:PORT."""
        return CONNECTED.findall(self._log.read_text())

    def reached(self) -> list[Packet]:
        """Return the first packets of the proxy's connections to targets since the last call.

        They are captured on the loopback interface of the namespace. A client that bypasses the proxy comes by its
        wire, so its connections are not among them.
        """
        return [packet for packet in self._capture.on_loopback() if packet.opens and packet.target in TARGETS]


class Client:
    """The namespace that one client runs in."""

    def __init__(self, namespace: Namespace, capture: PacketCapture, wire: str) -> None:
        self.namespace = namespace
        self._capture, self._wire = capture, wire

    def command(self, *argv: str) -> list[str]:
        return self.namespace.command(*argv)

    def packets(self) -> list[Packet]:
        """Return the packets that the client has sent since the last call."""
        return self._capture.packets(self.namespace, self._wire)


@contextlib.contextmanager
def recorded_network() -> Iterator[RecordedNetwork]:
    """Build the network for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="socksify-wire-") as path, contextlib.ExitStack() as stack:
        directory = Path(path)
        hosts = f"{LOCALHOST}{TARGET4} {TARGET}\n{TARGET6} {TARGET}\n"
        files = etc(directory / "outside", {"hosts": hosts, "nsswitch.conf": NSSWITCH, "resolv.conf": ""})
        namespace = stack.enter_context(Namespace(files, "outside"))
        for address in (f"{PROXY[0]}/32", f"{NAME_SERVER}/32", f"{TARGET4}/32", f"{TARGET6}/128"):
            namespace.ip(f"addr add {address} dev lo")
        (directory / "certificates").mkdir()
        certificates = Certificates(directory / "certificates")
        with namespace.inside():
            stack.enter_context(targets((TARGET4, TARGET6), certificates))
            stack.enter_context(name_server(NAME_SERVER, {TARGET: (TARGET4, TARGET6)}))
            stack.enter_context(tor(TOR, {TARGET: TARGET4}))
            proxy = namespace.command(require("microsocks"), "-i", PROXY[0], "-p", str(PROXY[1]))
            stack.enter_context(running(proxy, "microsocks", PROXY, directory / LOG))
        capture = PacketCapture(namespace)
        stack.callback(capture.close)
        yield RecordedNetwork(namespace, capture, certificates, directory)


def _lay(here: Namespace, client: Namespace, wire: str, number: int) -> None:
    """Lay a wire from `here` to the client. Both ends have the other's link address, so neither sends ARP requests."""
    ours, theirs = f"02:00:00:00:01:{number:02x}", f"02:00:00:00:02:{number:02x}"
    our4, their4 = f"203.0.113.{number * 4 + 1}", f"203.0.113.{number * 4 + 2}"
    our6, their6 = f"2001:db8:ffff:{number:x}::1", f"2001:db8:ffff:{number:x}::2"
    here.ip(
        f"link add {wire} address {ours} type veth peer name eth0 address {theirs} netns {client.pid}",
        f"addr add {our4}/30 dev {wire}",
        f"addr add {our6}/64 dev {wire} nodad",
        f"link set {wire} up",
        f"neigh replace {their4} lladdr {theirs} dev {wire} nud permanent",
        f"neigh replace {their6} lladdr {theirs} dev {wire} nud permanent",
    )
    client.ip(
        f"addr add {their4}/30 dev eth0",
        f"addr add {their6}/64 dev eth0 nodad",
        "link set eth0 up",
        f"neigh replace {our4} lladdr {ours} dev eth0 nud permanent",
        f"neigh replace {our6} lladdr {ours} dev eth0 nud permanent",
        f"route add default via {our4}",
        f"route add ::/0 via {our6}",
    )
