"""Checks of arguments that the standard library makes before it asks the kernel: wrong types, ranges and lengths.

A socket that is still connecting sends and receives nothing, but its methods check their arguments first. Here the C
code itself makes the checks, on socket objects without a descriptor. So the exceptions have the texts of C, nothing is
sent, and no name is looked up.
"""

from __future__ import annotations

import os
import sys
from errno import EINVAL
from functools import cache
from socket import AF_INET, AF_INET6, MSG_OOB, SO_ERROR, SOCK_STREAM, SOL_SOCKET

from socksify import _originals
from socksify._signal_safety import ours
from socksify.patches.guards.datagrams import NOWHERE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LITERALS: dict[int, str] = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
# The positions of the flags among the arguments.
_FLAGS = {"recv": 1, "recvfrom": 1, "recv_into": 2, "recvfrom_into": 2, "recvmsg": 2, "recvmsg_into": 2}
# These may have an address, which is not checked, because it may be a name.
_ADDRESSED = ("sendto", "sendmsg")


def answered(sock: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """Return a list with the result of a method that needs no kernel for it, such as recv(0); else an empty list.

    `name`, `args` and `kwargs` are the method's name and arguments. Raises the exceptions of the method about its
    arguments, and OSError for a request for urgent data.
    """
    method = getattr(_originals.Socket, name, None)
    if method is None or name in _ADDRESSED:
        return []
    try:
        return [method(NOWHERE, *args, **kwargs)]
    except ours(OSError):  # NOWHERE has no descriptor
        pass
    place = _FLAGS.get(name)
    flags = kwargs.get("flags", args[place] if place is not None and len(args) > place else 0)
    if place is not None and flags & MSG_OOB and _originals.gettimeout(sock) == 0:
        # tcp(7): there is no urgent data before any data was received.
        raise OSError(EINVAL, os.strerror(EINVAL))
    return []


def check_address(sock: Any, address: Any) -> None:
    """Raise the exception of connect() about a malformed address, in any state of the socket."""
    family = _originals.family(sock)
    literal = _LITERALS.get(family)
    if literal is None:
        return
    if isinstance(address, tuple) and address and _may_be_host(address[0]):
        address = (literal, *address[1:])
    try:
        _originals.connect(
            _closed_socket(family), _originals.InternalAddress(address) if isinstance(address, tuple) else address
        )
    except ours(OSError):  # it is closed
        pass


def outcome_as(number: int, buflen: int) -> int | bytes:
    """Return `number` as getsockopt(SO_ERROR) does: as an int, or as `buflen` bytes if `buflen` is not 0.

    Raises OSError for a wrong length.
    """
    if not buflen:
        return number
    try:
        _originals.getsockopt(NOWHERE, SOL_SOCKET, SO_ERROR, buflen)
    except ours(OSError) as error:
        if error.errno is None:
            raise
    return number.to_bytes(4, sys.byteorder)[:buflen]


def _may_be_host(host: Any) -> bool:
    """Return True if C would parse a host or look it up. For any other host C raises an exception at once."""
    if isinstance(host, (bytes, bytearray)):
        return 0 not in host
    if not isinstance(host, str) or "\0" in host:
        return False
    try:
        return host.isascii() or bool(host.encode("idna"))
    except ours(UnicodeError):
        return False


@cache
def _closed_socket(family: int) -> _originals.Socket:
    sock = _originals.Socket(family, SOCK_STREAM)
    sock.close()
    return sock
