"""Names and addresses in the form in which rules compare them.

Rules are compared with the target of every connect(). The target is therefore brought into this form once, and a rule
when it is loaded: a name in lower case without its final dot, an address as a number with its length in bits.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The length in bits (32 or 128) and the address as a number.
    IPNumber = tuple[int, int]

_MAPPED = 0xFFFF


def fold(name: str) -> str:
    """Return the name as rules compare it: lower case, A-labels, no final dot. Wildcards stay as they are."""
    name = name.lower().removesuffix(".")
    return name if name.isascii() else ".".join(map(_a_label, name.split(".")))


def parse_ip(text: str) -> IPNumber | None:
    """Return (32 or 128, the address as a number), or None if the text is not an address.

    A scope id (`fe80::1%eth0`) is dropped. An IPv4-mapped IPv6 address becomes the IPv4 address.
    """
    return _ipv6(text) if ":" in text else _ipv4(text)


def unmapped(text: str) -> str:
    """Return an IPv4-mapped IPv6 address as an IPv4 address, and any other text unchanged."""
    parsed = parse_ip(text) if ":" in text else None
    if parsed is None or parsed[0] != 32:
        return text
    return ".".join(map(str, parsed[1].to_bytes(4, "big")))


def looks_numeric(name: str) -> bool:
    """Return True for a name of digits and dots only: an address or a mistake. No top-level domain is a number."""
    return name.replace(".", "").isdecimal()


def _ipv4(text: str) -> IPNumber | None:
    octets = text.split(".")
    if len(octets) != 4:
        return None
    number = 0
    for octet in octets:
        # With a leading zero an octet is octal to inet_aton(3) and decimal to other functions. It is refused.
        if not (octet.isascii() and octet.isdecimal()) or len(octet) > 3 or (octet[0] == "0" and octet != "0"):
            return None
        if int(octet) > 255:
            return None
        number = number << 8 | int(octet)
    return 32, number


def _ipv6(text: str) -> IPNumber | None:
    # Imported with the first IPv6 address: most programs connect to names and to IPv4 addresses only.
    from ipaddress import IPv6Address

    try:
        number = int(IPv6Address(text.partition("%")[0]))
    except ValueError:
        return None
    # RFC 4291 section 2.5.5.2: ::ffff:a.b.c.d stands for an IPv4 node.
    return (32, number & 0xFFFFFFFF) if number >> 32 == _MAPPED else (128, number)


def _a_label(label: str) -> str:
    """Return the A-label of one label (RFC 3490, ToASCII), or the label itself if it has none.

    No look-up can succeed for a label that has no A-label.
    """
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:
        return label
