"""The messages of SOCKS4 (memo by Ying-Da Lee) and of SOCKS4A, its extension for names.

A string ends with a null byte, and no length is sent before it.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.protocol import address as protocol_address
from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED, IPV4, NAME, UNSPECIFIED, Address, encode_name
from socksify.protocol.conversation import Early
from socksify.protocol.errors import Unsupported, garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.conversation import Script

VERSION = 4
CONNECT, BIND = 1, 2
GRANTED, REJECTED, NO_IDENTD, OTHER_USER = 90, 91, 92, 93
LONGEST_STRING = 255

REPLIES = {
    GRANTED: "request granted",
    REJECTED: "request rejected or failed",
    NO_IDENTD: "request rejected because SOCKS server cannot connect to identd on the client",
    OTHER_USER: "request rejected because the client program and identd report different user-ids",
}

# SOCKS4A: "the destination address DSTIP: 0.0.0.x with nonzero x" says that a name follows.
_NAME_FOLLOWS = b"\0\0\0\1"


class Request(Record, hidden=("userid",)):
    """The request of a client: `command` is CONNECT or BIND, `userid` has 0 to 255 bytes, none of them null.

    encode() raises Unsupported for an address that is neither an IPv4 address nor a name, ValueError for a bad userid,
    and the errors of `Address.of` for a bad name.
    """

    command: int
    address: Address
    userid: bytes

    def encode(self) -> bytes:
        if len(self.userid) > LONGEST_STRING or 0 in self.userid:
            raise ValueError("userid must be at most 255 bytes long and contain no null byte")
        name = encode_name(self.address.host) + b"\0" if self.address.type == NAME else b""
        ip = _NAME_FOLLOWS if name else _ip(self.address)
        return b"%c%c%b%b%b\0%b" % (VERSION, self.command, self.address.port.to_bytes(2, "big"), ip, self.userid, name)

    @classmethod
    def read(cls, said: bytes) -> tuple[Request, int] | None:
        """Return the request at the beginning of `said`, and its end; None if it is incomplete. Raises Garbled."""
        if said and said[0] != VERSION:
            raise garbled("SOCKS version 4", said[:1])
        end = _end(said, 8, "userid")
        if end is None:
            return None
        port, ip, userid = int.from_bytes(said[2:4], "big"), said[4:8], said[8:end]
        if not _marks_name(ip):
            return cls(said[1], Address(IPV4, protocol_address.ipv4_text(ip), port), userid), end + 1
        name = end + 1
        end = _end(said, name, "name")
        if end is None:
            return None
        return cls(said[1], Address(NAME, said[name:end].decode("ascii", "surrogateescape"), port), userid), end + 1


class Reply(Record):
    """The answer of the server. `address` is of type IPV4, and has a meaning for BIND only."""

    code: int
    address: Address

    def encode(self) -> bytes:
        return b"%c%c%b%b" % (0, self.code, self.address.port.to_bytes(2, "big"), _packed(self.address))

    @classmethod
    def parse(cls) -> Script[Reply]:
        answer = yield _REPLY
        # "VN is the version of the reply code and should be 0."
        if answer[0] != 0:
            raise garbled("a SOCKS4 reply", answer)
        if len(answer) < _REPLY:
            # The server has sent only the code of its refusal.
            return cls(answer[1], UNSPECIFIED)
        address = Address(IPV4, protocol_address.ipv4_text(answer[4:]), int.from_bytes(answer[2:4], "big"))
        return cls(answer[1], address)


# The second byte, the code, is enough to know a refusal.
_REPLY = Early(8, lambda held: held[:1] == b"\0" and held[1:2] not in (b"", bytes((GRANTED,))))


def _ip(address: Address) -> bytes:
    """Return DSTIP of a request. Raises Unsupported for an address that would announce a name."""
    packed = _packed(address)
    if _marks_name(packed):
        raise Unsupported(f"SOCKS4 cannot carry {address.host}: it would announce a name", ADDRESS_TYPE_NOT_SUPPORTED)
    return packed


def _packed(address: Address) -> bytes:
    packed = protocol_address.ipv4(address.host) if address.type == IPV4 else None
    if packed is None:
        raise Unsupported(f"SOCKS4 carries IPv4 addresses, not {address.host}", ADDRESS_TYPE_NOT_SUPPORTED)
    return packed


def _marks_name(ip: bytes) -> bool:
    return ip[:3] == b"\0\0\0" and ip[3] != 0


def _end(said: bytes, begin: int, what: str) -> int | None:
    """Return the position of the null byte that ends the string at `begin`; None if it has not come."""
    end = said.find(0, begin, begin + LONGEST_STRING + 1)
    if end < 0 and len(said) > begin + LONGEST_STRING:
        # The string is not quoted. A userid may be a secret, and bytes behind an endless name are for the target.
        raise garbled(f"a {what} of at most {LONGEST_STRING} bytes")
    return None if end < 0 else end
