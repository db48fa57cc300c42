"""What the supervisor answers to the processes of its tree, in the messages of `_supervision`.

A message is a setsockopt(2) at a private level. Its value is memory of the caller, which holds the question, and gets
the answer. Any process of the tree may send anything: a message that makes no sense gets EINVAL, and changes nothing.
"""

from __future__ import annotations

import os
import sys
from errno import EFAULT, EINVAL

from socksify import _supervision
from socksify._supervision import LONGEST_NAME, NUMBER
from socksify.routing import fake_addresses
from socksify.routing.sockaddr import numeric
from socksify.seal.kernel.target import inode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.seal.patched.scopes import Scopes

    # The thread, and the descriptor of the call.
    Caller = tuple[int, int]
    # Takes the number and the data of a question, and returns those of the answer.
    Answer = Callable[[Caller, int, bytes], tuple[int, bytes]]

# The lower half of a register: the kernel takes no more of an argument of the type int.
_INT = 0xFFFFFFFF
# In bytes: some thirty thousand rules.
_LONGEST_SETTINGS = 1 << 22


class PrivateCalls:
    """Handlers for the supervisor: they answer calls at the private level."""

    def __init__(self, listener: Listener, target: Target, scopes: Scopes) -> None:
        self._listener, self._target, self._scopes = listener, target, scopes
        # By option: the function that answers, and the largest question in bytes, without its number.
        self._answers: dict[int, tuple[Answer, int]] = {
            _supervision.NETWORKS: (_networks, LONGEST_NAME),
            _supervision.INDEX_OF_NAME: (_index, LONGEST_NAME),
            _supervision.NAME_OF_INDEX: (_name, LONGEST_NAME),
            _supervision.REGISTER: (self._register, _LONGEST_SETTINGS),
            _supervision.SCOPE_OF_SOCKET: (self._put, 0),
            _supervision.FIRST_HOP: (self._add_first_hop, LONGEST_NAME),
        }

    def setsockopt(
        self, id: int, thread: int, fd: int, _level: int, option: int, value: int, length: int, *_: int
    ) -> None:
        """Answer a message. Raises OSError: EINVAL for a message that makes no sense, EFAULT for its memory."""
        answer, longest = self._answers.get(option & _INT, (_nothing, 0))
        length &= _INT
        number, data = answer((thread, fd & _INT), *self._question(thread, value, length, longest))
        message = number.to_bytes(NUMBER, sys.byteorder) + data
        if len(message) > length:
            raise _invalid()
        # If the caller has been killed, another process may have its number by now.
        if self._listener.is_valid(id):
            self._target.write(thread, value, message)
            self._listener.answer(id)

    def _question(self, thread: int, address: int, length: int, longest: int) -> tuple[int, bytes]:
        """Read the number and the data of a question."""
        if not NUMBER <= length <= NUMBER + longest:
            raise _invalid()
        message = b""
        while len(message) < length:
            part = self._target.read(thread, address + len(message), length - len(message))
            if not part:
                raise OSError(EFAULT, os.strerror(EFAULT))
            message += part
        return int.from_bytes(message[:NUMBER], sys.byteorder), message[NUMBER:]

    def _register(self, _: Caller, __: int, data: bytes) -> tuple[int, bytes]:
        return self._scopes.register(data), b""

    def _add_first_hop(self, _: Caller, port: int, address: bytes) -> tuple[int, bytes]:
        literal = numeric(address.decode("ascii", "replace"))
        if not address or literal is None or not 0 < port <= 65535:
            raise _invalid()
        self._scopes.add_first_hop(literal, port)
        return port, b""

    def _put(self, caller: Caller, scope: int, _: bytes) -> tuple[int, bytes]:
        self._scopes.put(inode(*caller), scope)
        return scope, b""


def _networks(_: Caller, __: int, ___: bytes) -> tuple[int, bytes]:
    networks = " ".join(fake_addresses.TABLE.networks).encode()
    return len(networks), networks


def _index(_: Caller, __: int, name: bytes) -> tuple[int, bytes]:
    try:
        text = name.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise _invalid() from None
    if not text:
        raise _invalid()
    return fake_addresses.TABLE.index_of(text), b""


def _name(_: Caller, index: int, __: bytes) -> tuple[int, bytes]:
    name = (fake_addresses.TABLE.name_at(index) or "").encode("utf-8", "surrogatepass")
    return len(name), name


def _nothing(_: Caller, __: int, ___: bytes) -> tuple[int, bytes]:
    raise _invalid()


def _invalid() -> OSError:
    return OSError(EINVAL, os.strerror(EINVAL))
