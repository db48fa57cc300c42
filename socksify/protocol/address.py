"""An address as SOCKS5 carries it (RFC 1928 section 5): an IPv4 address, an IPv6 address or a name, and a port.

The other protocols use the same value and encode it in their own way. A name stays a name, even if it reads like a
literal: the proxy gets exactly what the client asked for. `Address.literal()` is for code that has to resolve the name.

Literals are read as inet_pton(3) reads them and written as inet_ntop(3) writes them. This module has its own code for
that, because this package imports no socket module. `ipaddress` is not used: every client would have to import it, and
its spelling of mapped addresses differs between Python versions.
"""

from __future__ import annotations

from functools import lru_cache

from socksify._record import Record
from socksify.protocol.errors import garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.conversation import Script

IPV4, NAME, IPV6 = 1, 3, 4
ADDRESS_TYPE_NOT_SUPPORTED = 8
LONGEST_NAME = 255
# inet_pton(3): "ddd is a decimal number of up to three digits in the range 0 to 255". glibc accepts no leading zero.
_OCTETS = {str(number): number for number in range(256)}
_HEXADECIMAL = "0123456789abcdefABCDEF"


class Address(Record):
    """`type` is IPV4, NAME or IPV6. `host` is a canonical literal or the name. `port` is 0 to 65535."""

    type: int
    host: str
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """Return the address of a host, which is a literal or else a name.

        The zone of a literal is dropped, because it has a meaning on this machine only. `port` is 0 to 65535.

        Raises OverflowError for a port out of range, UnicodeError for a name that IDNA cannot encode, and ValueError
        for a name that is empty, longer than 255 bytes, or contains a null character.
        """
        if not 0 <= port <= 65535:
            raise OverflowError("port must be 0-65535.")
        found = _literal(host, port)
        if found is not None:
            return found
        encode_name(host)
        return cls(NAME, host, port)

    def literal(self) -> Address:
        """Return the address of the literal, if the host is a name that reads like a literal; else this address."""
        return (_literal(self.host, self.port) or self) if self.type == NAME else self

    def encode(self) -> bytes:
        """Return ATYP, ADDR and PORT. Raises the same errors as `of` for an address that cannot be sent."""
        return b"%c%b%b" % (self.type, self._encode_host(), self.port.to_bytes(2, "big"))

    def _encode_host(self) -> bytes:
        if self.type == NAME:
            name = encode_name(self.host)
            return bytes((len(name),)) + name
        packed = _packed(self.type, self.host)
        if packed is None:
            raise ValueError(f"{self.host!r} is not an address of type {self.type}")
        return packed

    @classmethod
    def read(cls, said: bytes, begin: int) -> tuple[Address, int] | None:
        """Return the address (ATYP, ADDR, PORT) that begins at `begin`, and its end; None if it is incomplete."""
        if len(said) < begin + 2:
            return None
        kind = said[begin]
        length = _length(kind, said[begin + 1])
        host = begin + 2 if kind == NAME else begin + 1
        end = host + length + 2
        return None if len(said) < end else (_decoded(said[begin:end]), end)

    @classmethod
    def parse_rest(cls, kind: int, first: int) -> Script[Address]:
        """Read the rest of an address, with a single read.

        `kind` is ATYP, and `first` is the byte after ATYP, which every type of address has.
        """
        length = _length(kind, first)
        if kind == NAME:
            rest = yield length + 2
        else:
            rest = bytes((first,)) + (yield length + 1)
        return cls(kind, _text(kind, rest[:-2]), int.from_bytes(rest[-2:], "big"))


UNSPECIFIED = Address(IPV4, "0.0.0.0", 0)


def encode_name(host: str) -> bytes:
    """Return the 1 to 255 bytes of a name.

    ASCII is kept. Surrogates become the bytes that they were parsed from. All other names are encoded by IDNA. Raises
    UnicodeError or ValueError for a name that cannot be sent.
    """
    try:
        name = host.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        name = host.encode("idna")
    if not name:
        raise ValueError("host name is empty")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"host name is {len(name)} bytes long, {LONGEST_NAME} at most can be sent")
    if 0 in name:
        raise ValueError("host name must not contain null character")
    return name


def _length(kind: int, first: int) -> int:
    """Return the number of bytes of ADDR. For a name, `first` contains this number, which does not count `first`."""
    if kind == IPV4:
        return 4
    if kind == NAME:
        return first
    if kind == IPV6:
        return 16
    raise garbled("address type 1, 3 or 4", bytes((kind,)), ADDRESS_TYPE_NOT_SUPPORTED)


# Every datagram of an association carries an address, and most datagrams carry the same address.
@lru_cache(1024)
def _decoded(wire: bytes) -> Address:
    kind = wire[0]
    return Address(kind, _text(kind, wire[2 if kind == NAME else 1 : -2]), int.from_bytes(wire[-2:], "big"))


@lru_cache(256)
def _packed(kind: int, host: str) -> bytes | None:
    return ipv4(host) if kind == IPV4 else ipv6(host)


def _text(kind: int, host: bytes) -> str:
    if kind == IPV4:
        return ipv4_text(host)
    return host.decode("ascii", "surrogateescape") if kind == NAME else ipv6_text(host)


def _literal(host: str, port: int) -> Address | None:
    if ":" in host:
        packed = ipv6(host.partition("%")[0])
        return None if packed is None else Address(IPV6, ipv6_text(packed), port)
    return None if ipv4(host) is None else Address(IPV4, host, port)


def ipv4(text: str) -> bytes | None:
    """Return the 4 bytes of a dotted quad, or None if `text` is not one."""
    parts = text.split(".")
    if len(parts) != 4:
        return None
    try:
        return bytes([_OCTETS[part] for part in parts])
    except KeyError:
        return None


def ipv4_text(packed: bytes) -> str:
    """Return the dotted quad of 4 bytes."""
    first, second, third, fourth = packed
    return f"{first}.{second}.{third}.{fourth}"


def ipv6(text: str) -> bytes | None:
    """Return the 16 bytes of an IPv6 literal without a zone, or None if `text` is not one."""
    if "." in text:
        text = _without_dots(text)
    left, gap, right = text.partition("::")
    head, tail = _groups(left), _groups(right)
    if head is None or tail is None:
        return None
    missing = 16 - len(head) - len(tail)
    if missing <= 0 if gap else missing != 0:
        return None
    return head + bytes(missing) + tail


def ipv6_text(packed: bytes) -> str:
    """Return the canonical IPv6 literal of 16 bytes."""
    words = [packed[at] << 8 | packed[at + 1] for at in range(0, 16, 2)]
    # glibc's inet_ntop(3): "Is this address IPv4 mapped or IPv4 compatible?"
    if not any(words[:5]) and (words[5] == 0xFFFF or (words[5] == 0 and words[6] != 0)):
        return ("::ffff:" if words[5] else "::") + ipv4_text(packed[12:])
    text = ":" + "".join(f"{word:x}:" for word in words)
    # RFC 5952 section 4.2: the longest run of zero groups is shortened, of equal runs the first, never a single group.
    for length in range(8, 1, -1):
        before, run, after = text.partition(":" + "0:" * length)
        if run:
            return f"{before[1:]}::{after[:-1]}"
    return text[1:-1]


def _without_dots(text: str) -> str:
    """Replace the dotted quad at the end of an IPv6 literal by two groups. Return "" if there is no such quad."""
    front, colon, quad = text.rpartition(":")
    packed = ipv4(quad)
    if packed is None:
        return ""
    return f"{front}{colon}{packed[:2].hex()}:{packed[2:].hex()}"


def _groups(text: str) -> bytes | None:
    """Return the bytes of the groups on one side of `::`, or None if the text has a part that is no group."""
    if not text:
        return b""
    packed = b""
    for group in text.split(":"):
        if not 1 <= len(group) <= 4 or group.strip(_HEXADECIMAL):
            return None
        packed += int(group, 16).to_bytes(2, "big")
    return packed
