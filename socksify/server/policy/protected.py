"""The destination of a demand, and the guarded destinations, which "permit everything" does not open to a network.

The server can reach services that its clients cannot reach. The services on its loopback, on its link and at a cloud's
metadata address trust everybody who can connect. An IPv6 address may stand for an IPv4 address, to which a gateway
translates it. Such an IPv6 address is guarded like the IPv4 address.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config.ip import fold, parse_ip
from socksify.config.match import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from socksify.config.ip import IPNumber

    # Bits of an address, mask, number.
    Network = tuple[int, int, int]


class Guard(Record):
    """The reason why a destination is closed to clients of other machines.

    `what` is the kind of the destination, in words. `network` is the guarded network that contains the destination.
    """

    what: str
    network: Network


class Destination(Record):
    """A demand's destination in the form that rules compare.

    A destination without name and address is anyone: a peer that is not known yet. `aliases` are the IPv4 addresses
    that an IPv6 address stands for. `guard` is None if the destination is not guarded.
    """

    name: str | None
    address: IPNumber | None
    port: int
    aliases: tuple[IPNumber, ...] = ()
    guard: Guard | None = None

    @property
    def is_anyone(self) -> bool:
        return self.name is None and self.address is None


ANYONE = Destination(None, None, 0)


def _network(text: str) -> Network:
    network = parse(text, "built in").network
    assert network is not None
    return network


GUARDED = tuple(
    Guard(what, _network(network))
    for network, what in (
        ("127.0.0.0/8", "loopback"),
        ("::1", "loopback"),
        # connect(2) to the unspecified address reaches loopback. RFC 791 calls the rest "this network".
        ("0.0.0.0/8", "unspecified"),
        ("::", "unspecified"),
        # This includes 169.254.169.254, the metadata address of nearly all clouds, where a machine gets its secrets.
        ("169.254.0.0/16", "link-local"),
        ("fe80::/10", "link-local"),
        # The other metadata addresses: of Amazon, Google, Alibaba, Azure, Oracle and Scaleway.
        ("fd00:ec2::254", "a metadata address"),
        ("fd20:ce::254", "a metadata address"),
        ("100.100.100.200", "a metadata address"),
        ("168.63.129.16", "a metadata address"),
        ("192.0.0.192", "a metadata address"),
        ("fd00:42::42", "a metadata address"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("255.255.255.255", "broadcast"),
    )
)
# No gateway translates to an address of "this network". An IPv6 address that seems to stand for such an address most
# likely does not.
_BEHIND_GATEWAYS = tuple(guard for guard in GUARDED if guard.what != "unspecified")

# Networks whose addresses hold an IPv4 address, and how many bits follow it. In the network of a NAT64, the IPv4
# address follows the prefix, and leaves out bits 64 to 71 (RFC 6052 section 2.2). The operator chooses the length of a
# local prefix (RFC 8215), so such an address may stand for several IPv4 addresses.
_EMBEDDING = tuple(
    (_network(network), right)
    for network, right in (
        # IPv4-compatible (RFC 4291 section 2.5.5.1), IPv4-translated (RFC 2765 section 2.1), NAT64 (RFC 6052).
        ("::/96", 0),
        ("::ffff:0:0:0/96", 0),
        ("64:ff9b::/96", 0),
        ("64:ff9b:1::/48", 0),
        # 6to4 (RFC 3056 section 2).
        ("2002::/16", 80),
    )
)
_LOCAL_NAT64 = _network("64:ff9b:1::/48")
# RFC 4380 section 4: the address of the client's NAT, with each bit inverted.
_TEREDO = _network("2001::/32")
# RFC 5214 section 6.1: 5efe and an IPv4 address, after any prefix. One bit says whether the address is unique
# worldwide.
_ISATAP = 0x5EFE
_IPV4 = 0xFFFFFFFF
_OWN = "an address of this server"


def destination(name: str | None, literal: str | None, port: int, is_own: Callable[[str], bool] | None) -> Destination:
    """Return the destination of a demand.

    `name` and `literal` are those of the demand. `is_own` returns True for a literal that is an address of this
    machine. `is_own` is None for a local client, from whom nothing is guarded.
    """
    number = None if literal is None else parse_ip(literal)
    if literal is None or number is None:
        return Destination(None if name is None else fold(name), None, port)
    aliases = tuple(dict.fromkeys(embedded(number)))
    guard = None if is_own is None else _guard(literal.partition("%")[0], number, aliases, is_own)
    return Destination(None if name is None else fold(name), number, port, aliases, guard)


def embedded(number: IPNumber) -> Iterator[IPNumber]:
    """Yield the IPv4 addresses that an IPv6 address stands for, if there is a gateway for it."""
    bits, value = number
    if bits == 32:
        return
    for network, right in _EMBEDDING:
        if within(number, network):
            yield 32, value >> right & _IPV4
    if within(number, _LOCAL_NAT64):
        yield 32, value >> 48 & 0xFFFF0000 | value >> 40 & 0xFFFF
        yield 32, value >> 40 & 0xFF000000 | value >> 32 & 0xFFFFFF
        yield 32, value >> 24 & _IPV4
    if within(number, _TEREDO):
        yield 32, ~value & _IPV4
    if value >> 32 & 0xFDFFFFFF == _ISATAP:
        yield 32, value & _IPV4


def within(number: IPNumber, network: Network) -> bool:
    """Return True if an address is in a network."""
    bits, mask, prefix = network
    return number[0] == bits and number[1] & mask == prefix


def is_inside(network: Network | None, guard: Guard) -> bool:
    """Return True if all addresses of a rule's network are guarded by `guard`."""
    if network is None:
        return False
    bits, mask, number = guard.network
    return network[0] == bits and network[1] & mask == mask and network[2] & mask == number


def reads_as_address(name: str) -> bool:
    """Return True if getaddrinfo(3), on any machine, may read a name as an address that may be guarded.

    inet_aton(3) reads 127.1, 2130706433, 0177.1 and 0x7f000001. RFC 6761 section 6.3 makes all of localhost loopback.
    glibc reads an asterisk as no name at all, which is loopback, and fe80::1%eth0 as link-local. A name that is not
    ASCII may become anything.
    """
    if not name.isascii():
        return True
    last = fold(name).rpartition(".")[2]
    return last in ("localhost", "*") or last.isdecimal() or last.startswith("0x") or ":" in name


def _guard(
    literal: str, number: IPNumber, aliases: tuple[IPNumber, ...], is_own: Callable[[str], bool]
) -> Guard | None:
    direct = next((guard for guard in GUARDED if within(number, guard.network)), None)
    if direct is not None:
        return direct
    single = number[0], (1 << number[0]) - 1, number[1]
    if is_own(literal):
        return Guard(_OWN, single)
    for alias in aliases:
        what = next((guard.what for guard in _BEHIND_GATEWAYS if within(alias, guard.network)), None)
        if what is not None or is_own(_dotted(alias)):
            return Guard(f"{what or _OWN} in other words", single)
    return None


def _dotted(number: IPNumber) -> str:
    return ".".join(map(str, number[1].to_bytes(4, "big")))
