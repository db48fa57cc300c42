"""The name servers that programs have asked, and our responders, which answer in their place.

A question is led to a responder by its address. Resolvers drop an answer that comes from another address than they
have asked. So the address that was asked is kept for each socket, to be reported as that of the sender.

The responders are on loopback, where every user of this machine can send. Others must not learn which names the tree
has looked up, so a question is answered only if it comes from a socket that was led here.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from errno import ENETUNREACH
from socket import AF_INET, AF_INET6, MSG_DONTWAIT, SO_BINDTODEVICE, SOCK_DGRAM, SOL_SOCKET

from socksify import _originals
from socksify.routing.sockaddr import numeric
from socksify.seal.kernel import raw_sockaddr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from socksify.routing.sockaddr import SockAddress

    Value = TypeVar("Value")

# The number of sockets whose name server is known. The one that was used least recently is dropped.
_MOST_ASKERS = 1 << 12
# The UDP sockets of this machine.
_TABLES = ("/proc/net/udp", "/proc/net/udp6")
# IFNAMSIZ
_LONGEST_DEVICE = 16


class AskedNameServers:
    """What each socket has asked, by its inode.

    `responders` are UDP sockets on 127.0.0.1, and on ::1 if there is IPv6.
    """

    def __init__(self) -> None:
        self.responders = tuple(_responders())
        self._addresses: dict[int, SockAddress] = {sock.family: sock.getsockname()[:2] for sock in self.responders}
        # The last name server of each socket, as its address lies in memory.
        self._asked: OrderedDict[int, bytes] = OrderedDict()
        # The inode of the socket that has last been led here from a port.
        self._ports: OrderedDict[int, int] = OrderedDict()

    def __contains__(self, inode: int) -> bool:
        return inode in self._asked

    def __bool__(self) -> bool:
        """True if any socket has asked."""
        return bool(self._asked)

    def connect(self, sock: _originals.Socket, inode: int, raw: bytes, to: tuple[str, int]) -> bytes:
        """Connect a socket to a responder. Return what getpeername(2) is to report. Raises OSError.

        `raw` is the program's address, and `to` is its destination().
        """
        sock.connect(self._responder_for(sock, to))
        return self._note(sock, inode, raw, to)

    def ask(self, sock: _originals.Socket, raw: bytes, to: tuple[str, int], content: bytes, flags: int) -> int:
        """Send a question to a responder. Return the number of bytes. Raises OSError."""
        sent = sock.sendto(content, flags | MSG_DONTWAIT, self._responder_for(sock, to))
        self._note(sock, os.fstat(sock.fileno()).st_ino, raw, to)
        return sent

    def forget(self, inode: int) -> None:
        """Forget what a socket has asked: it was connected to something else."""
        self._asked.pop(inode, None)

    def serves(self, client: SockAddress) -> bool:
        """Return True if a question from this address comes from a socket that was led to a responder."""
        port = client[1]
        inode = self._ports.get(port)
        # The socket may be closed by now, and the port another user's.
        return inode is not None and _is_bound(inode, port)

    def sender(self, sock: _originals.Socket, inode: int, address: SockAddress) -> bytes:
        """Return the sender that a program is to see, as it lies in memory, for the true one."""
        host, port = numeric(address[0]) or "", address[1]
        asked = self._asked.get(inode)
        if asked is not None and (host, port) in self._addresses.values():
            return asked
        return raw_sockaddr.pack(sock.family, address)

    def _responder_for(self, sock: _originals.Socket, to: tuple[str, int]) -> SockAddress:
        device = sock.getsockopt(SOL_SOCKET, SO_BINDTODEVICE, _LONGEST_DEVICE).strip(b"\0")
        if device not in (b"", b"lo"):
            # Packets to loopback would leave by the device.
            raise OSError(ENETUNREACH, os.strerror(ENETUNREACH))
        if sock.family == AF_INET6 and ":" in to[0] and AF_INET6 in self._addresses:
            return self._addresses[AF_INET6]
        host, port = self._addresses[AF_INET]
        return _for_family(sock.family, host), port

    def _note(self, sock: _originals.Socket, inode: int, raw: bytes, to: tuple[str, int]) -> bytes:
        scope = raw_sockaddr.parse(raw, AF_INET6)[3] if raw_sockaddr.family(raw) == AF_INET6 else 0
        asked = raw_sockaddr.pack(sock.family, (_for_family(sock.family, to[0]), to[1], 0, scope))
        _use(self._asked, inode, asked)
        _use(self._ports, sock.getsockname()[1], inode)
        return asked


def _use(entries: OrderedDict[int, Value], key: int, value: Value) -> None:
    """Put an entry at the end, and drop the first one if there are too many."""
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > _MOST_ASKERS:
        entries.popitem(last=False)


def _is_bound(inode: int, port: int) -> bool:
    """Return True if a UDP socket is bound to a port."""
    end, number = f":{port:04X}", str(inode)
    for table in _TABLES:
        try:
            with open(table) as file:
                # proc_net(5): the local address is the second field, the inode is the tenth one.
                if any(row[1].endswith(end) and row[9] == number for row in map(str.split, file)):
                    return True
        except OSError:  # no IPv6 here
            continue
    return False


def _for_family(family: int, literal: str) -> str:
    """Return a literal for a socket of a family: those of IPv4 are mapped for IPv6."""
    return f"::ffff:{literal}" if family == AF_INET6 and ":" not in literal else literal


def _responders() -> list[_originals.Socket]:
    """Return the responders. Raises OSError if there is not even IPv4."""
    responders = [_responder(AF_INET, "127.0.0.1")]
    try:
        responders.append(_responder(AF_INET6, "::1"))
    except OSError:  # no IPv6 here
        pass
    return responders


def _responder(family: int, host: str) -> _originals.Socket:
    responder = _originals.Socket(family, SOCK_DGRAM)
    try:
        responder.bind((host, 0))
    except OSError:
        responder.close()
        raise
    responder.setblocking(False)
    return responder
