"""Frames made by hand, and how each is decoded."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.support.network.packets import ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, Packet, parse

TCP, UDP, ICMP, SCTP, ICMP6 = 6, 17, 1, 132, 58
QUERY = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + b"\x06target\x07example\0" + struct.pack("!2H", 1, 1)


def ipv4(protocol: int, payload: bytes, options: bytes = b"") -> bytes:
    words = 5 + len(options) // 4
    addresses = socket.inet_aton("203.0.113.2") + socket.inet_aton("198.51.100.7")
    return struct.pack("!BBHHHBBH", 0x40 | words, 0, 0, 0, 0, 64, protocol, 0) + addresses + options + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::2") + socket.inet_pton(socket.AF_INET6, "2001:db8:7::7")
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + addresses + payload


def udp(port: int, body: bytes = b"") -> bytes:
    return struct.pack("!4H", 40000, port, 8 + len(body), 0) + body


def tcp(port: int, body: bytes = b"", options: bytes = b"") -> bytes:
    words = 5 + len(options) // 4
    return struct.pack("!HHIIBBHHH", 40000, port, 0, 0, words << 4, 2, 0, 0, 0) + options + body


FRAMES = {
    "tcp": (ETH_P_IP, ipv4(TCP, tcp(80)), "tcp to 198.51.100.7 port 80"),
    "IP options": (ETH_P_IP, ipv4(TCP, tcp(80), options=bytes(8)), "tcp to 198.51.100.7 port 80"),
    "tcp over IPv6": (ETH_P_IPV6, ipv6(TCP, tcp(80)), "tcp to 2001:db8:7::7 port 80"),
    "udp": (ETH_P_IP, ipv4(UDP, udp(123)), "udp to 198.51.100.7 port 123"),
    "a query": (ETH_P_IP, ipv4(UDP, udp(53, QUERY)), "udp to 198.51.100.7 port 53 asking for target.example"),
    "a query over IPv6": (
        ETH_P_IPV6,
        ipv6(UDP, udp(53, QUERY)),
        "udp to 2001:db8:7::7 port 53 asking for target.example",
    ),
    "a query over TCP": (
        ETH_P_IP,
        ipv4(TCP, tcp(53, len(QUERY).to_bytes(2) + QUERY, options=bytes(12))),
        "tcp to 198.51.100.7 port 53 asking for target.example",
    ),
    "a SYN to a name server": (ETH_P_IP, ipv4(TCP, tcp(53)), "tcp to 198.51.100.7 port 53"),
    "ping": (ETH_P_IP, ipv4(ICMP, bytes(8)), "icmp to 198.51.100.7"),
    "ping over IPv6": (ETH_P_IPV6, ipv6(ICMP6, bytes([128, 0, 0, 0])), "icmp6 to 2001:db8:7::7"),
    "SCTP": (ETH_P_IP, ipv4(SCTP, bytes(12)), "ip 132 to 198.51.100.7"),
    "an experiment": (0x88B5, b"anything", "ether 0x88b5 to the link"),
    "cut short": (ETH_P_IP, ipv4(TCP, b"\0"), "ether 0x0800 to the link"),
}


@pytest.mark.parametrize(("ethertype", "data", "told"), FRAMES.values(), ids=FRAMES)
def test_what_a_frame_is(ethertype: int, data: bytes, told: str) -> None:
    packet = parse(ethertype, data)
    assert str(packet) == told
    assert not packet.link_talk


@pytest.mark.parametrize(
    ("ethertype", "data"),
    [
        (ETH_P_ARP, bytes(28)),
        (ETH_P_IPV6, ipv6(ICMP6, bytes([135, 0, 0, 0]))),
        # A multicast listener's report has a hop-by-hop header before it.
        (ETH_P_IPV6, ipv6(0, bytes([ICMP6, 0, 5, 2, 0, 0, 1, 0]) + bytes([143, 0, 0, 0]))),
    ],
    ids=["ARP", "neighbour solicitation", "multicast listener report"],
)
def test_talk_of_the_link_is_no_leak(ethertype: int, data: bytes) -> None:
    assert parse(ethertype, data).link_talk


def test_kinds_are_words() -> None:
    assert Packet("udp", port=53).kind == Packet("tcp", port=53).kind == "dns"
    assert [Packet("udp", port=5353).kind, Packet("ip 132").kind, Packet("ether 0x88b5").kind] == ["udp", "ip", "ether"]
