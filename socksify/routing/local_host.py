"""The names, the addresses and the name servers of this machine, from files and from the kernel.

No packet is sent: a question to a resolver would reveal the name of this machine. If the hosts file does not have the
machine's own name, it is answered as nss-myhostname(8) does.

The kernel's routes (rtnetlink(7)) tell whether packets for an address stay on this machine. These are more addresses
than those of its interfaces: whole networks may be routed to the machine (ip-route(8), "local"), and a router answers
to the first address of each of its subnets (RFC 4291 section 2.6.1, "Subnet-Router anycast").
"""

from __future__ import annotations

import _socket
import struct
from _socket import AF_INET, AF_INET6, MSG_DONTWAIT, SOCK_DGRAM, SOCK_RAW, gethostname, if_nameindex, inet_pton
from errno import EHOSTUNREACH, ENETUNREACH

from socksify import _originals
from socksify._signal_safety import ours
from socksify.routing.hosts_file import HostsFile, SystemFile, contents, folded, is_localhost, is_loopback, literals_of
from socksify.routing.sockaddr import numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.routing.sockaddr import SockAddress

HOSTS_FILE = "/etc/hosts"
HOSTS = HostsFile(HOSTS_FILE)

_DISCARD = 9
_LOOPBACK = ("127.0.0.1", "::1")
# RFC 5737 and RFC 3849: addresses for documentation. No host has them, so packets to them take the default route.
_ELSEWHERE = ((AF_INET, "203.0.113.1"), (AF_INET6, "2001:db8::1"))

# rtnetlink(7). A system without AF_NETLINK cannot open a socket of AF_UNSPEC either.
_AF_NETLINK = getattr(_socket, "AF_NETLINK", _socket.AF_UNSPEC)
_REQUEST, _GETROUTE, _NEWROUTE = 1, 26, 24
# Attributes of a question: the destination, the interface.
_DST, _OIF = 1, 4
# Types of a route.
_LOCAL, _ANYCAST = 2, 4
# struct nlmsghdr (length, type, flags, number, sender), and struct rtmsg, whose eighth byte is the type.
_HEADER = "=IHHII"
_ROUTE = "=BBBBBBBBI"


def own_addresses(name: str) -> tuple[str, ...] | None:
    """Return the literals of this machine's own name, in the order of the hosts file; None for another name.

    The machine's own names are that of gethostname(), its first label, and all names on the same lines of the hosts
    file.
    """
    hosts = HOSTS.read()
    name = folded(name)
    if name not in hosts.own_names:
        return None
    return hosts.by_name.get(name) or hosts.own_addresses or outgoing_addresses() or _LOOPBACK


def addresses_here(name: str) -> tuple[str, ...] | None:
    """Return the literals of a name that never leaves this machine; None for another name.

    Such names are the machine's own names, those of localhost, and the names of loopback in the hosts file
    (`ip6-loopback`).
    """
    folded_name = folded(name)
    by_name = HOSTS.read().by_name
    found = by_name.get(folded_name)
    if found is not None:
        return found
    return by_name.get("localhost") or _LOOPBACK if is_localhost(folded_name) else own_addresses(name)


def address_here(name: str, family: int) -> str | None:
    """Return one literal of a name that never leaves this machine, if possible of `family`; None for another name."""
    here = addresses_here(name)
    if here is None:
        return None
    return next((literal for literal in here if (":" in literal) == (family == AF_INET6)), here[0])


def hosts_entry(address: str) -> tuple[str, list[str]] | None:
    """Return the canonical name and the aliases of a literal in the hosts file; None if the file does not have it."""
    entry = HOSTS.read().by_address.get(address)
    return entry and (entry[0], entry[1].copy())


def hosts_addresses(name: str) -> tuple[str, ...]:
    """Return the literals of any name in the hosts file; none if it does not have the name."""
    return literals_of(name, contents(HOSTS_FILE))


def own_name(address: str) -> str | None:
    """Return the canonical name of an own address of this machine; None for any other address."""
    if address in ("0.0.0.0", "::") or not is_own(address):
        return None
    entry = hosts_entry(address)
    if entry is not None:
        return entry[0]
    return "localhost" if is_loopback(address) else gethostname() or None


def is_own(address: str) -> bool:
    """Return True if a literal is one of this machine's own addresses."""
    return any(_is_own(address, interface) for interface in _interfaces(address))


def nameservers() -> tuple[str, ...]:
    """Return the literals of this machine's name servers in their order. If none is configured, it is 127.0.0.1."""
    found: tuple[str, ...] = RESOLV_CONF.read()
    return found


def asks_itself() -> bool:
    """Return True if one of the name servers is on this machine."""
    return any(is_loopback(server) or is_own(server) for server in nameservers())


def prime() -> None:
    """Read the files now, so that no event loop has to read them."""
    HOSTS.read()
    RESOLV_CONF.read()


def _nameservers(content: bytes) -> tuple[str, ...]:
    found = []
    for line in content.decode("latin-1").split("\n"):
        fields = line.replace(";", "#").partition("#")[0].split()
        if len(fields) > 1 and fields[0] == "nameserver":
            found.append(numeric(fields[1]))
    return tuple(literal for literal in found if literal) or ("127.0.0.1",)


RESOLV_CONF = SystemFile("/etc/resolv.conf", _nameservers)


def outgoing_addresses() -> tuple[str, ...]:
    """Return the addresses from which this machine's packets reach other hosts."""
    found = (_source(family, (address, _DISCARD)) for family, address in _ELSEWHERE)
    return tuple(literal for literal in found if literal is not None)


def _source(family: int, target: SockAddress, source: SockAddress | None = None) -> str | None:
    """Return the source address of a datagram to `target`; None if it cannot be sent.

    connect(2) finds the address, and sends nothing.
    """
    try:
        probe = _originals.Socket(family, SOCK_DGRAM)
    except ours(OSError):
        return None
    try:
        if source is not None:
            _originals.bind(probe, source)
        _originals.connect(probe, target)
        literal: str = _originals.getsockname(probe)[0]
        return literal
    except ours(OSError):
        return None
    finally:
        _originals.close(probe)


def _is_own(address: str, interface: int) -> bool:
    try:
        return stays_here(address, interface)
    except ours(OSError) as error:
        # An own address always has a route. The question goes to the routes first: the UDP sockets of a sealed process
        # may come from a network namespace of their own, in which every address is an own one.
        return error.errno not in (ENETUNREACH, EHOSTUNREACH) and _can_be_own(address, interface)


def _can_be_own(address: str, interface: int) -> bool:
    """Return True if packets to an address would leave from that address. The kernel has told nothing of its routes."""
    if ":" in address:
        # RFC 6724 section 5, rule 1: a packet to an own address has that address as its source, too.
        return _source(AF_INET6, (address, _DISCARD, 0, interface)) == address
    # With net.ipv4.ip_nonlocal_bind a socket can be bound to any address, but it reaches no host from there. A socket
    # can also be bound to a multicast group (RFC 1112 section 4).
    is_group = 224 <= int(address.partition(".")[0]) < 240
    return not is_group and _source(AF_INET, (address, _DISCARD), (address, 0)) is not None


def _interfaces(address: str) -> list[int]:
    """Return the interfaces to try for an IPv6 literal: all if it is link-local (RFC 4007 section 6), else [0]."""
    if not address.startswith(("fe8", "fe9", "fea", "feb")):
        return [0]
    return [index for index, _ in if_nameindex()]


def stays_here(literal: str, interface: int = 0) -> bool:
    """Return True if packets for a literal stay on this machine. Nothing is sent.

    `interface` is the number of the interface of a link-local address. Raises OSError if the kernel has no answer.
    """
    family = AF_INET6 if ":" in literal else AF_INET
    destination = inet_pton(family, literal)
    size = len(destination)
    question = struct.pack(_ROUTE, family, 8 * size, 0, 0, 0, 0, 0, 0, 0)
    question += struct.pack(f"=HH{size}s", 4 + size, _DST, destination)
    if interface:
        question += struct.pack("=HHI", 8, _OIF, interface)
    answer = _ask_kernel(struct.pack(_HEADER, 16 + len(question), _GETROUTE, _REQUEST, 0, 0) + question)
    _, kind, *_ = struct.unpack_from(_HEADER, answer)
    if kind != _NEWROUTE:
        # struct nlmsgerr begins with a negative errno.
        (error,) = struct.unpack_from("=i", answer, 16)
        raise OSError(-error, "no route")
    return struct.unpack_from(_ROUTE, answer, 16)[7] in (_LOCAL, _ANYCAST)


def _ask_kernel(question: bytes) -> bytes:
    kernel = _originals.Socket(_AF_NETLINK, SOCK_RAW)
    try:
        _originals.send(kernel, question)
        # A kernel that knows the question answers at once.
        return _originals.recv(kernel, 4096, MSG_DONTWAIT)
    finally:
        _originals.close(kernel)
