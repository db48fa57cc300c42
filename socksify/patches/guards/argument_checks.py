"""What the standard library says of arguments alone, before it asks the kernel: wrong types, ranges and lengths.

A socket that is still connecting natively passes on nothing, but its methods look at their arguments first. The words
are those of C, said by socket objects without a descriptor: nothing is sent, and no name is looked up.
"""

from __future__ import annotations

import os
import sys
from errno import EINVAL
from socket import AF_INET, AF_INET6, MSG_OOB, SO_ERROR, SOCK_STREAM, SOL_SOCKET

from socksify import _originals
from socksify._signal_safety import ours
from socksify.patches.guards.datagrams import NOWHERE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LITERALS: dict[int, str] = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
# Where the flags are among the arguments.
_FLAGS = {"recv": 1, "recvfrom": 1, "recv_into": 2, "recvfrom_into": 2, "recvmsg": 2, "recvmsg_into": 2}
# These may carry an address, which is not looked at: it may be a name.
_ADDRESSED = ("sendto", "sendmsg")

# Of each family, a socket that is closed.
_closed: dict[int, _originals.Socket] = {}


def answered(sock: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """The result of a method that asks the kernel nothing, such as recv(0), as the only item; empty if it does ask.

    Raises what it raises of its arguments, and for urgent data OSError.
    """
    method = getattr(_originals.Socket, name, None)
    if method is None or name in _ADDRESSED:
        return []
    try:
        return [method(NOWHERE, *args, **kwargs)]
    except ours(OSError):  # it is no socket
        pass
    place = _FLAGS.get(name)
    flags = kwargs.get("flags", args[place] if place is not None and len(args) > place else 0)
    if place is not None and flags & MSG_OOB and _originals.gettimeout(sock) == 0:
        # tcp(7): there is none before anything was received.
        raise OSError(EINVAL, os.strerror(EINVAL))
    return []


def check_address(sock: Any, address: Any) -> None:
    """Raise what connect() says of a malformed address, which it looks at before it asks how far the socket is."""
    family = _originals.family(sock)
    literal = _LITERALS.get(family)
    if literal is None:
        return
    if isinstance(address, tuple) and address and _may_be_host(address[0]):
        address = (literal, *address[1:])
    try:
        _originals.connect(
            _closed_one(family), _originals.InternalAddress(address) if isinstance(address, tuple) else address
        )
    except ours(OSError):  # it is closed
        pass


def outcome_as(number: int, buflen: int) -> int | bytes:
    """The value of SO_ERROR, in the form that getsockopt() gives. Raises OSError for a wrong length."""
    if not buflen:
        return number
    try:
        _originals.getsockopt(NOWHERE, SOL_SOCKET, SO_ERROR, buflen)
    except ours(OSError) as error:
        if error.errno is None:
            raise
    return number.to_bytes(4, sys.byteorder)[:buflen]


def _may_be_host(host: Any) -> bool:
    """Whether C would look a host up, or parse it; of others it says what is wrong with them."""
    if isinstance(host, (bytes, bytearray)):
        return 0 not in host
    if not isinstance(host, str) or "\0" in host:
        return False
    try:
        return host.isascii() or bool(host.encode("idna"))
    except ours(UnicodeError):
        return False


def _closed_one(family: int) -> _originals.Socket:
    found = _closed.get(family)
    if found is None:
        found = _closed[family] = _originals.Socket(family, SOCK_STREAM)
        found.close()
    return found
