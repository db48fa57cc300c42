"""An address as SOCKS5 carries it (RFC 1928 section 5): an IPv4 or IPv6 address or a name, and a port.

The other protocols use the same value, each in its own spelling. A name stays a name, even one that reads
like a literal, so that what was asked is what is sent; `literal()` is for who has to resolve it.
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


class Address(Record):
    """`type` is IPV4, NAME or IPV6; `host` a canonical literal or the name; `port` 0..65535."""

    type: int
    host: str
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """The address that `host` spells: a literal (a zone is dropped, it means nothing elsewhere), else a name.

        Raises OverflowError for a port out of range, UnicodeError for a name that IDNA cannot encode and
        ValueError for one that is empty, longer than 255 bytes or has a null character in it.
        """
        if not 0 <= port <= 65535:
            raise OverflowError("port must be 0-65535.")
        found = _literal(host, port)
        if found is not None:
            return found
        encode_name(host)
        return cls(NAME, host, port)

    def literal(self) -> Address:
        """This address, a name that reads like a literal turned into what it reads like."""
        return (_literal(self.host, self.port) or self) if self.type == NAME else self

    def encode(self) -> bytes:
        """ATYP, ADDR and PORT. Raises as `of` does for what cannot be sent."""
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
        """The address that begins there, ATYP, ADDR and PORT, and where it ends; None until all of it is there."""
        if len(said) < begin + 2:
            return None
        kind = said[begin]
        length = _length(kind, said[begin + 1])
        host = begin + 2 if kind == NAME else begin + 1
        end = host + length + 2
        return None if len(said) < end else (_decoded(said[begin:end]), end)

    @classmethod
    def parse_rest(cls, kind: int, first: int) -> Script[Address]:
        """Read on after ATYP and the one byte that every address type has next, so that one read takes the rest."""
        length = _length(kind, first)
        if kind == NAME:
            rest = yield length + 2
        else:
            rest = bytes((first,)) + (yield length + 1)
        return cls(kind, _text(kind, rest[:-2]), int.from_bytes(rest[-2:], "big"))


UNSPECIFIED = Address(IPV4, "0.0.0.0", 0)


def encode_name(host: str) -> bytes:
    """A name's bytes, 1 to 255 of them: ASCII as given, bytes that were parsed as they were, else IDNA."""
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
    """How many bytes ADDR has, a name without its length, which is its `first` byte."""
    if kind == IPV4:
        return 4
    if kind == NAME:
        return first
    if kind == IPV6:
        return 16
    raise garbled("address type 1, 3 or 4", bytes((kind,)), ADDRESS_TYPE_NOT_SUPPORTED)


# Who is asked for one address is asked for it again, by each datagram for it.
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


# IPv4 and IPv6 literals as inet_pton(3) reads and inet_ntop(3) writes them.
#
# Written out here because this package opens no socket module, and because `ipaddress` would cost every
# client its import and spells a mapped address differently from one Python version to the next.


# inet_pton(3): "ddd is a decimal number of up to three digits in the range 0 to 255"; glibc takes no leading zero.
_OCTETS = {str(number): number for number in range(256)}
_HEXADECIMAL = "0123456789abcdefABCDEF"


def ipv4(text: str) -> bytes | None:
    """The 4 bytes of a dotted quad, None when `text` is none."""
    parts = text.split(".")
    if len(parts) != 4:
        return None
    try:
        return bytes([_OCTETS[part] for part in parts])
    except KeyError:
        return None


def ipv4_text(packed: bytes) -> str:
    first, second, third, fourth = packed
    return f"{first}.{second}.{third}.{fourth}"


def ipv6(text: str) -> bytes | None:
    """The 16 bytes of an IPv6 literal without a zone, None when `text` is none."""
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
    words = [packed[at] << 8 | packed[at + 1] for at in range(0, 16, 2)]
    # As glibc does: "Is this address IPv4 mapped or IPv4 compatible?"
    if not any(words[:5]) and (words[5] == 0xFFFF or (words[5] == 0 and words[6] != 0)):
        return ("::ffff:" if words[5] else "::") + ipv4_text(packed[12:])
    text = ":" + "".join(f"{word:x}:" for word in words)
    # RFC 5952 section 4.2: the longest run of zero groups is shortened, the first of equals, never a single one.
    for length in range(8, 1, -1):
        before, run, after = text.partition(":" + "0:" * length)
        if run:
            return f"{before[1:]}::{after[:-1]}"
    return text[1:-1]


def _without_dots(text: str) -> str:
    """An ending `:1.2.3.4` written as two groups; a text that is no literal stays none."""
    front, colon, quad = text.rpartition(":")
    packed = ipv4(quad)
    if packed is None:
        return ""
    return f"{front}{colon}{packed[:2].hex()}:{packed[2:].hex()}"


def _groups(text: str) -> bytes | None:
    """The groups on one side of `::`, two bytes each."""
    if not text:
        return b""
    packed = b""
    for group in text.split(":"):
        if not 1 <= len(group) <= 4 or group.strip(_HEXADECIMAL):
            return None
        packed += int(group, 16).to_bytes(2, "big")
    return packed
