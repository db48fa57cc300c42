"""rcmd(3) through SOCKS: run a command on another machine, as rsh and rcp do.

The protocol is plain text, and a server trusts every client that has a reserved port on a trusted host. The function
exists because the original package had it, for machines that offer nothing else. Use ssh if you can.

With socksify installed, the connections take the route that the rules choose. The server opens the second channel, for
stderr. Through a proxy, the second channel needs a BIND.
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
    from typing import Any, Literal, overload

# The ports that servers accept as reserved.
_RESERVED = range(512, 1024)
# The pauses between attempts, in seconds: a server that restarts refuses connections for a short time.
_PAUSES = (1, 2, 4, 8, 16)
_LONGEST_MESSAGE = 1024

if TYPE_CHECKING:

    @overload
    def rcmd(
        host: str,
        port: int = 514,
        locuser: str | None = None,
        remuser: str | None = None,
        cmd: str = "",
        stderr: Literal[False] = False,
    ) -> socket.socket: ...
    @overload
    def rcmd(
        host: str,
        port: int = 514,
        locuser: str | None = None,
        remuser: str | None = None,
        cmd: str = "",
        *,
        stderr: Literal[True],
    ) -> tuple[socket.socket, socket.socket]: ...
    @overload
    def rcmd(
        host: str,
        port: int = 514,
        locuser: str | None = None,
        remuser: str | None = None,
        cmd: str = "",
        stderr: bool = False,
    ) -> socket.socket | tuple[socket.socket, socket.socket]: ...


def rcmd(
    host: str,
    port: int = 514,
    locuser: str | None = None,
    remuser: str | None = None,
    cmd: str = "",
    stderr: bool = False,
) -> socket.socket | tuple[socket.socket, socket.socket]:
    """Run a shell command on another machine with rcmd(3), in plain text and on trust. Use ssh if you can.

    `host` and `port` are the server's. `locuser` is the user who asks and `remuser` the user who runs the command; the
    default of both is the process's user. `cmd` is the command, for the server's shell.

    Returns a stream socket for the command's stdin and stdout. Without `stderr`, the command's stderr is mixed into
    stdout. With `stderr`, the function returns a pair of that socket and a second socket. The second socket receives
    the command's stderr, and each byte that is written to it is the number of a signal for the command.

    The connection comes from a reserved port if the process may bind one. Most servers refuse other ports.

    Raises PermissionError with the server's message if the server refuses; OSError if the server cannot be reached,
    does not speak the protocol, or opens the second channel from a port that is not reserved; ValueError if a user or
    the command is empty or contains a null character.
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
    _receive_verdict(stream, host)


def _connect(host: str, port: int) -> socket.socket:
    """Connect to the first address that answers. After refusals, try again with growing pauses."""
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
    """Connect from a reserved port. If a port has a connection to this address already, take the next one."""
    for port in _ports.each_once():
        stream = socket.socket(family, kind, protocol)
        try:
            if _bind(stream, "", port):
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
    raise _all_ports_in_use()


class _ReservedPorts:
    """The reserved ports that rcmd() uses, in turn. Lower ports belong to services.

    A port that was used cannot be used again for a while, here and at the proxy.
    """

    _FIRST, _COUNT = 600, 424

    def __init__(self) -> None:
        # Processes that start together should not all begin with the same port.
        self._latest = os.getpid() % self._COUNT

    def each_once(self) -> Iterator[int]:
        """Yield every port once, starting after the last one that was used."""
        for _ in range(self._COUNT):
            self._latest = (self._latest + 1) % self._COUNT
            yield self._FIRST + self._latest


_ports = _ReservedPorts()


def _bind(sock: socket.socket, host: str, port: int) -> bool:
    """Bind to a reserved port. Return False if it is in use. A process without the permission takes any port."""
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
    """Listen, tell the server the port, and accept the server's connection."""
    with socket.socket(stream.family, socket.SOCK_STREAM) as listener:
        # Behind a proxy, this is the proxy's address, as the server sees it. On loopback any address will do.
        host = stream.getsockname()[0]
        own_host = "" if host.startswith(("127.", "::1", "::ffff:127.")) else host
        if not any(_bind(listener, own_host, port) for port in _ports.each_once()):
            raise _all_ports_in_use()
        listener.listen(1)
        stream.sendall(b"%d\0" % listener.getsockname()[1])
        readable = select.select([listener, stream], [], [], stream.gettimeout())[0]
        if listener not in readable:
            # The server has sent an error instead of connecting.
            _receive_verdict(stream, server)
            raise OSError(EPROTO, "protocol failure in circuit setup: the server did not open the second channel")
        second, peer = listener.accept()
    if peer[1] not in _RESERVED:
        second.close()
        raise OSError(EPROTO, f"protocol failure in circuit setup: the second channel came from port {peer[1]}")
    return second


def _receive_verdict(stream: socket.socket, host: str) -> None:
    """Return if the server sends a null byte, which means yes. Otherwise raise an error with the server's reason."""
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
    """Return the name of the effective user."""
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _all_ports_in_use() -> OSError:
    return OSError(EADDRINUSE, "all reserved ports are in use")
