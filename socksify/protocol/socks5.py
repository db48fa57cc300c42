"""SOCKS5 messages (RFC 1928), with those of its user name and password authentication (RFC 1929).

A client parses what a server says by scripts: a reply is five bytes and then one read of exactly the rest, since the
fifth byte is the name's length or the address's first. A server reads a client's messages out of all that it has said.
"""

from __future__ import annotations

from functools import lru_cache

from socksify._record import Record
from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED, IPV4, IPV6, NAME, UNSPECIFIED, Address
from socksify.protocol.conversation import Early, as_far_as_it_comes
from socksify.protocol.errors import Garbled, garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.conversation import Script

VERSION = 5
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
NO_AUTHENTICATION, USERNAME_PASSWORD, NO_ACCEPTABLE_METHODS = 0x00, 0x02, 0xFF
# RFC 1928 section 3, and IANA's list of SOCKS methods.
METHODS = {
    1: "GSSAPI",
    USERNAME_PASSWORD: "user and password",
    3: "CHAP",
    5: "challenge-response",
    6: "SSL",
    7: "NDS",
    8: "multi-authentication",
    9: "a JSON parameter block",
}
SUBNEGOTIATION_VERSION = 1

SUCCEEDED = 0
GENERAL_FAILURE, NOT_ALLOWED, NETWORK_UNREACHABLE, HOST_UNREACHABLE = 1, 2, 3, 4
CONNECTION_REFUSED, TTL_EXPIRED, COMMAND_NOT_SUPPORTED = 5, 6, 7

# RFC 1928 section 6.
REPLIES = {
    SUCCEEDED: "succeeded",
    GENERAL_FAILURE: "general SOCKS server failure",
    NOT_ALLOWED: "connection not allowed by ruleset",
    NETWORK_UNREACHABLE: "Network unreachable",
    HOST_UNREACHABLE: "Host unreachable",
    CONNECTION_REFUSED: "Connection refused",
    TTL_EXPIRED: "TTL expired",
    COMMAND_NOT_SUPPORTED: "Command not supported",
    ADDRESS_TYPE_NOT_SUPPORTED: "Address type not supported",
}


class Greeting(Record):
    """The client's first message: the methods it offers, one byte each."""

    methods: bytes

    def encode(self) -> bytes:
        return bytes((VERSION, len(self.methods))) + self.methods

    @classmethod
    def read(cls, said: bytes) -> tuple[Greeting, int] | None:
        """The greeting that it begins with, and where that ends; None until all of it is there."""
        if said and said[0] != VERSION:
            raise _other_version(said)
        if len(said) < 2 or len(said) < 2 + said[1]:
            return None
        end = 2 + said[1]
        return cls(said[2:end]), end


class MethodChoice(Record):
    """The server's answer to the greeting; NO_ACCEPTABLE_METHODS when it takes none of them."""

    method: int

    def encode(self) -> bytes:
        return bytes((VERSION, self.method))

    @classmethod
    def parse(cls) -> Script[MethodChoice]:
        answer = yield 2
        if answer[0] != VERSION:
            raise garbled("a SOCKS5 method choice", answer)
        return cls(answer[1])


class Credentials(Record, hidden=("user", "password")):
    """User name, 1 to 255 bytes, and password, up to 255; encode() raises ValueError for others.

    RFC 1929 has a password of 1 to 255 bytes. An empty one goes out as curl sends it, with a PLEN of 0.
    """

    user: bytes
    password: bytes

    def encode(self) -> bytes:
        user, password = self.user, self.password
        if not 1 <= len(user) <= 255 or len(password) > 255:
            raise ValueError("user name must be 1 to 255 bytes long, and the password at most 255")
        return b"%c%c%b%c%b" % (SUBNEGOTIATION_VERSION, len(user), user, len(password), password)

    @classmethod
    def read(cls, said: bytes) -> tuple[Credentials, int] | None:
        """As `Greeting.read`."""
        if said and said[0] != SUBNEGOTIATION_VERSION:
            raise garbled("RFC 1929 version 1", said[:1])
        if len(said) < 2 or len(said) < 3 + said[1]:
            return None
        user = 2 + said[1]
        end = user + 1 + said[user]
        return None if len(said) < end else (cls(said[2:user], said[user + 1 : end]), end)


class CredentialsStatus(Record):
    """The server's verdict on the credentials: 0 accepts them, anything else does not."""

    status: int

    def encode(self) -> bytes:
        return bytes((SUBNEGOTIATION_VERSION, self.status))

    @classmethod
    def parse(cls) -> Script[CredentialsStatus]:
        answer = yield 2
        # RFC 1929 has version 1 here; there are servers that repeat the 5 of SOCKS.
        if answer[0] not in (SUBNEGOTIATION_VERSION, VERSION):
            raise garbled("an RFC 1929 status", answer)
        return cls(answer[1])


class Request(Record):
    """What the client wants: `command` is CONNECT, BIND, UDP_ASSOCIATE, or one that nobody knows."""

    command: int
    address: Address

    def encode(self) -> bytes:
        return bytes((VERSION, self.command, 0)) + self.address.encode()

    @classmethod
    def read(cls, said: bytes) -> tuple[Request, int] | None:
        """As `Greeting.read`; of an address type that is unknown, nobody can say where it ends: Garbled."""
        if said and said[0] != VERSION:
            raise _other_version(said)
        found = Address.read(said, 3)
        return found and (cls(said[1], found[0]), found[1])


class Reply(Record):
    """The server's answer to the request; `address` is BND.ADDR and BND.PORT, meaningless unless `code` is 0."""

    code: int
    address: Address

    def encode(self) -> bytes:
        return encode_reply(self.code, self.address)

    @classmethod
    def parse(cls) -> Script[Reply]:
        start = yield _REPLY
        if start[0] != VERSION:
            raise garbled("a SOCKS5 reply", start)
        code = start[1]
        if len(start) < _REPLY:
            # A refusal whose server says no more.
            return cls(code, UNSPECIFIED)
        kind, first = start[3:]
        if code == SUCCEEDED:
            return cls(code, (yield from Address.parse_rest(kind, first)))
        # There are servers that fill a refusal up with zeros: its code counts, an address has it none.
        if kind not in (IPV4, NAME, IPV6):
            return cls(code, UNSPECIFIED)
        rest = yield from as_far_as_it_comes(Address.parse_rest(kind, first))
        return cls(code, rest or UNSPECIFIED)


# A refusal is told by its code, the second byte.
_REPLY = Early(5, lambda held: held[:1] == b"\5" and held[1:2] not in (b"", b"\0"))


def encode_reply(code: int, address: Address) -> bytes:
    """A reply's bytes, for a server that has no other use for it."""
    return _reply_up_to_port(code, address.type, address.host) + address.port.to_bytes(2, "big")


# A server's address is one of few, and its port another for each client.
@lru_cache(256)
def _reply_up_to_port(code: int, kind: int, host: str) -> bytes:
    return b"%c%c\0%b" % (VERSION, code, Address(kind, host, 0).encode()[:-2])


def _other_version(said: bytes) -> Garbled:
    return garbled("SOCKS version 5", said[:1])


# The header of a datagram relayed by a UDP association (RFC 1928 section 7).


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
