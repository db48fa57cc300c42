"""The process that makes the sockets of a SocketPool.

It lives in an empty network namespace, serves the supervisor over a Unix socket, and ends when the supervisor has
closed its end. A request is the letter of a family. The answer is a message with the letter, an errno or 0, and the
socket.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
from errno import EAFNOSUPPORT
from socket import (
    AF_INET,
    AF_INET6,
    CMSG_SPACE,
    IPPROTO_IPV6,
    MSG_CMSG_CLOEXEC,
    SCM_RIGHTS,
    SOCK_DGRAM,
    SOL_SOCKET,
)

from socksify import _originals
from socksify.seal.datagrams import network_namespace

# The letters of the protocol.
LETTERS: dict[int, bytes] = {AF_INET: b"4", AF_INET6: b"6"}
FAMILIES = {letter: family for family, letter in LETTERS.items()}
# The first answer: READY with the responder, or an errno and the text of an error.
READY = b"\0"
# In bytes: no answer is longer.
LONGEST_ANSWER = 512

_DOMAIN = 53
_DESCRIPTOR = struct.Struct("=i")
# Every descriptor is below this number, a C int.
_MOST_DESCRIPTORS = (1 << 31) - 1
# <linux/in6.h>; the `socket` module does not have it.
_IPV6_FREEBIND = 78
# <linux/in.h>; Python 3.11 does not have it.
_IP_PKTINFO = 8


def start() -> tuple[int, _originals.Socket]:
    """Fork the process. Return its number, and the supervisor's end of the Unix socket. Raises OSError."""
    ours, theirs = (_originals.Socket(fileno=end.detach()) for end in socket.socketpair())
    # All signals stay blocked in the process. So no key of the terminal ends it, and no handler of ours runs in it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if not pid:
            _run(theirs)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return pid, ours


def receive(process: _originals.Socket, size: int) -> tuple[bytes, _originals.Socket | None]:
    """Return the next answer, of up to `size` bytes, and its socket. Raises OSError.

    There is no socket in the answer of an error, and in that of a process that has reached its limit of open files.
    """
    answer, ancillary, *_ = process.recvmsg(size, CMSG_SPACE(_DESCRIPTOR.size), MSG_CMSG_CLOEXEC)
    descriptors = [data for _, _, data in ancillary]
    return answer, _originals.Socket(fileno=_DESCRIPTOR.unpack(descriptors[0])[0]) if descriptors else None


def _run(supervisor: _originals.Socket) -> None:
    """Serve until the supervisor ends. Never returns."""
    try:
        # An object of the supervisor that is collected here would close a number that is now another file's.
        gc.disable()
        _close_others(supervisor.fileno())
        _serve(supervisor)
    finally:
        os._exit(0)


def _close_others(kept: int) -> None:
    """Close every other descriptor: nobody shall wait for this process to close a pipe or a terminal."""
    os.closerange(0, kept)
    os.closerange(kept + 1, _MOST_DESCRIPTORS)
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)


def _serve(supervisor: _originals.Socket) -> None:
    try:
        is_v6_only = _is_v6_only()
        network_namespace.enter()
        responder = _responder()
    except OSError as error:
        supervisor.send(bytes((error.errno or EAFNOSUPPORT,)) + str(error.strerror).encode()[: LONGEST_ANSWER - 1])
        return
    _send(supervisor, READY, responder)
    responder.close()
    while letter := supervisor.recv(1):
        _answer(supervisor, letter, is_v6_only)


def _answer(supervisor: _originals.Socket, letter: bytes, is_v6_only: int) -> None:
    try:
        made = _originals.Socket(FAMILIES[letter], SOCK_DGRAM)
    except OSError as error:
        supervisor.send(letter + bytes((error.errno or EAFNOSUPPORT,)))
        return
    if letter == LETTERS[AF_INET6]:
        made.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, is_v6_only)
    _send(supervisor, letter + b"\0", made)
    made.close()


def _send(supervisor: _originals.Socket, answer: bytes, made: _originals.Socket) -> None:
    supervisor.sendmsg([answer], [(SOL_SOCKET, SCM_RIGHTS, _DESCRIPTOR.pack(made.fileno()))])


def _is_v6_only() -> int:
    """Return the machine's default of IPV6_V6ONLY. A new namespace has its own (sysctl net.ipv6.bindv6only)."""
    try:
        native = _originals.Socket(AF_INET6, SOCK_DGRAM)
    except OSError:  # no IPv6 here
        return 0
    try:
        return native.getsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY)
    finally:
        native.close()


def _responder() -> _originals.Socket:
    """Return the socket of the name server: port 53 of every address. It reports the address that was asked."""
    try:
        responder = _originals.Socket(AF_INET6, SOCK_DGRAM)
    except OSError:  # no IPv6 here
        responder = _originals.Socket(AF_INET, SOCK_DGRAM)
        responder.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        responder.bind(("", _DOMAIN))
        return responder
    responder.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    responder.setsockopt(IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    # ip(7), IP_FREEBIND: otherwise no answer could be sent from an IPv6 address that no interface has.
    responder.setsockopt(IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    responder.bind(("::", _DOMAIN))
    return responder
