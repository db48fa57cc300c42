"""IPv4 and IPv6 literals as inet_pton(3) reads and inet_ntop(3) writes them.

Written out here because this package opens no socket module, and because `ipaddress` would cost every
client its import and spells a mapped address differently from one Python version to the next.
"""

from __future__ import annotations

# inet_pton(3): "ddd is a decimal number of up to three digits in the range 0 to 255"; glibc takes no leading zero.
_OCTETS = {str(number): number for number in range(256)}
_HEXADECIMAL = "0123456789abcdefABCDEF"


def ipv4(text: str) -> bytes | None:
    """The 4 bytes of a dotted quad, None when `text` is none."""
    parts = text.split(".")
    if len(parts) != 4:
        return None
    try:
        return bytes([_OCTETS[part] for part in parts])
    except KeyError:
        return None


def ipv4_text(packed: bytes) -> str:
    first, second, third, fourth = packed
    return f"{first}.{second}.{third}.{fourth}"


def ipv6(text: str) -> bytes | None:
    """The 16 bytes of an IPv6 literal without a zone, None when `text` is none."""
    if "." in text:
        text = _without_dots(text)
    left, gap, right = text.partition("::")
    head, tail = _groups(left), _groups(right)
    if head is None or tail is None:
        return None
    missing = 16 - len(head) - len(tail)
    if missing <= 0 if gap else missing != 0:
        return None
    return head + bytes(missing) + tail


def ipv6_text(packed: bytes) -> str:
    words = [packed[at] << 8 | packed[at + 1] for at in range(0, 16, 2)]
    # As glibc does: "Is this address IPv4 mapped or IPv4 compatible?"
    if not any(words[:5]) and (words[5] == 0xFFFF or (words[5] == 0 and words[6] != 0)):
        return ("::ffff:" if words[5] else "::") + ipv4_text(packed[12:])
    text = ":" + "".join(f"{word:x}:" for word in words)
    # RFC 5952 section 4.2: the longest run of zero groups is shortened, the first of equals, never a single one.
    for length in range(8, 1, -1):
        before, run, after = text.partition(":" + "0:" * length)
        if run:
            return f"{before[1:]}::{after[:-1]}"
    return text[1:-1]


def _without_dots(text: str) -> str:
    """An ending `:1.2.3.4` written as two groups; a text that is no literal stays none."""
    front, colon, quad = text.rpartition(":")
    packed = ipv4(quad)
    if packed is None:
        return ""
    return f"{front}{colon}{packed[:2].hex()}:{packed[2:].hex()}"


def _groups(text: str) -> bytes | None:
    """The groups on one side of `::`, two bytes each."""
    if not text:
        return b""
    packed = b""
    for group in text.split(":"):
        if not 1 <= len(group) <= 4 or group.strip(_HEXADECIMAL):
            return None
        packed += int(group, 16).to_bytes(2, "big")
    return packed
