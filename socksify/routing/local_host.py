"""What this machine is called, which addresses it has and whom it asks for names: told by files and the kernel.

Never by a packet: a resolver would tell others who we are. Names that are this machine's own are answered as
nss-myhostname(8) answers them where the hosts file does not.
"""

from __future__ import annotations

import _socket
import struct
from _socket import AF_INET, AF_INET6, MSG_DONTWAIT, SOCK_DGRAM, SOCK_RAW, gethostname, if_nameindex, inet_pton

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
# RFC 5737 and RFC 3849: set aside for documentation, so nobody's own; what is sent there leaves by the default route.
_ELSEWHERE = ((AF_INET, "203.0.113.1"), (AF_INET6, "2001:db8::1"))


def own_addresses(name: str) -> tuple[str, ...] | None:
    """The literals that this machine's own name stands for, in the hosts file's order; None for another's name.

    Own are what gethostname() says, its first label, and all names on the hosts file's lines that mention either.
    """
    hosts = HOSTS.read()
    name = folded(name)
    if name not in hosts.own_names:
        return None
    return hosts.by_name.get(name) or hosts.own_addresses or _outgoing() or _LOOPBACK


def addresses_here(name: str) -> tuple[str, ...] | None:
    """The literals of a name that never leaves this machine; None for another's.

    Such names are its own, those of localhost, and what the hosts file has for loopback (`ip6-loopback`).
    """
    folded_name = folded(name)
    by_name = HOSTS.read().by_name
    found = by_name.get(folded_name)
    if found is not None:
        return found
    return by_name.get("localhost") or _LOOPBACK if is_localhost(folded_name) else own_addresses(name)


def address_here(name: str, family: int) -> str | None:
    """The first literal of such a name that is of a family, or of the other if it has none; None for another's."""
    here = addresses_here(name)
    if here is None:
        return None
    return next((literal for literal in here if (":" in literal) == (family == AF_INET6)), here[0])


def hosts_entry(address: str) -> tuple[str, list[str]] | None:
    """The canonical name and the aliases that the hosts file has for a literal, as gethostbyaddr() gives them."""
    entry = HOSTS.read().by_address.get(address)
    return entry and (entry[0], entry[1].copy())


def hosts_addresses(name: str) -> tuple[str, ...]:
    """The literals that the hosts file has for a name, whoever's it is; none where it has no such name."""
    return literals_of(name, contents(HOSTS_FILE))


def own_name(address: str) -> str | None:
    """The canonical name of one of this machine's own addresses; None for another's, and for no address at all."""
    if address in ("0.0.0.0", "::") or not is_own(address):
        return None
    entry = hosts_entry(address)
    if entry is not None:
        return entry[0]
    return "localhost" if is_loopback(address) else gethostname() or None


def is_own(address: str) -> bool:
    """Whether a literal is one of this machine's own addresses."""
    if ":" in address:
        return any(_is_own_ipv6(address, interface) for interface in _interfaces(address))
    # With net.ipv4.ip_nonlocal_bind a socket may be bound to anybody's address, but it reaches nobody from there. To
    # groups (RFC 1112 section 4) one may be bound as well.
    is_group = 224 <= int(address.partition(".")[0]) < 240
    return not is_group and _source(AF_INET, (address, _DISCARD), (address, 0)) is not None


def nameservers() -> frozenset[str]:
    """The literals of the name servers that this machine asks; resolv.conf(5) has a default where none is given."""
    found: frozenset[str] = RESOLV_CONF.read()
    return found


def asks_itself() -> bool:
    """Whether one of those servers is on this machine."""
    return any(is_loopback(server) or is_own(server) for server in nameservers())


def prime() -> None:
    """Read the files, so that no event loop has to."""
    HOSTS.read()
    RESOLV_CONF.read()


def _nameservers(content: bytes) -> frozenset[str]:
    found = set()
    for line in content.decode("latin-1").split("\n"):
        fields = line.replace(";", "#").partition("#")[0].split()
        if len(fields) > 1 and fields[0] == "nameserver":
            found.add(numeric(fields[1]))
    return frozenset(literal for literal in found if literal) or frozenset(("127.0.0.1",))


RESOLV_CONF = SystemFile("/etc/resolv.conf", _nameservers)


def _outgoing() -> tuple[str, ...]:
    """The addresses that others see this machine's packets come from."""
    found = (_source(family, (address, _DISCARD)) for family, address in _ELSEWHERE)
    return tuple(literal for literal in found if literal is not None)


def _source(family: int, target: SockAddress, source: SockAddress | None = None) -> str | None:
    """The address from which a datagram would leave, None if it could not; connect(2) finds it and sends nothing."""
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


def _is_own_ipv6(address: str, interface: int) -> bool:
    # Imported here because most programs meet no IPv6 address.

    try:
        return stays_here(address, interface)
    except ours(OSError):
        # RFC 6724 section 5, rule 1: what is sent to an own address leaves from that very address.
        return _source(AF_INET6, (address, _DISCARD, 0, interface)) == address


def _interfaces(address: str) -> list[int]:
    """Those that an IPv6 literal may be of: a link-local one is of some link (RFC 4007 section 6), another of any."""
    if not address.startswith(("fe8", "fe9", "fea", "feb")):
        return [0]
    return [index for index, _ in if_nameindex()]


# Whether packets for an address stay on this machine, as the kernel's routes have it: rtnetlink(7).
#
# That is more than the addresses of its interfaces. Whole networks may be routed to the machine (ip-route(8), "local"),
# and a router answers to the first address of each of its subnets (RFC 4291 section 2.6.1, "Subnet-Router anycast").


# Where there is no such family, there are no sockets of the other one either.
_AF_NETLINK = getattr(_socket, "AF_NETLINK", _socket.AF_UNSPEC)
_REQUEST, _GETROUTE, _NEWROUTE = 1, 26, 24
# Attributes of a question: the destination, the interface.
_DST, _OIF = 1, 4
# Types of a route.
_LOCAL, _ANYCAST = 2, 4
# struct nlmsghdr: length, type, flags, number and sender; struct rtmsg, the type as its eighth byte.
_HEADER = "=IHHII"
_ROUTE = "=BBBBBBBBI"


def stays_here(literal: str, interface: int = 0) -> bool:
    """Nothing is sent. A link-local address is of an `interface`. Raises OSError where the kernel does not tell."""
    family = AF_INET6 if ":" in literal else AF_INET
    destination = inet_pton(family, literal)
    size = len(destination)
    question = struct.pack(_ROUTE, family, 8 * size, 0, 0, 0, 0, 0, 0, 0)
    question += struct.pack(f"=HH{size}s", 4 + size, _DST, destination)
    if interface:
        question += struct.pack("=HHI", 8, _OIF, interface)
    answer = _asked(struct.pack(_HEADER, 16 + len(question), _GETROUTE, _REQUEST, 0, 0) + question)
    _, kind, *_ = struct.unpack_from(_HEADER, answer)
    if kind != _NEWROUTE:
        raise OSError("no route")
    return struct.unpack_from(_ROUTE, answer, 16)[7] in (_LOCAL, _ANYCAST)


def _asked(question: bytes) -> bytes:
    kernel = _originals.Socket(_AF_NETLINK, SOCK_RAW)
    try:
        _originals.send(kernel, question)
        # Where the answer is not there at once, it is no kernel that knows the question.
        return _originals.recv(kernel, 4096, MSG_DONTWAIT)
    finally:
        _originals.close(kernel)
