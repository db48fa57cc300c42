"""Records every packet that leaves a client's namespace, at the far end of the client's wire.

One packet socket receives from all wires, and the kernel says which interface each packet arrived at. The kernel copies
a packet to this socket before any layer could drop, answer or forward the packet. So each packet that a client sends
is recorded, whatever happens to it afterwards.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import defaultdict

from tests.support.network.namespaces import Namespace
from tests.support.network.packets import Packet, parse

ETH_P_ALL = 0x0003
# packet(7), socket(7).
SOL_PACKET, PACKET_STATISTICS, PACKET_OUTGOING, SO_RCVBUFFORCE = 263, 6, 4, 33
ETHERNET_HEADER = 14
LOOPBACK = "lo"
# The first bytes hold the headers and a DNS question.
SNAPSHOT = 512
BUFFER_BYTES = 1 << 26
SETTLE_SECONDS = 10.0
# Port 9 (discard, RFC 863) of an address (RFC 5737) that no client knows.
MARKER = ("192.0.2.9", 9)


class PacketCapture:
    """Records, by interface, the packets that arrive in `namespace` from now on."""

    def __init__(self, namespace: Namespace) -> None:
        with namespace.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._socket.settimeout(SETTLE_SECONDS)
        self._arrived: dict[str, list[Packet]] = defaultdict(list)
        self._markers: dict[str, int] = defaultdict(int)

    def close(self) -> None:
        self._socket.close()

    def packets(self, client: Namespace, interface: str) -> list[Packet]:
        """Return all packets that the programs in `client` have sent by this interface since the last call."""
        expected = _mark(client)
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._markers[interface] < expected:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the markers did not arrive by {interface}")
            self._read()
        self._check_that_none_is_lost()
        del self._markers[interface]
        return self._arrived.pop(interface, [])

    def on_loopback(self) -> list[Packet]:
        """Return the packets sent inside the recorded namespace between the last two calls of `packets()`."""
        return self._arrived.pop(LOOPBACK, [])

    def _read(self) -> None:
        frame, (interface, ethertype, direction, _, _) = self._socket.recvfrom(SNAPSHOT)
        packet = parse(ethertype, frame[ETHERNET_HEADER:])
        if direction == PACKET_OUTGOING or packet.link_talk:
            return
        if (packet.target, packet.port) == MARKER:
            self._markers[interface] += 1
        else:
            self._arrived[interface].append(packet)

    def _check_that_none_is_lost(self) -> None:
        _, dropped = struct.unpack("II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if dropped:
            raise RuntimeError(f"the capture lost {dropped} packets")


def _mark(client: Namespace) -> int:
    """Send a marker from every CPU, and return the number of markers.

    A packet waits in the queue of the CPU that sent it, and each queue keeps its order. When the markers of all CPUs
    have arrived, every packet sent before them has arrived too.
    """
    cpus = os.sched_getaffinity(0)
    with client.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                sender.sendto(b"", MARKER)
        finally:
            os.sched_setaffinity(0, cpus)
    return len(cpus)
