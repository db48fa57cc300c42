"""HTTP CONNECT (RFC 9110 section 9.3.6) with Basic authentication (RFC 7617): the two heads, and no other part of HTTP.

Only the fields about credentials are read in a head. Other fields have no meaning for a tunnel: "A client MUST
ignore any Content-Length or Transfer-Encoding header fields received in a successful response to CONNECT."
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from socksify._record import Record
from socksify.protocol import address as protocol_address
from socksify.protocol.address import IPV6, Address, encode_name
from socksify.protocol.conversation import Head
from socksify.protocol.errors import garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from socksify.protocol.conversation import Script

SWITCHING_PROTOCOLS = 101
UNAUTHORIZED, PROXY_AUTHENTICATION_REQUIRED = 401, 407
MOST_INTERIM_RESPONSES = 16

# RFC 3986 section 3.2.2: reg-name. A name with any other character could end the line and begin a header field.
_REG_NAME = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=%"


class ConnectRequest(Record, hidden=("credentials",)):
    """CONNECT to `address`. `credentials` are user name and password, or None.

    encode() raises ValueError for a name that a URI cannot contain (UnicodeError if IDNA cannot encode it) and for a
    user name with a colon.
    """

    address: Address
    credentials: tuple[bytes, bytes] | None = None

    def encode(self) -> bytes:
        authority = _authority(self.address)
        lines = [b"CONNECT %b HTTP/1.1" % authority, b"Host: " + authority]
        if self.credentials is not None:
            lines.append(b"Proxy-Authorization: Basic " + _basic(*self.credentials))
        return b"\r\n".join([*lines, b"", b""])

    @classmethod
    def parse(cls) -> Script[ConnectRequest]:
        line, *fields = _lines((yield Head(b"CONNECT ")))
        words = line.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            raise garbled("a CONNECT request line", line)
        return cls(_parse_authority(words[1]), _parse_credentials(fields))


class Response(Record):
    """The final response. `status` is 101 or 200 to 999. `reason` is the text after it, decoded as Latin-1.

    `challenges` are the authentication schemes that a 407 or a 401 asks for.
    """

    status: int
    reason: str
    challenges: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"status {self.status} {self.reason[:64]!r}"

    def encode(self) -> bytes:
        return b"HTTP/1.1 %d %b\r\n\r\n" % (self.status, self.reason.encode("latin-1"))

    @classmethod
    def parse(cls) -> Script[Response]:
        """Read heads up to the first one that is not interim (RFC 9110 section 15.2)."""
        for _ in range(MOST_INTERIM_RESPONSES + 1):
            # The last line is empty, or incomplete.
            line, *fields = _lines((yield Head(b"HTTP/1.", _refuses)))
            response = cls._from_line(line, fields[:-1])
            if response.status >= 200 or response.status == SWITCHING_PROTOCOLS:
                return response
        raise garbled(f"a final response after {MOST_INTERIM_RESPONSES} interim ones", line)

    @classmethod
    def _from_line(cls, line: bytes, fields: list[bytes]) -> Response:
        _, _, rest = line.partition(b" ")
        status, _, reason = rest.partition(b" ")
        if len(status) != 3 or not status.isdigit() or status < b"100":
            raise garbled("an HTTP status line", line)
        name = _CHALLENGES.get(int(status))
        challenges = () if name is None else tuple(_challenges(fields, name))[:_MOST_CHALLENGES]
        return cls(int(status), reason.decode("latin-1"), challenges)


# RFC 9110 sections 11.6.1 and 11.7.1.
_CHALLENGES = {UNAUTHORIZED: b"www-authenticate", PROXY_AUTHENTICATION_REQUIRED: b"proxy-authenticate"}
_MOST_CHALLENGES = 8


def _challenges(fields: list[bytes], name: bytes) -> Iterator[str]:
    """Return the authentication schemes in the fields of this name, each once."""
    seen = set()
    for field in fields:
        before, _, value = field.partition(b":")
        for scheme in _schemes(value) if before.lower() == name else ():
            if scheme.lower() not in seen:
                seen.add(scheme.lower())
                yield scheme


def _schemes(value: bytes) -> Iterator[str]:
    """Return the schemes in the value of a field.

    RFC 9110 section 11.3: commas separate challenges and also their parameters. A parameter has an `=`.
    """
    # A text between quotation marks contains no challenge, even if it contains commas.
    for item in b'""'.join(value.split(b'"')[::2]).split(b","):
        scheme, _, rest = item.strip().partition(b" ")
        if scheme.replace(b"-", b"").isalnum() and not rest.lstrip().startswith(b"="):
            yield scheme[:32].decode("ascii")


def _refuses(head: bytes) -> bool:
    """Return True if the status of an incomplete head is a refusal. RFC 9112 section 4: a status has three digits."""
    status = head.partition(b" ")[2][:3]
    return len(status) == 3 and status.isdigit() and status >= b"300"


def _lines(head: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in head.split(b"\n")]


def _authority(address: Address) -> bytes:
    if address.type == IPV6:
        return b"[%b]:%d" % (address.host.encode("ascii"), address.port)
    host = encode_name(address.host)
    if host.translate(None, _REG_NAME):
        raise ValueError(f"host name {address.host!r} has characters that HTTP cannot carry")
    return b"%b:%d" % (host, address.port)


def _parse_authority(authority: bytes) -> Address:
    host, _, port = authority.rpartition(b":")
    try:
        return Address.of(_parse_host(host), _parse_port(port))
    except (ValueError, OverflowError):
        raise garbled("host:port", authority) from None


def _parse_host(host: bytes) -> str:
    if host.startswith(b"[") and host.endswith(b"]"):
        text = host[1:-1].decode("ascii")
        if protocol_address.ipv6(text) is None:
            raise ValueError("no IPv6 address between brackets")
        return text
    if host.translate(None, _REG_NAME):
        raise ValueError("no name that a URI can hold")
    return host.decode("ascii")


def _parse_port(port: bytes) -> int:
    if not port.isdigit() or len(port) > 5:
        raise ValueError("no port")
    return int(port)


def _basic(user: bytes, password: bytes) -> bytes:
    # RFC 7617 section 2: "a user-id containing a colon character is invalid".
    if b":" in user:
        raise ValueError("user name must not contain a colon with HTTP")
    return b2a_base64(user + b":" + password, newline=False)


def _parse_credentials(fields: list[bytes]) -> tuple[bytes, bytes] | None:
    for field in fields:
        name, _, value = field.partition(b":")
        scheme, _, token = value.strip().partition(b" ")
        if name.lower() == b"proxy-authorization" and scheme.lower() == b"basic":
            return _parse_basic(token.strip())
    return None


def _parse_basic(token: bytes) -> tuple[bytes, bytes]:
    try:
        user, colon, password = a2b_base64(token, strict_mode=True).partition(b":")
    except Base64Error:
        colon = b""
    if not colon:
        # The token is not quoted. It may contain a password, even if it is malformed.
        raise garbled("Basic credentials", b"")
    return user, password
