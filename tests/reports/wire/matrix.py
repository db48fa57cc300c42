"""The unmodified programs that the report of leaks runs, and the result that each must have.

Natively, each program leaks the packets that `leaks` names. Under socksify, it works through the proxy (OK), works
without sending a packet (HERE) or gets an exception (REFUSED). The network sees no other packet of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from tests.reports.client_runs import AUTHORITY
from tests.support.network.addresses import NAME_SERVER, TARGET, TARGET4, TARGET6, Port

NAME = f"{TARGET} {Port.ECHO}"
V4, V6, MAPPED = f"{TARGET4} {Port.ECHO}", f"{TARGET6} {Port.ECHO}", f"::ffff:{TARGET4} {Port.ECHO}"
MULTICAST4, MULTICAST6, BROADCAST = "239.1.2.3", "ff05::1:3", "203.0.113.255"


class Expected(Enum):
    """The result of a client under socksify."""

    # The native result, through the proxy; or without a packet.
    OK = "ok"
    HERE = "ok here"
    # An exception, and not a packet.
    REFUSED = "refused"
    # Only the audit hook of strict mode sees the call; without strict it leaks.
    REFUSED_IF_STRICT = "refused if strict"


@dataclass(frozen=True)
class Case:
    """One command: a program of tests/programs with its arguments, and the kinds of packets that it sends natively.

    A case that is `imported_early` calls the program's main() after the patch; the program is imported before.
    """

    command: str
    leaks: str = "dns tcp"
    expected: Expected = Expected.OK
    imported_early: bool = False

    @property
    def program(self) -> str:
        return self.command.split()[0]

    def verdict(self, strict: bool) -> str:
        """Return the verdict that a run under socksify must have."""
        if self.expected is Expected.REFUSED_IF_STRICT and not strict:
            return f"LEAKS {self.leaks}"
        return self.expected.value.split()[0]


@dataclass(frozen=True)
class Row:
    """A row of the README's table: `what` the programs of its cases have in common."""

    what: str
    cases: list[Case] = field(default_factory=list)


def proxied(*commands: str, leaks: str = "dns tcp") -> list[Case]:
    return [Case(command, leaks) for command in commands]


def answered(*commands: str) -> list[Case]:
    return [Case(command, "dns", Expected.HERE) for command in commands]


def refused(*commands: str, leaks: str) -> list[Case]:
    return [Case(command, leaks, Expected.REFUSED) for command in commands]


ROWS = [
    Row(
        "HTTP and TLS: urllib, http.client, requests, urllib3, httpx, aiohttp, xmlrpc, ssl",
        proxied(
            f"fetch http://{TARGET}/",
            f"http_client {TARGET} {Port.HTTP}",
            f"requests_get {TARGET} {Port.HTTP}",
            f"urllib3_get {TARGET} {Port.HTTP}",
            f"httpx_get {TARGET} {Port.HTTP}",
            f"httpx_async {TARGET} {Port.HTTP}",
            f"aiohttp_get threads {TARGET} {Port.HTTP}",
            f"xmlrpc_call {TARGET} {Port.XMLRPC}",
            f"https {TARGET} {Port.HTTPS} {AUTHORITY}",
            f"tls_socket {TARGET} {Port.HTTPS} {AUTHORITY}",
        ),
    ),
    Row(
        "mail, files, shells: smtplib, imaplib, ftplib (passive), telnetlib3, paramiko",
        proxied(
            f"smtplib_send {TARGET} {Port.SMTP}",
            f"imaplib_login {TARGET} {Port.IMAP}",
            f"ftplib_passive {TARGET} {Port.FTP}",
            f"telnetlib3_read {TARGET} {Port.TELNET}",
            f"paramiko_exec {TARGET} {Port.SSH}",
        ),
    ),
    Row(
        "databases and messages: pymysql, redis, redis.asyncio, websockets (asyncio, threads)",
        proxied(
            f"pymysql_ping {TARGET} {Port.MYSQL}",
            f"redis_ping {TARGET} {Port.REDIS}",
            f"redis_async {TARGET} {Port.REDIS}",
            f"websockets_echo {TARGET} {Port.WEBSOCKET}",
            f"websockets_sync {TARGET} {Port.WEBSOCKET}",
        ),
    ),
    Row(
        "loops: asyncio (streams, happy eyeballs, executors), trio, anyio on both",
        proxied(
            f"asyncio_streams {NAME}",
            f"asyncio_happy {NAME}",
            f"executor {NAME}",
            f"trio_stream {NAME}",
            f"anyio_stream asyncio {NAME}",
            f"anyio_stream trio {NAME}",
        ),
    ),
    Row(
        "sockets by name: `connect()` to a name, select(), threads, a forked child, at exit",
        proxied(
            f"stream AF_INET {NAME}",
            f"select_stream {NAME}",
            f"threads {NAME}",
            f"forked {NAME}",
            f"afterwards {NAME}",
        ),
    ),
    Row(
        "sockets by address: blocking, select(), Multipath TCP",
        proxied(f"stream AF_INET {V4}", f"stream AF_INET {MAPPED}", f"select_stream {V4}", f"mptcp {V4}", leaks="tcp"),
    ),
    Row(
        "IPv6 alone: a name, an address, a mapped one",
        [
            *proxied(f"stream AF_INET6 {NAME}"),
            *proxied(f"stream AF_INET6 {V6}", f"stream AF_INET6 {MAPPED}", leaks="tcp"),
        ],
    ),
    Row("functions imported before the patch", [Case(f"early_names {NAME}", imported_early=True)]),
    Row(
        "`gethostbyname()`, `gethostbyname_ex()`, `getnameinfo()`, `getfqdn()` of a name, then `connect()`",
        proxied(f"lookups {NAME}"),
    ),
    Row("reverse look-ups of an address", answered(f"reverse {TARGET4}")),
    Row(
        "the machine itself: `getfqdn()`, its address's name, `bind()` to its name",
        answered("own_name", f"own_address {TARGET4}", "bind_name"),
    ),
    Row(
        "TCP Fast Open: `sendto()`, `sendmsg()`, `connect()`",
        proxied(f"fast_open sendto {NAME}", f"fast_open sendmsg {NAME}", f"fast_open connect {NAME}"),
    ),
    Row(
        "c-ares, a resolver in C: aiodns, aiohttp with it",
        [*proxied(f"aiohttp_get aiodns {TARGET} {Port.HTTP}"), *answered(f"aiodns_resolve {TARGET}")],
    ),
    Row(
        "dnspython over UDP, asking for addresses: a query, its resolvers",
        answered(
            f"dnspython_query udp A {TARGET} {NAME_SERVER}",
            f"dnspython_query resolver A {TARGET}",
            f"dnspython_async {TARGET}",
        ),
    ),
    Row(
        "dnspython over UDP, asking for anything else",
        refused(
            f"dnspython_query udp MX {TARGET} {NAME_SERVER}",
            f"dnspython_query resolver MX {TARGET}",
            leaks="dns",
        ),
    ),
    Row("dnspython over TCP", proxied(f"dnspython_query tcp A {TARGET} {NAME_SERVER}", leaks="dns")),
    Row(
        "UDP by name: `sendto()`, `sendmsg()`, connected, asyncio, trio, logging",
        refused(
            f"datagram sendto AF_INET {NAME}",
            f"datagram sendmsg AF_INET {NAME}",
            f"datagram connect AF_INET {NAME}",
            f"datagram connect_sendmsg AF_INET6 {NAME}",
            f"asyncio_datagrams {NAME}",
            f"trio_datagram {NAME}",
            f"syslog {NAME}",
            leaks="dns udp",
        ),
    ),
    Row(
        "UDP by address: `sendto()`, `sendmsg()`, asyncio, connected, a file or a copy of it",
        refused(
            f"datagram sendto_with_flags AF_INET {V4}",
            f"datagram sendmsg AF_INET6 {V6}",
            f"datagram connect AF_INET {V4}",
            f"asyncio_sendto {V4}",
            f"datagram sendto AF_INET6 {MAPPED}",
            f"datagram sendto AF_INET {MAPPED}",
            f"datagram connect_file AF_INET6 {V6}",
            f"datagram connect_dup AF_INET {V4}",
            f"datagram connect_fileno AF_INET6 {MAPPED}",
            f"datagram connect AF_INET {TARGET4} 0",
            leaks="udp",
        ),
    ),
    Row("UDP past Python's methods: os.write()", refused(f"datagram connect_write AF_INET {V4}", leaks="udp")),
    Row(
        "UDP to many: multicast (IPv4, IPv6), broadcast",
        refused(
            f"shout {MULTICAST4} {Port.ECHO}",
            f"shout {MULTICAST6} {Port.ECHO}",
            f"shout {BROADCAST} {Port.ECHO}",
            leaks="udp",
        ),
    ),
    Row(
        "other IP: UDP-Lite, ICMP (raw, ping sockets, IPv4, IPv6), an IP header of one's own",
        [
            *refused(f"udp_lite {V4}", leaks="udplite"),
            *refused(f"ping SOCK_RAW sendto {TARGET}", leaks="dns icmp"),
            *refused(f"ping SOCK_RAW connect {TARGET4}", f"ping SOCK_DGRAM sendto {TARGET4}", leaks="icmp"),
            *refused(f"ping SOCK_RAW sendto {TARGET6}", f"ping SOCK_DGRAM connect {TARGET6}", leaks="icmp6"),
            *refused(f"raw_ip {TARGET4}", leaks="udp"),
        ],
    ),
    Row("an Ethernet frame", refused("frame send", "frame sendto", leaks="ether")),
    Row(
        "C under socket.socket: the class `_socket.socket`, its methods `connect()` and `sendto()`",
        [
            Case(f"underneath {NAME}", "dns tcp", Expected.REFUSED_IF_STRICT),
            Case(f"c_method connect {V4}", "tcp", Expected.REFUSED_IF_STRICT),
            Case(f"c_method sendto {V4}", "udp", Expected.REFUSED_IF_STRICT),
        ],
    ),
    Row(
        "processes of its own: subprocess, multiprocessing (spawn, forkserver)",
        proxied(*(f"child {way} {NAME}" for way in ("subprocess", "spawn", "forkserver"))),
    ),
]


def cases() -> Iterator[Case]:
    for row in ROWS:
        yield from row.cases
