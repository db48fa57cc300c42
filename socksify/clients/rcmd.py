"""rcmd(3) through SOCKS: a command on another machine, as rsh and rcp ran theirs.

rcmd() is plain text, and trusts whoever has a reserved port on a host that it trusts. It is here because the
original package had it, for machines that speak nothing else; the thing to use is ssh.

With socksify installed, its connections take the way that the rules say. The second channel, for stderr, is one that
the server opens: through a proxy that is BIND.
"""

from __future__ import annotations

import os
import select
import socket
import time
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EPERM, EPROTO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# What servers take for reserved, and what of it is taken for this; below are services of their own.
_RESERVED = range(512, 1024)
_FIRST, _COUNT = 600, 424
# Seconds to wait before a server that refuses is asked again: one that restarts is soon there.
_PAUSES = (1, 2, 4, 8, 16)
_LONGEST_MESSAGE = 1024


def rcmd(
    host: str,
    port: int = 514,
    locuser: str | None = None,
    remuser: str | None = None,
    cmd: str = "",
    stderr: bool = False,
) -> socket.socket | tuple[socket.socket, socket.socket]:
    """Run a shell command on another machine, in plain text and on trust: rcmd(3). Use ssh where you can.

    `locuser` is who asks, `remuser` who runs it; both are the process's user unless told. Returns the command's stdin
    and stdout as a stream socket; with `stderr` a pair of it and of one for stderr, on which a byte that is written is
    a signal's number. Without it both come mixed. A process that may, connects from a reserved port; without one, few
    servers let anybody in.

    Raises PermissionError with the server's words when it says no, OSError when it cannot be reached, has its second
    channel come from a port that is not reserved, or speaks something else; ValueError for what cannot be sent.
    """
    user = _user() if locuser is None or remuser is None else ""
    words = [locuser if locuser is not None else user, remuser if remuser is not None else user, cmd]
    if not all(words) or any("\0" in word for word in words):
        raise ValueError("locuser, remuser and cmd must be texts without null characters, and not empty")
    request = b"".join(word.encode() + b"\0" for word in words)
    stream = _connect(host, port)
    try:
        if stderr:
            return stream, _ask_with_second_channel(stream, request, host)
        _ask(stream, b"\0" + request, host)
    except BaseException:
        stream.close()
        raise
    return stream


def _ask_with_second_channel(stream: socket.socket, request: bytes, host: str) -> socket.socket:
    second = _second_channel(stream, host)
    try:
        _ask(stream, request, host)
    except BaseException:
        second.close()
        raise
    return second


def _ask(stream: socket.socket, request: bytes, host: str) -> None:
    stream.sendall(request)
    _hear_verdict(stream, host)


def _connect(host: str, port: int) -> socket.socket:
    """Connect to the first address that answers; who refuses is asked again, ever more slowly."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for pause in _PAUSES:
        try:
            return _connect_to_any(addresses)
        except ConnectionRefusedError:
            time.sleep(pause)
    return _connect_to_any(addresses)


def _connect_to_any(addresses: list[Any]) -> socket.socket:
    *others, last = addresses
    for family, kind, protocol, _, address in others:
        try:
            return _connect_to(family, kind, protocol, address)
        except OSError:
            continue
    family, kind, protocol, _, address = last
    return _connect_to(family, kind, protocol, address)


def _connect_to(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    """Connect from a reserved port, the next one if that has such a connection already."""
    for port in _reserved_ports():
        stream = socket.socket(family, kind, protocol)
        try:
            if _take(stream, "", port):
                stream.connect(address)
                return stream
        except OSError as error:
            stream.close()
            if error.errno not in (EADDRINUSE, EADDRNOTAVAIL):
                raise
        except BaseException:
            stream.close()
            raise
        else:
            stream.close()
    raise _all_in_use()


def _reserved_ports() -> Iterator[int]:
    """Every port once, going on where the last call ended: one that was used waits for a while, at the proxy too."""
    global _latest
    for _ in range(_COUNT):
        _latest = (_latest + 1) % _COUNT
        yield _FIRST + _latest


# Processes that start together do not all begin at the same.
_latest = os.getpid() % _COUNT


def _take(sock: socket.socket, host: str, port: int) -> bool:
    """Bind to a reserved port; False if somebody has it. A process that may not have one takes any."""
    try:
        sock.bind((host, port))
    except OSError as error:
        if error.errno == EADDRINUSE:
            return False
        if error.errno not in (EACCES, EPERM):
            raise
        sock.bind((host, 0))
    return True


def _second_channel(stream: socket.socket, server: str) -> socket.socket:
    """Listen where the server can call, tell it the port, and accept it."""
    with socket.socket(stream.family, socket.SOCK_STREAM) as listener:
        # Behind a proxy, the address by which the server knows us is the proxy's; on loopback everybody has the same.
        host = stream.getsockname()[0]
        where = "" if host.startswith(("127.", "::1", "::ffff:127.")) else host
        if not any(_take(listener, where, port) for port in _reserved_ports()):
            raise _all_in_use()
        listener.listen(1)
        stream.sendall(b"%d\0" % listener.getsockname()[1])
        readable = select.select([listener, stream], [], [], stream.gettimeout())[0]
        if listener not in readable:
            # Instead of calling, the server has something to say.
            _hear_verdict(stream, server)
            raise OSError(EPROTO, "protocol failure in circuit setup: the server did not open the second channel")
        second, peer = listener.accept()
    if peer[1] not in _RESERVED:
        second.close()
        raise OSError(EPROTO, f"protocol failure in circuit setup: the second channel came from port {peer[1]}")
    return second


def _hear_verdict(stream: socket.socket, host: str) -> None:
    """A null byte is yes; what else comes is a line that says why not."""
    verdict = stream.recv(1)
    if verdict == b"\0":
        return
    if not verdict:
        raise ConnectionResetError(f"{host}: the connection was closed without a word")
    message = b"" if verdict == b"\1" else verdict
    while len(message) < _LONGEST_MESSAGE and not message.endswith(b"\n") and (byte := stream.recv(1)):
        message += byte
    raise PermissionError(EACCES, f"{host}: {message.decode(errors='replace').strip()}")


def _user() -> str:
    """The effective user's name."""
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _all_in_use() -> OSError:
    return OSError(EADDRINUSE, "all reserved ports are in use")
