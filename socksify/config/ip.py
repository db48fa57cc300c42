"""Names and addresses in the one form in which rules compare them.

A rule is looked at for every connect(), so a target is brought into this form once and a rule when it is
loaded: a name in lower case without its final dot, an address as (bits, number).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Address = tuple[int, int]

_MAPPED = 0xFFFF


def fold(name: str) -> str:
    """The name as rules compare it: lower case, A-labels, no final dot. Wildcards are left as they are."""
    name = name.lower().removesuffix(".")
    return name if name.isascii() else ".".join(map(_a_label, name.split(".")))


def address(text: str) -> Address | None:
    """(32 or 128, the address as a number), or None for what is not an address.

    A scope id (`fe80::1%eth0`) is dropped; an IPv4-mapped IPv6 address is the IPv4 address.
    """
    return _ipv6(text) if ":" in text else _ipv4(text)


def unmapped(text: str) -> str:
    """The text of an IPv4-mapped IPv6 address as IPv4; any other text as it is."""
    parsed = address(text) if ":" in text else None
    if parsed is None or parsed[0] != 32:
        return text
    return ".".join(map(str, parsed[1].to_bytes(4, "big")))


def looks_numeric(name: str) -> bool:
    """Whether a name consists of digits and dots, which no top-level domain allows: an address, or a slip."""
    return name.replace(".", "").isdecimal()


def _ipv4(text: str) -> Address | None:
    octets = text.split(".")
    if len(octets) != 4:
        return None
    number = 0
    for octet in octets:
        # A leading zero is octal to inet_aton(3) and decimal to others: such an address means nothing for sure.
        if not (octet.isascii() and octet.isdecimal()) or len(octet) > 3 or (octet[0] == "0" and octet != "0"):
            return None
        if int(octet) > 255:
            return None
        number = number << 8 | int(octet)
    return 32, number


def _ipv6(text: str) -> Address | None:
    # Imported when the first IPv6 address is seen: most programs connect to names and to IPv4.
    from ipaddress import IPv6Address

    try:
        number = int(IPv6Address(text.partition("%")[0]))
    except ValueError:
        return None
    # RFC 4291 section 2.5.5.2: ::ffff:a.b.c.d stands for an IPv4 node.
    return (32, number & 0xFFFFFFFF) if number >> 32 == _MAPPED else (128, number)


def _a_label(label: str) -> str:
    """RFC 3490's ToASCII of one label, which is kept where that has no answer (nothing can then be looked up)."""
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:
        return label
