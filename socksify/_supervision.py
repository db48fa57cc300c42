"""How a sealed process talks to the supervisor of its seal.

The supervisor sees the calls of socket options at one level, which is no protocol's. Outside a seal the kernel refuses
that level, and nothing happens.

A message is one call of setsockopt(2). The option is the kind of the question. The value is memory of the caller, with
a number and data. The supervisor reads the question in that memory, and writes the answer to the same place. So no
state is kept between two calls, and a signal handler that asks something else does no harm.

If the supervisor has ended, the kernel answers ENOSYS to each call that the supervisor should see (seccomp(2)).
"""

from __future__ import annotations

import sys
from errno import ENOSYS

from socksify import _originals
from socksify._signal_safety import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket

# The level of setsockopt(2) and getsockopt(2): "SOCK" in ASCII. The kernel's own levels are far below.
PRIVATE_LEVEL = 0x534F434B

# The options. Each question and each answer begins with a number of 8 bytes, in the byte order of the machine. If
# messages change, their options get new numbers, so that two versions of this package do not misunderstand each other.
# The answer is the networks of fake addresses, separated by a space. Its number is the length of that text.
NETWORKS = 1
# The question is a name. The answer is the number of the index of its fake address.
INDEX_OF_NAME = 2
# The question is the number of an index. The answer is its name, after the length of it; 0 if there is none.
NAME_OF_INDEX = 3
# The question is settings, as `config.inherited.encoded` gives them. The answer is the number of a scope.
REGISTER = 4
# The question is the number of a scope. The socket of the call belongs to that scope from now on.
SCOPE_OF_SOCKET = 5
# The question is the number of a port, and an address as text. A proxy is there, so it is reached directly.
FIRST_HOP = 6

NUMBER = 8
# A host name has at most 255 bytes. The text of two networks is shorter.
LONGEST_NAME = 255


class _Seal:
    """What is known about the seal of this process. A seal is never taken off."""

    def __init__(self) -> None:
        self._is_on = False

    def is_on(self) -> bool:
        if not self._is_on:
            self._is_on = sys.platform == "linux" and _answers()
        return self._is_on


_seal = _Seal()


def is_sealed() -> bool:
    """Return True if this process is under a seal, also if the supervisor of the seal has ended.

    The kernel is asked until the answer is yes, because a process may be sealed after it was forked.
    """
    return _seal.is_on()


def fake_networks() -> tuple[str, str]:
    """Return the networks of fake addresses of this process tree, the IPv4 one first. Raises OSError."""
    length, text = _ask(NETWORKS, room=LONGEST_NAME)
    ipv4, _, ipv6 = text[:length].decode().partition(" ")
    return ipv4, ipv6


def index_of(name: bytes) -> int:
    """Return the index of the fake address that a name of 1 to 255 bytes has in this process tree. Raises OSError."""
    return _ask(INDEX_OF_NAME, data=name)[0]


def name_of(index: int) -> bytes:
    """Return the name at an index; nothing if there is none. Raises OSError."""
    length, name = _ask(NAME_OF_INDEX, index, room=LONGEST_NAME)
    return name[:length]


def register(settings: bytes) -> int:
    """Make settings known to the supervisor, and return the number of their scope.

    The number is 0 for the settings of the seal itself. Equal settings have the same number. The first proxies of the
    settings are reached directly from now on, by every process of the tree. Raises OSError: ENOSPC if there are too
    many different proxies, and EINVAL if the settings are too long, or no settings.
    """
    return _ask(REGISTER, data=settings)[0]


def add_first_hop(address: str, port: int) -> None:
    """Let every process of the tree connect directly to a proxy, whose name has this address. Raises OSError."""
    _ask(FIRST_HOP, port, address.encode())


def put_in_scope(sock: Socket, scope: int) -> None:
    """Let the supervisor route the connections of a socket by the settings of a scope, whatever process connects it.

    Raises OSError: ESTALE if the supervisor does not know the scope any more.
    """
    _send(sock, SCOPE_OF_SOCKET, _message(scope))


def _answers() -> bool:
    """Ask the supervisor anything. Only a supervisor writes an answer."""
    try:
        return fake_networks() != ("", "")
    except ours(OSError) as error:
        return error.errno == ENOSYS


def _ask(option: int, number: int = 0, data: bytes = b"", room: int = 0) -> tuple[int, bytes]:
    """Ask the supervisor, and return the number and the data of the answer. Raises OSError.

    `room` is the number of bytes that the data of the answer needs.
    """
    from _socket import AF_UNIX, SOCK_DGRAM

    message = _message(number, data.ljust(room, b"\0"))
    # No descriptor is kept, because programs count their descriptors, and close those that they have not opened.
    sock = _originals.Socket(AF_UNIX, SOCK_DGRAM)
    try:
        _send(sock, option, message)
    finally:
        sock.close()
    return int.from_bytes(message[:NUMBER], sys.byteorder), bytes(message[NUMBER:])


def _message(number: int, data: bytes = b"") -> bytearray:
    return bytearray(number.to_bytes(NUMBER, sys.byteorder) + data)


def _send(sock: Socket, option: int, message: bytearray) -> None:
    """Ask the supervisor, which writes its answer into the message. Raises OSError."""
    while True:
        try:
            _originals.setsockopt(sock, PRIVATE_LEVEL, option, message)
        except ours(InterruptedError):  # a signal handler has returned; every question may be asked again
            continue
        return
