"""The header of a datagram relayed by a UDP association (RFC 1928 section 7)."""

from __future__ import annotations

from socksify.protocol.address import Address
from socksify.protocol.errors import garbled

# RSV and FRAG: "if ... a value of X'00' ... this datagram is standalone"; we never send fragments.
_STANDALONE = b"\0\0\0"
# RSV, FRAG and ATYP are quoted of a bad one. What comes behind them may be data.
_QUOTED = 4


def encode_header(address: Address) -> bytes:
    """What goes before the data of a datagram for `address`. Raises as `Address.encode` does."""
    return _STANDALONE + address.encode()


def parse(datagram: bytes) -> tuple[Address, int, int]:
    """Address, fragment number and where the data begins; raises Garbled.

    "An implementation that does not support fragmentation MUST drop any datagram whose FRAG field is other
    than X'00'": that is the caller's to do.
    """
    if len(datagram) < 3 or datagram[:2] != b"\0\0":
        raise garbled("the header of a relayed datagram", datagram[:_QUOTED])
    found = Address.read(datagram, 3)
    if found is None:
        raise garbled("a whole header of a relayed datagram", datagram[:_QUOTED])
    address, begin = found
    return address, datagram[2], begin
