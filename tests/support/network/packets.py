"""Decodes captured frames into what describes a leak: protocol, addresses, port, the name in a DNS query."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 136: "udplite"}
HOP_BY_HOP = 0
# ICMPv6 types that kernels send by themselves, for multicast (RFC 2710, RFC 3810), routers, neighbours (RFC 4861).
LINK_TALK = {130, 131, 132, 133, 134, 135, 136, 137, 143}
DOMAIN = 53
# Over TCP, the message's length precedes the DNS message (RFC 1035, 4.2.2).
DNS_HEADER, TCP_LENGTH = 12, 2
# RFC 9293, 3.1.
SYN, ACK = 0x02, 0x10


@dataclass(frozen=True)
class Packet:
    """One captured packet.

    `protocol` is `tcp`, `udp`, `icmp`, ...; `ip N` or `ether N` for a protocol without a name here. `port` is the
    destination port, None if the protocol has no ports. `question` is the name that a DNS query asks for. `link_talk`
    is True for a packet that the kernel sends by itself. `opens` is True for the first packet of a TCP connection.
    """

    protocol: str
    source: str = ""
    target: str = ""
    port: int | None = None
    question: str | None = None
    link_talk: bool = False
    opens: bool = False

    @property
    def kind(self) -> str:
        """The name of the leak in one word. A DNS query is `dns` over UDP and over TCP."""
        return "dns" if self.port == DOMAIN and self.protocol in ("tcp", "udp") else self.protocol.split()[0]

    def __str__(self) -> str:
        port = "" if self.port is None else f" port {self.port}"
        question = "" if self.question is None else f" asking for {self.question}"
        return f"{self.protocol} to {self.target or 'the link'}{port}{question}"


def parse(ethertype: int, data: bytes) -> Packet:
    """Decode a frame of type `ethertype`. `data` begins after the frame's header."""
    try:
        if ethertype == ETH_P_IP:
            return _ipv4(data)
        if ethertype == ETH_P_IPV6:
            return _ipv6(data)
    except (IndexError, struct.error):
        # The frame is too short for its type. It is still a leak.
        return Packet(f"ether {ethertype:#06x}")
    return Packet(f"ether {ethertype:#06x}", link_talk=ethertype == ETH_P_ARP)


def _ipv4(data: bytes) -> Packet:
    source, target = (str(ipaddress.IPv4Address(data[at : at + 4])) for at in (12, 16))
    return _carried(data[9], source, target, data[(data[0] & 0xF) * 4 :])


def _ipv6(data: bytes) -> Packet:
    source, target = (str(ipaddress.IPv6Address(data[at : at + 16])) for at in (8, 24))
    number, payload = data[6], data[40:]
    if number == HOP_BY_HOP:
        number, payload = payload[0], payload[(payload[1] + 1) * 8 :]
    return _carried(number, source, target, payload)


def _carried(number: int, source: str, target: str, payload: bytes) -> Packet:
    protocol = PROTOCOLS.get(number, f"ip {number}")
    if protocol == "icmp6":
        return Packet(protocol, source, target, link_talk=payload[0] in LINK_TALK)
    if protocol not in ("tcp", "udp", "udplite"):
        return Packet(protocol, source, target)
    (port,) = struct.unpack_from("!H", payload, 2)
    body = payload[8:] if protocol != "tcp" else payload[(payload[12] >> 4) * 4 + TCP_LENGTH :]
    opens = protocol == "tcp" and payload[13] & (SYN | ACK) == SYN
    return Packet(protocol, source, target, port, question(body) if port == DOMAIN else None, opens=opens)


def question(message: bytes) -> str | None:
    """Return the name that a DNS query asks for, None if the message has no question."""
    labels, at = [], DNS_HEADER
    while at < len(message) and (length := message[at]):
        labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels) or None
