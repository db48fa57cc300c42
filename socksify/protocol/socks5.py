"""SOCKS5 messages (RFC 1928), with those of its user name and password authentication (RFC 1929).

Requests and replies are read as five bytes and then one read of exactly the rest: the fifth byte is the name's
length or the address's first, so a reply with an IPv4 address costs two system calls.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED, IPV4, IPV6, NAME, UNSPECIFIED, Address
from socksify.protocol.errors import garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.conversation import Script

VERSION = 5
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
NO_AUTHENTICATION, USERNAME_PASSWORD, NO_ACCEPTABLE_METHODS = 0x00, 0x02, 0xFF
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
    def parse(cls) -> Script[Greeting]:
        version, count = yield 2
        _check_version(version)
        return cls((yield count))


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
    """User name and password, 1 to 255 bytes each; encode() raises ValueError for others."""

    user: bytes
    password: bytes

    def encode(self) -> bytes:
        user, password = self.user, self.password
        if not 1 <= len(user) <= 255 or not 1 <= len(password) <= 255:
            raise ValueError("user name and password must be 1 to 255 bytes long each")
        return b"%c%c%b%c%b" % (SUBNEGOTIATION_VERSION, len(user), user, len(password), password)

    @classmethod
    def parse(cls) -> Script[Credentials]:
        version, length = yield 2
        if version != SUBNEGOTIATION_VERSION:
            raise garbled("RFC 1929 version 1", bytes((version,)))
        rest = yield length + 1
        return cls(rest[:-1], (yield rest[-1]))


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
    def parse(cls) -> Script[Request]:
        version, command, _, kind, first = yield 5
        _check_version(version)
        return cls(command, (yield from Address.parse_rest(kind, first)))


class Reply(Record):
    """The server's answer to the request; `address` is BND.ADDR and BND.PORT, meaningless unless `code` is 0."""

    code: int
    address: Address

    def encode(self) -> bytes:
        return bytes((VERSION, self.code, 0)) + self.address.encode()

    @classmethod
    def parse(cls) -> Script[Reply]:
        start = yield 5
        version, code, _, kind, first = start
        if version != VERSION:
            raise garbled("a SOCKS5 reply", start)
        # There are servers that fill a refusal up with zeros: its code counts, an address has it none.
        if code != SUCCEEDED and kind not in (IPV4, NAME, IPV6):
            return cls(code, UNSPECIFIED)
        return cls(code, (yield from Address.parse_rest(kind, first)))


def _check_version(version: int) -> None:
    if version != VERSION:
        raise garbled("SOCKS version 5", bytes((version,)))
