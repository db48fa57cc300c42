"""Thousands of look-ups, to compare native with routed results; a program that runs in `network.lookup_network`.

    python -m tests.support.lookup_calls SET [PROXY [strict]]

The output is a JSON object: the source text of each call of the set, and the exact outcome.
"""

from __future__ import annotations

import itertools
import json
import random
import socket
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum
from socket import AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM
from typing import Any

from socksify.routing.fake_addresses import FakeAddressTable

LABEL = "a" * 63
LONGEST = ".".join([LABEL] * 3 + ["b" * 61])
# In the order in which names get addresses, here and in the zone of `network.lookup_network`.
NAMES = (
    "host.example", "xn--bcher-kva.example", "strasse.example", "under_score.example", "_sip._tcp.example", "intranet",
    "dash-.example", f"{LABEL}.example", LONGEST, "1.2.3.x", "0x", "1e3", "host",
    # IDNA takes this digit for a letter.
    "\u0663".encode("idna").decode(),
)  # fmt: skip
# The machine's own name and address, as Debian writes them into the hosts file.
OWN, OWN_ADDRESS = "desk", "127.0.1.1"


def _table() -> FakeAddressTable:
    """Return a table that gives the same addresses in every process."""
    return FakeAddressTable(random_index=lambda _: 0)


_TABLE = _table()
FAKE = {name: (_TABLE.address_of(name), _TABLE.address_of(name, AF_INET6)) for name in NAMES}


class Text(str):
    """A client's own subclass of str."""


class Port(IntEnum):
    HTTP = 80


SPELLINGS = (
    "host.example", "HOST.Example", "host.example.", b"host.example", b"HOST.example.", bytearray(b"host.example"),
    Text("host.example"), "host.example..", "bücher.example", "BÜCHER.Example.", "straße.example",
    "xn--bcher-kva.example", b"xn--bcher-kva.example", "\uff48\uff4f\uff53\uff54.example", "host\u3002example",
    "under_score.example", "_sip._tcp.example", "intranet", "intranet.", "dash-.example", f"{LABEL}.example", LONGEST,
    f"{LONGEST}.",
)  # fmt: skip
NOBODY = (
    f"a{LABEL}.example", f"a{LABEL}.example".encode(), f"{LONGEST}bbb", f"{LONGEST}bbb".encode(), "ü" * 70, ".", "..",
    ".example", "a..b", "host.example\0", "host\0.example", b"host.example\0", b"host\0.example", b"\xff.example",
    "bücher.example".encode(), "\ud800.example", "\xad.example", "host .example", " host.example", "host.example ",
    "host.example\n", "host:80", "host.example:80", "host.example%lo", "[host.example]", "*.example", "a/b.example",
    "-dash.example",
)  # fmt: skip
NUMBERS = (
    "192.0.2.7", b"192.0.2.7", bytearray(b"192.0.2.7"), "127.0.0.1", "127.1", "0x7f.1", "0177.1", "0x7F000001", "1",
    "0", "00", "4294967295", "4294967296", "256.1.1.1", "1.2.3.4.5", "1.2.3", "1.2.3.", "1.2.3.4.", "1..2", "08.1.1.1",
    "0x", "1e3", "1.2.3.x", "1.2.3.4 ", "1.2.3.4 x", " 1.2.3.4", "-1", "\uff11\uff12\uff17.1", "\u0663", "<broadcast>",
    "<any>", "<any",
    *FAKE["host.example"], FAKE["intranet"][0].encode(), f"::ffff:{FAKE['intranet'][0]}",
    "::", "::1", "::1%lo", "::1%1", "::ffff:1.2.3.4", "::ffff:1.2.3.4%lo", "::1.2.3.4", "2001:DB8::7", "2001:db8::7%lo",
    "fe80::1%lo", "fe80::1%nosuch", "fe80::1%1", "fe80::1%99", "fe80::1%", "fe80::1", "ff02::1%lo", "[::1]", "1::2::3",
    ":", ":::", "a:b", "2001:db8::7.example",
)  # fmt: skip
HERE = (
    "", b"", None, "localhost", "LOCALHOST.", "sub.localhost", b"localhost", OWN, OWN.upper(), f"{OWN}.", f"{OWN}.lan",
)  # fmt: skip
NO_HOSTS = (1, 1.5, True, (), ["host.example"], range(3), object)
HOSTS = (*SPELLINGS, *NOBODY, *NUMBERS, *HERE, *NO_HOSTS)
# One host of each kind, for products that would become too large.
CHOSEN_HOSTS = ("host.example", b"HOST.example.", "192.0.2.7", "2001:db8::7", "fe80::1%lo", None, "", "localhost", OWN)

PORTS = (
    80, "80", "http", "HTTP", "www", "domain", "ntp", "nosuch", b"http", b"80", bytearray(b"http"), None, "", b"", 0,
    "0",
    65535, 65536, 70000, -1, "-1", "70000", " 80", "80 ", "+80", "0x50", "99999999999999999999", 2**31, 2**63, 2**70,
    True, Port.HTTP, Text("80"), 1.5, "http\0x", "htüp", "\ud800", "\u0663", (),
)  # fmt: skip
FAMILIES = (AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX, 99, -1)
TYPES = (0, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, socket.SOCK_SEQPACKET, 99, SOCK_STREAM | socket.SOCK_NONBLOCK)
PROTOCOLS = (0, IPPROTO_TCP, IPPROTO_UDP, socket.IPPROTO_SCTP, 99)
AI = {name: int(getattr(socket, name)) for name in dir(socket) if name.startswith("AI_")}
FLAGS = (
    0,
    *sorted(set(AI.values())),
    socket.AI_V4MAPPED | socket.AI_ALL,
    socket.AI_V4MAPPED | socket.AI_ADDRCONFIG,
    socket.AI_PASSIVE | socket.AI_CANONNAME,
    socket.AI_CANONNAME | socket.AI_NUMERICHOST,
    socket.AI_CANONNAME | socket.AI_ADDRCONFIG | socket.AI_V4MAPPED,
    socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    socket.AI_PASSIVE | socket.AI_NUMERICSERV,
    # AI_IDN, AI_CANONIDN and two withdrawn flags; bits without a meaning.
    0x40, 0x80, 0x42, 0x100, 0x800, 0x10000, -1,
)  # fmt: skip

Call = tuple[str, tuple[Any, ...], dict[str, Any]]


def all_calls() -> Iterator[Call]:
    yield from _getaddrinfo()
    for host in HOSTS:
        for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"):
            yield name, (host,), {}
    yield from _getnameinfo()
    yield from _wrongly_called()


def _getaddrinfo() -> Iterator[Call]:
    for asked in itertools.product(HOSTS, (80, None), (AF_UNSPEC, AF_INET, AF_INET6)):
        yield "getaddrinfo", asked, {}
    for host, flags, family in itertools.product(CHOSEN_HOSTS, FLAGS, FAMILIES):
        yield "getaddrinfo", (host, "http", family, SOCK_STREAM, 0, flags), {}
    for name, port, kind, bits in itertools.product(CHOSEN_HOSTS, PORTS, (0, SOCK_DGRAM), (0, socket.AI_NUMERICSERV)):
        yield "getaddrinfo", (name, port, AF_UNSPEC, kind, 0, bits), {}
    for hints in itertools.product(("host.example", "::1", None), (80, "domain", None), FAMILIES, TYPES, PROTOCOLS):
        yield "getaddrinfo", hints, {}
    # Random combinations of all arguments.
    chance = random.Random(3)
    for _ in range(2000):
        chosen = [chance.choice(values) for values in (HOSTS, PORTS, FAMILIES, TYPES, PROTOCOLS, FLAGS)]
        yield "getaddrinfo", tuple(chosen), {}


def _getnameinfo() -> Iterator[Call]:
    addresses: list[Any] = [(host, port) for host in HOSTS for port in (80, 0)]
    addresses += [(literal, 80) for both in FAKE.values() for literal in both]
    addresses += [("192.0.2.7", port) for port in PORTS]
    addresses += [("host.example", port) for port in PORTS]
    addresses += [("::1", 80, *more) for more in ((0,), (0, 0), (7, 0), (0, 9), (1 << 20, 0), (-1, 0), (0, 0, 0))]
    addresses += [("192.0.2.7", 80, 0, 0), ("host.example", 80, 0, 0), ("192.0.2.7",), (), ["192.0.2.7", 80], "x", None]
    for address, flags in itertools.product(addresses, NI_FLAGS):
        yield "getnameinfo", (address, flags), {}


NI_FLAGS = (0, 1, 2, 3, 4, 8, 16, 9, 10, 11, 12, 24, 1 << 20)


def _wrongly_called() -> Iterator[Call]:
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"):
        yield name, (), {}
        yield name, ("host.example",), {}
        yield name, ("host.example",) * 9, {}
        yield name, (), {"host": "host.example"}
        yield name, ("host.example",), {"host": "host.example"}
        yield name, (("192.0.2.7", 80), "x"), {}
        yield name, (("192.0.2.7", 80), 1 << 40), {}
    right = {"host": "host.example", "port": 80}
    yield "getaddrinfo", (), right
    yield "getaddrinfo", (), {**right, "family": AF_INET, "type": SOCK_STREAM, "proto": IPPROTO_TCP, "flags": 2}
    yield "getaddrinfo", ("host.example",), {"port": "http", "flags": socket.AI_CANONNAME}
    for name in ("family", "type", "proto", "flags", "nosuch"):
        for wrong in (None, 1.5, "x", 1 << 40, True, Port.HTTP):
            yield "getaddrinfo", (), {**right, name: wrong}


def outcome(call: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the outcome of a call, with all its types and numbers."""
    try:
        return repr(call(*args, **kwargs))
    except Exception as error:
        number = f" errno={error.errno}" if isinstance(error, OSError) else ""
        return f"{type(error).__module__}.{type(error).__qualname__}{error.args!r}{number} {error}"


def written(call: Call) -> str:
    """Return the source text of the call."""
    name, args, kwargs = call
    return f"{name}({', '.join([*map(ascii, args), *(f'{key}={value!r}' for key, value in kwargs.items())])})"


def is_ipv6(call: Call) -> bool:
    """Whether the call asks for IPv6 alone. These calls run with another zone."""
    _, args, kwargs = call
    return (len(args) > 2 and args[2] == AF_INET6) or kwargs.get("family") == AF_INET6


def _main(wanted: str, proxy: str = "", strict: str = "") -> None:
    if proxy:
        import socksify
        from socksify.routing import fake_addresses

        fake_addresses.TABLE = _table()
        socksify.install(proxy, strict=bool(strict))
        for name in NAMES:
            fake_addresses.TABLE.address_of(name)
    module: dict[str, Callable[..., object]] = vars(socket)
    calls = [call for call in all_calls() if is_ipv6(call) == (wanted == "6")]
    json.dump({written(call): outcome(module[call[0]], call[1], call[2]) for call in calls}, sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
