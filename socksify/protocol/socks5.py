"""The messages of SOCKS5 (RFC 1928), of its authentication by user name and password (RFC 1929), and the UDP header.

A client parses the messages of a server by scripts. A reply takes two reads: five bytes, and then exactly the rest,
because the fifth byte is the length of a name or the first byte of an address. A server has all bytes that its client
has sent so far, and reads the messages from them.
"""

from __future__ import annotations

from functools import lru_cache

from socksify._record import Record
from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED, IPV4, IPV6, NAME, UNSPECIFIED, Address
from socksify.protocol.conversation import Early, available
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
    """The first message of a client: the methods that it offers, one byte each."""

    methods: bytes

    def encode(self) -> bytes:
        return bytes((VERSION, len(self.methods))) + self.methods

    @classmethod
    def read(cls, said: bytes) -> tuple[Greeting, int] | None:
        """Return the greeting at the beginning of `said`, and its end; None if it is incomplete. Raises Garbled."""
        if said and said[0] != VERSION:
            raise _other_version(said)
        if len(said) < 2 or len(said) < 2 + said[1]:
            return None
        end = 2 + said[1]
        return cls(said[2:end]), end


class MethodChoice(Record):
    """The answer of the server to the greeting. NO_ACCEPTABLE_METHODS refuses all of them."""

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
    """User name (1 to 255 bytes) and password (up to 255 bytes). encode() raises ValueError for other lengths.

    RFC 1929 demands a password of 1 to 255 bytes. An empty password is sent as curl sends it, with a PLEN of 0.
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
        """Return the credentials at the beginning of `said`, and their end; None if incomplete. Raises Garbled."""
        if said and said[0] != SUBNEGOTIATION_VERSION:
            raise garbled("RFC 1929 version 1", said[:1])
        if len(said) < 2 or len(said) < 3 + said[1]:
            return None
        user = 2 + said[1]
        end = user + 1 + said[user]
        return None if len(said) < end else (cls(said[2:user], said[user + 1 : end]), end)


class CredentialsStatus(Record):
    """The verdict of the server on the credentials: 0 accepts them, any other number refuses them."""

    status: int

    def encode(self) -> bytes:
        return bytes((SUBNEGOTIATION_VERSION, self.status))

    @classmethod
    def parse(cls) -> Script[CredentialsStatus]:
        answer = yield 2
        # RFC 1929 demands version 1 here. Some servers repeat the 5 of SOCKS.
        if answer[0] not in (SUBNEGOTIATION_VERSION, VERSION):
            raise garbled("an RFC 1929 status", answer)
        return cls(answer[1])


class Request(Record):
    """The request of a client: `command` is CONNECT, BIND, UDP_ASSOCIATE, or an unknown one."""

    command: int
    address: Address

    def encode(self) -> bytes:
        return bytes((VERSION, self.command, 0)) + self.address.encode()

    @classmethod
    def read(cls, said: bytes) -> tuple[Request, int] | None:
        """Return the request at the beginning of `said`, and its end; None if it is incomplete.

        Raises Garbled, also for an unknown address type, since the end of such an address is unknown.
        """
        if said and said[0] != VERSION:
            raise _other_version(said)
        found = Address.read(said, 3)
        return found and (cls(said[1], found[0]), found[1])


class Reply(Record):
    """The answer of the server to a request. `address` is BND.ADDR and BND.PORT, and has a meaning if `code` is 0."""

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
            # The server has sent only the code of its refusal.
            return cls(code, UNSPECIFIED)
        kind, first = start[3:]
        if code == SUCCEEDED:
            return cls(code, (yield from Address.parse_rest(kind, first)))
        # Some servers pad a refusal with zeros. Such a refusal has a code, but no address.
        if kind not in (IPV4, NAME, IPV6):
            return cls(code, UNSPECIFIED)
        rest = yield from available(Address.parse_rest(kind, first))
        return cls(code, rest or UNSPECIFIED)


# The second byte, the code, is enough to know a refusal.
_REPLY = Early(5, lambda held: held[:1] == b"\5" and held[1:2] not in (b"", b"\0"))


def encode_reply(code: int, address: Address) -> bytes:
    """Return the bytes of a reply, for a server that does not need a Reply."""
    return _reply_up_to_port(code, address.type, address.host) + address.port.to_bytes(2, "big")


# A server has few addresses, but a different port for each client. So the bytes up to the port are cached.
@lru_cache(256)
def _reply_up_to_port(code: int, kind: int, host: str) -> bytes:
    return b"%c%c\0%b" % (VERSION, code, Address(kind, host, 0).encode()[:-2])


def _other_version(said: bytes) -> Garbled:
    return garbled("SOCKS version 5", said[:1])


# RSV and FRAG of the header of a relayed datagram (RFC 1928 section 7): "if ... a value of X'00' ... this datagram is
# standalone". Fragments are never sent.
_STANDALONE = b"\0\0\0"
# RSV, FRAG and ATYP of a bad header are quoted. The bytes after them may be data.
_QUOTED = 4


def encode_udp_header(address: Address) -> bytes:
    """Return the header of a datagram for `address`. Raises the same errors as `Address.encode`."""
    return _STANDALONE + address.encode()


def parse_udp_header(datagram: bytes) -> tuple[Address, int, int]:
    """Return the address, the fragment number and the start of the data. Raises Garbled.

    "An implementation that does not support fragmentation MUST drop any datagram whose FRAG field is other than X'00'":
    the caller has to do so.
    """
    if len(datagram) < 3 or datagram[:2] != b"\0\0":
        raise garbled("the header of a relayed datagram", datagram[:_QUOTED])
    found = Address.read(datagram, 3)
    if found is None:
        raise garbled("a whole header of a relayed datagram", datagram[:_QUOTED])
    address, begin = found
    return address, datagram[2], begin
