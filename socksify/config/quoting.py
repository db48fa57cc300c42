"""Percent-encoding (RFC 3986 section 2.1) and the masking of passwords in what we print.

`urllib.parse` could do the first; it would cost every client that starts under socksify ten times our own code.
"""

from __future__ import annotations

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEX = frozenset("0123456789abcdefABCDEF")


def unquote(text: str) -> bytes:
    """The bytes that a percent-encoded text stands for; a `%` without two hex digits is itself, as in curl."""
    head, *pieces = text.split("%")
    return head.encode() + b"".join(map(_decoded, pieces))


def quote(data: bytes, keep: bytes = b"") -> str:
    """The percent-encoded text of some bytes: all but RFC 3986's unreserved characters and those in `keep`."""
    plain = _UNRESERVED.union(keep)
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in data)


def masked(text: str) -> str:
    """A URL, a list of them or a rule as it may be shown: what stands before the last `@` is credentials.

    Taken at the last `@` and not at the first, because a password may hold anything, unquoted `@`, `/` and `,`
    too, and what is broken has to be shown as well.
    """
    credentials, at, rest = text.rpartition("@")
    if not at:
        return text
    scheme, separator, _ = credentials.partition("://")
    return f"{scheme}://***@{rest}" if separator and _is_scheme(scheme) else f"***@{rest}"


def _decoded(piece: str) -> bytes:
    """What follows one `%`."""
    if len(piece) >= 2 and _HEX.issuperset(piece[:2]):
        return bytes.fromhex(piece[:2]) + piece[2:].encode()
    return b"%" + piece.encode()


def _is_scheme(text: str) -> bool:
    return text.isascii() and text.isalnum()
