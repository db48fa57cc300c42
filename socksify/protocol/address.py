"""An address as SOCKS5 carries it (RFC 1928 section 5): an IPv4 or IPv6 address or a name, and a port.

The other protocols use the same value, each in its own spelling. A name stays a name, even one that reads
like a literal, so that what was asked is what is sent; `literal()` is for who has to resolve it.
"""

from __future__ import annotations

from functools import lru_cache

from socksify._record import Record
from socksify.protocol import literals
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
    return literals.ipv4(host) if kind == IPV4 else literals.ipv6(host)


def _text(kind: int, host: bytes) -> str:
    if kind == IPV4:
        return literals.ipv4_text(host)
    return host.decode("ascii", "surrogateescape") if kind == NAME else literals.ipv6_text(host)


def _literal(host: str, port: int) -> Address | None:
    if ":" in host:
        packed = literals.ipv6(host.partition("%")[0])
        return None if packed is None else Address(IPV6, literals.ipv6_text(packed), port)
    return None if literals.ipv4(host) is None else Address(IPV4, host, port)
