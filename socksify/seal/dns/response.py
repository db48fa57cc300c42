"""Responses of other name servers: whether they belong to a query, and which addresses they have.

A response comes from a network, so every length in it is checked. `Malformed` is raised for a response that cannot be
read.
"""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_ntop

from socksify.seal.dns.message import AAAA, HEADER, OPT, QR, RECORD, A, skip_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from socksify.seal.dns.message import Query

    # The type of a record, the offset of its first byte, the offset of its data, and the offset behind it.
    Span = tuple[int, int, int, int]

# The families of the types of address records.
_FAMILIES = {A: AF_INET, AAAA: AF_INET6}
_RCODE = 0x000F


class Malformed(Exception):
    """A response cannot be read."""


def belongs_to(query: Query, data: bytes) -> bool:
    """Return True if `data` is a response to the query: it repeats the identifier and the question.

    Some servers leave out the question in an error (RFC 1035 does not say what they must repeat).
    """
    if len(data) < HEADER.size or data[:2] != query.data[:2]:
        return False
    _, flags, questions, *_ = HEADER.unpack_from(data)
    if not flags & QR:
        return False
    if not questions:
        return bool(flags & _RCODE)
    # The case of the letters has no meaning. The bytes of type and class are compared in the same way, which is enough.
    return questions == 1 and data[HEADER.size :][: len(query.question)].lower() == query.question.lower()


def addresses(data: bytes) -> list[str]:
    """Return the addresses in the records of all sections. Raises Malformed."""
    return [
        inet_ntop(_FAMILIES[kind], data[begin:end])
        for kind, _, begin, end in _records(data, *_counts(data))
        if kind in _FAMILIES and end - begin == (4 if kind == A else 16)
    ]


def without_addresses(data: bytes) -> bytes:
    """Return a response without its additional section, of which only an OPT record is kept. Raises Malformed.

    Servers add the addresses of the hosts that are named in the answer. A client that connects to such an address goes
    past the rules about the name.
    """
    answers, authorities, additional = _counts(data)
    spans = list(_records(data, answers, authorities, additional))
    kept = spans[: answers + authorities]
    options = [data[begin:end] for kind, begin, _, end in spans[answers + authorities :] if kind == OPT][:1]
    end = kept[-1][3] if kept else _end_of_questions(data)
    id, flags, questions, *_ = HEADER.unpack_from(data)
    # A pointer means an earlier place in the message, so what is cut off at the end is not missed.
    header = HEADER.pack(id, flags, questions, answers, authorities, len(options))
    return header + data[HEADER.size : end] + b"".join(options)


def _counts(data: bytes) -> tuple[int, int, int]:
    if len(data) < HEADER.size:
        raise Malformed
    _, _, _, answers, authorities, additional = HEADER.unpack_from(data)
    return answers, authorities, additional


def _end_of_questions(data: bytes) -> int:
    offset = HEADER.size
    for _ in range(HEADER.unpack_from(data)[2]):
        offset = skip_name(data, offset) + 4
    return offset


def _records(data: bytes, answers: int, authorities: int, additional: int) -> Iterator[Span]:
    """Yield a Span for each record. Their number is bounded by the length of the message."""
    try:
        offset = _end_of_questions(data)
        for _ in range(answers + authorities + additional):
            begin_of_fields = skip_name(data, offset)
            kind, _, _, length = RECORD.unpack_from(data, begin_of_fields)
            begin = begin_of_fields + RECORD.size
            if begin + length > len(data):
                raise Malformed
            yield kind, offset, begin, begin + length
            offset = begin + length
    except (IndexError, ValueError, struct.error):
        raise Malformed from None
