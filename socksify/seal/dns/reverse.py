"""Names of the reverse look-up: `1.2.0.192.in-addr.arpa` (RFC 1035 section 3.5), `...ip6.arpa` (RFC 3596)."""

from __future__ import annotations

from socket import AF_INET6, inet_ntop

from socksify.routing.sockaddr import numeric

_IPV4 = ".in-addr.arpa"
_IPV6 = ".ip6.arpa"


def address(name: str) -> str | None:
    """Return the address, in its usual form, that a name in lower case asks for; None for any other name."""
    if name.endswith(_IPV4):
        return _ipv4(name.removesuffix(_IPV4).split("."))
    if name.endswith(_IPV6):
        return _ipv6(name.removesuffix(_IPV6).split("."))
    return None


def _ipv4(labels: list[str]) -> str | None:
    if len(labels) != 4 or not all(_is_octet(label) for label in labels):
        return None
    return ".".join(reversed(labels))


def _is_octet(label: str) -> bool:
    return label.isascii() and label.isdecimal() and len(label) <= 3 and int(label) < 256 and str(int(label)) == label


def _ipv6(labels: list[str]) -> str | None:
    if len(labels) != 32 or not all(len(label) == 1 and label in "0123456789abcdef" for label in labels):
        return None
    # A mapped address becomes the IPv4 address, as everywhere in the package.
    return numeric(inet_ntop(AF_INET6, bytes.fromhex("".join(reversed(labels)))))
