"""What lies around a client that is put to the proof: a network that answers everybody and writes down who asked.

    client ==== wire ==== outside: the sink, the proxy, the targets, the name server
    client ==== wire ====

Every client gets a namespace of its own, whose only wire, default routes (IPv4, IPv6) and resolver lead here. Here the
proxy listens, and the targets and their name server are real: a client that goes round the proxy is not stopped by
silence after its first packet but gets on, and everything that it would betray is on record.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.reports.wire.names import name_server
from tests.reports.wire.namespaces import Namespace, etc
from tests.reports.wire.packets import Packet
from tests.reports.wire.places import NAME_SERVER, PROXY, TARGET, TARGET4, TARGET6, TOR
from tests.reports.wire.sink import Sink
from tests.reports.wire.targets import targets
from tests.reports.wire.tor import tor
from tests.support.certificates import Certificates
from tests.support.processes import require, running

NSSWITCH = "hosts: files dns\n"
LOCALHOST = "127.0.0.1 localhost\n::1 localhost\n"
# A /24 has room for so many wires at a time, each with a network of its own.
LINKS = 64
TARGETS = (TARGET4, TARGET6, NAME_SERVER)
# microsocks tells of each client: "client[7] 203.0.113.2: connected to target.example:80".
LOG, CONNECTED = "microsocks.log", re.compile(r": connected to (\S+)")


class Outside:
    """The network; `certificates` are those of the targets that speak TLS, `namespace` is where targets are."""

    def __init__(self, namespace: Namespace, sink: Sink, certificates: Certificates, directory: Path) -> None:
        self.certificates = certificates
        self.namespace = namespace
        self._sink = sink
        self._log = directory / LOG
        resolver = f"nameserver {NAME_SERVER}\noptions timeout:5 attempts:2\n"
        files = {"resolv.conf": resolver, "hosts": LOCALHOST, "nsswitch.conf": NSSWITCH}
        self._etc = etc(directory / "client", files)
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A namespace for one client."""
        number = next(self._numbers)
        # The machine's own name is in no hosts file: who wants to know it natively has to ask.
        with Namespace(self._etc, "desk") as namespace:
            wire = f"wire{number}"
            _lay(self.namespace, namespace, wire, number % LINKS)
            yield Client(namespace, self._sink, wire)

    def connected(self) -> list[str]:
        """What the proxy says that it has connected to so far, each as HOST:PORT, in order."""
        return CONNECTED.findall(self._log.read_text())

    def reached(self) -> list[Packet]:
        """The first packets of the connections to targets from here, since this was last asked.

        From here means by the proxy: a client that goes round it comes by a wire, and is no part of this.
        """
        return [packet for packet in self._sink.at_home() if packet.opens and packet.target in TARGETS]


class Client:
    """Where one client runs."""

    def __init__(self, namespace: Namespace, sink: Sink, wire: str) -> None:
        self.namespace = namespace
        self._sink, self._wire = sink, wire

    def command(self, *argv: str) -> list[str]:
        return self.namespace.command(*argv)

    def packets(self) -> list[Packet]:
        """What has come out of it so far."""
        return self._sink.packets(self.namespace, self._wire)


@contextlib.contextmanager
def outside() -> Iterator[Outside]:
    """The network, for the length of the block."""
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
        sink = Sink(namespace)
        stack.callback(sink.close)
        yield Outside(namespace, sink, certificates, directory)


def _lay(here: Namespace, client: Namespace, wire: str, number: int) -> None:
    """Lays a wire from `here` to the client; each end knows the other's address, so that neither has to ask."""
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
