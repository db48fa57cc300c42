"""DNS messages (RFC 1035 section 4): a query is read, and the response to it is written. There is no I/O here.

Messages are also framed here, as TCP carries them, and the names of the reverse zone are read.

A query comes from any program of the tree, so nothing in it is believed. Its name is bounded by the RFC, and the number
of its records by what a query can have.
"""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from socksify.routing.sockaddr import numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Response codes (RFC 1035 section 4.1.1, and BADVERS of RFC 6891 section 9).
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
# Types of records.
A, PTR, AAAA, OPT, SVCB, HTTPS, ANY = 1, 12, 28, 41, 64, 65, 255
# The class of the Internet.
IN = 1

# The largest response to a UDP query without EDNS (RFC 1035 section 4.2.1), and over TCP.
UDP_SIZE = 512
TCP_SIZE = 0xFFFF
# RFC 1035 section 4.2.2, about TCP: "The message is prefixed with a two byte length field".
_LENGTH_SIZE = 2
# The largest query that is read.
QUERY_SIZE = 4096
# The largest payload of a datagram over IPv4.
_LARGEST_DATAGRAM = 65507

# Identifier, flags, and the numbers of records in the four sections.
HEADER = struct.Struct("!6H")
# What follows the name of a question: type and class. What follows the name of a record: also TTL and length.
_QUESTION = struct.Struct("!HH")
RECORD = struct.Struct("!HHIH")
# An OPT record without options: the root as its name, then the fields of a record (RFC 6891 section 6.1.2).
_OPT = struct.Struct("!BHHIH")

# Flags of the header.
QR, TC, RD, RA, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
_OPCODE = 0x7800
# The flag DO among the flags of EDNS (RFC 3225).
_DNSSEC_OK = 0x8000

_LONGEST_LABEL = 63
_LONGEST_NAME = 255
# A query may have an OPT record, and a signature (TSIG or SIG(0)).
_MOST_ADDITIONAL = 4
# The owner of a record: a pointer to the name of the question (RFC 1035 section 4.1.4).
_SAME_NAME = b"\xc0\x0c"
# The reverse zones of the two families.
_REVERSE_IPV4 = ".in-addr.arpa"
_REVERSE_IPV6 = ".ip6.arpa"
# RFC 1035 section 5.1: "\DDD" is the octet with this decimal number.
_ESCAPED = {ord("."): "\\046", ord("\\"): "\\092"}


class Query:
    """A query that was received, with what its response needs.

    `data` is the whole message, and `question` its question section, b"" if that cannot be read. `name` is the name in
    lower case without its final dot, "" for the root; a dot within a label is written `\\046`. `rcode` is the response
    code for a query that cannot be answered, else NOERROR. `over_tcp` is True if the query came over TCP. `limit` is
    the size of the largest response in bytes.
    """

    __slots__ = ("_edns", "_flags", "_id", "data", "limit", "name", "over_tcp", "qclass", "qtype", "question", "rcode")

    def __init__(self, data: bytes, over_tcp: bool = False) -> None:
        self.data = data
        self.question = b""
        self.name = ""
        self.qtype = self.qclass = 0
        self.rcode = NOERROR
        self.over_tcp = over_tcp
        self.limit = TCP_SIZE if over_tcp else UDP_SIZE
        # The flags of EDNS; None without EDNS.
        self._edns: int | None = None
        self._id, self._flags, *counts = HEADER.unpack_from(data)
        if self._flags & _OPCODE:
            self.rcode = NOTIMP
            return
        try:
            self._read(data, *counts)
        except (IndexError, ValueError, struct.error):
            self.rcode = FORMERR

    def response(self, rcode: int = NOERROR, records: Sequence[bytes] = ()) -> bytes:
        """Return the response with these records, each as `record()` returns it.

        If it is larger than `limit`, it is a truncated response without records.
        """
        answer = b"".join(map(_SAME_NAME.__add__, records))
        opt = b"" if self._edns is None else _opt(self._edns, rcode)
        size = HEADER.size + len(self.question) + len(answer) + len(opt)
        if size <= self.limit:
            return self._header(rcode, 0, len(records)) + self.question + answer + opt
        return self._header(rcode, TC, 0) + self.question + opt

    def truncated(self) -> bytes:
        """Return a response that tells the client to ask again over TCP."""
        opt = b"" if self._edns is None else _opt(self._edns, NOERROR)
        return self._header(NOERROR, TC, 0) + self.question + opt

    def _header(self, rcode: int, flags: int, answers: int) -> bytes:
        flags |= QR | RA | (self._flags & (_OPCODE | RD | CD)) | (rcode & 0xF)
        return HEADER.pack(self._id, flags, 1 if self.question else 0, answers, 0, 0 if self._edns is None else 1)

    def _read(self, data: bytes, questions: int, answers: int, authorities: int, additional: int) -> None:
        # RFC 9619 section 4: a query has one question.
        if questions != 1 or answers or authorities or additional > _MOST_ADDITIONAL or len(data) > QUERY_SIZE:
            raise ValueError
        name, offset = _read_name(data, HEADER.size)
        qtype, qclass = _QUESTION.unpack_from(data, offset)
        offset += _QUESTION.size
        self.name, self.qtype, self.qclass = name, qtype, qclass
        self.question = data[HEADER.size : offset]
        for _ in range(additional):
            offset = self._read_additional(data, offset)
        if offset != len(data):
            raise ValueError

    def _read_additional(self, data: bytes, offset: int) -> int:
        """Read a record of the additional section. Return the offset behind it."""
        end_of_name = skip_name(data, offset)
        kind, size, ttl, length = RECORD.unpack_from(data, end_of_name)
        if kind == OPT:
            self._read_opt(size, ttl, data[offset:end_of_name])
        end: int = end_of_name + RECORD.size + length
        return end

    def _read_opt(self, size: int, ttl: int, owner: bytes) -> None:
        # RFC 6891 section 6.1.1: "If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST be
        # returned". Section 6.1.2: its name "MUST be 0 (root domain)".
        if self._edns is not None or owner != b"\0":
            raise ValueError
        self._edns = ttl & _DNSSEC_OK
        if not self.over_tcp:
            # Section 6.2.3: "Values lower than 512 MUST be treated as equal to 512".
            self.limit = min(max(size, UDP_SIZE), _LARGEST_DATAGRAM)
        if ttl >> 16 & 0xFF:
            self.rcode = BADVERS


def parse(data: bytes, over_tcp: bool = False) -> Query | None:
    """Return a query; None for what must not be answered: a response, or a piece of a header.

    An answer to a response would begin a conversation without an end.
    """
    if len(data) < HEADER.size or data[2] & QR >> 8:
        return None
    return Query(data, over_tcp)


def record(kind: int, data: bytes, ttl: int = 0) -> bytes:
    """Return a record of the class IN without its owner."""
    return RECORD.pack(kind, IN, ttl, len(data)) + data


def address_record(literal: str) -> bytes:
    """Return the A or AAAA record of an address. A resolver must not keep it (TTL 0)."""
    if ":" in literal:
        return record(AAAA, inet_pton(AF_INET6, literal))
    return record(A, inet_pton(AF_INET, literal))


def encoded_name(name: str) -> bytes:
    """Return a name as it is in a message. Raises ValueError for a text that is no name."""
    labels = name.removesuffix(".").encode().split(b".")
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError(f"{name!r} is no name")
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(encoded) > _LONGEST_NAME:
        raise ValueError(f"{name!r} is too long")
    return encoded


def skip_name(data: bytes, offset: int) -> int:
    """Return the offset behind a name. Pointers are not followed. Raises IndexError or ValueError for no name."""
    while length := data[offset]:
        if length > _LONGEST_LABEL:
            if length < 0xC0:
                raise ValueError
            return offset + 2
        offset += 1 + length
    return offset + 1


def _read_name(data: bytes, offset: int) -> tuple[str, int]:
    """Return the name of the question, and the offset behind it.

    No name stands before this one that a pointer could mean, so a pointer is an error.
    """
    begin, labels = offset, []
    while length := data[offset]:
        if length > _LONGEST_LABEL:
            raise ValueError
        end = offset + 1 + length
        labels.append(data[offset + 1 : end].lower().decode("latin-1"))
        offset = end
    offset += 1
    if offset - begin > _LONGEST_NAME:
        raise ValueError
    name = ".".join(labels)
    # Two names must not have one text.
    if name.count(".") >= len(labels) > 0 or "\\" in name:
        name = ".".join(label.translate(_ESCAPED) for label in labels)
    return name, offset


def address_of_reverse_name(name: str) -> str | None:
    """Return the address, in its usual form, that a name in lower case asks for; None for any other name.

    The name is `1.2.0.192.in-addr.arpa` (RFC 1035 section 3.5), or ends in `.ip6.arpa` (RFC 3596 section 2.5).
    """
    if name.endswith(_REVERSE_IPV4):
        return _reverse_ipv4(name.removesuffix(_REVERSE_IPV4).split("."))
    if name.endswith(_REVERSE_IPV6):
        return _reverse_ipv6(name.removesuffix(_REVERSE_IPV6).split("."))
    return None


def _reverse_ipv4(labels: list[str]) -> str | None:
    if len(labels) != 4 or not all(_is_octet(label) for label in labels):
        return None
    return ".".join(reversed(labels))


def _is_octet(label: str) -> bool:
    return label.isascii() and label.isdecimal() and len(label) <= 3 and int(label) < 256 and str(int(label)) == label


def _reverse_ipv6(labels: list[str]) -> str | None:
    if len(labels) != 32 or not all(len(label) == 1 and label in "0123456789abcdef" for label in labels):
        return None
    # A mapped address becomes the IPv4 address, as everywhere in the package.
    return numeric(inet_ntop(AF_INET6, bytes.fromhex("".join(reversed(labels)))))


def _opt(flags: int, rcode: int) -> bytes:
    """Return an OPT record. It has the upper bits of the response code (RFC 6891 section 6.1.3)."""
    return _OPT.pack(0, OPT, QUERY_SIZE, rcode >> 4 << 24 | flags, 0)


class Incoming:
    """The bytes that were received on a TCP connection. They are never more than one message and one read."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the connection. Return the messages that are complete now."""
        received = self._received
        received += data
        messages, offset = [], 0
        while len(received) >= offset + _LENGTH_SIZE:
            end = offset + _LENGTH_SIZE + int.from_bytes(received[offset : offset + _LENGTH_SIZE], "big")
            if len(received) < end:
                break
            messages.append(bytes(received[offset + _LENGTH_SIZE : end]))
            offset = end
        del received[:offset]
        return messages


def framed(message: bytes) -> bytes:
    """Return a message as it is sent over TCP: with its length before it."""
    return len(message).to_bytes(_LENGTH_SIZE, "big") + message
