"""A control connection: ftplib's client with the additions that an interactive user needs.

Encoding. ftplib is told to use Latin-1, which accepts every byte; putline() and getline() translate. Names are sent and
received as UTF-8, and other bytes are kept as surrogates (PEP 383), so that every name in a listing can be used.

Errors. putline() and getline() turn an OSError into `Lost`: the control connection is gone. An OSError of a data
connection stays an OSError, and the session goes on after it.
"""

from __future__ import annotations

import contextlib
import ftplib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

# The last reply of a transfer may take longer, by this factor: a proxy may hold much of an upload in its buffers.
_PATIENCE = 10
# SO_LINGER with which close() sends RST: the server must not take an upload that was cut off for a complete one.
_RESET = struct.pack("ii", 1, 0)
# The reply to PWD, and the replies of servers that do not know PWD, or want a login first.
_REPLIES_TO_PWD = ("257", "500", "502", "530")


class Lost(Exception):
    """The control connection is gone; the text says why."""


class Connection(ftplib.FTP_TLS):
    """A control connection, without TLS until auth().

    `context` verifies TLS servers. `timeout` is the time limit of each reply, in seconds. `logged_in` is True after
    login().
    """

    def __init__(self, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(context=context, timeout=timeout, encoding="latin-1")
        self.logged_in = False
        self._patience = timeout * _PATIENCE
        self._type = ""

    @property
    def is_encrypted(self) -> bool:
        """True if commands are sent under TLS."""
        return isinstance(self.sock, ssl.SSLSocket)

    def login(self, user: str = "", passwd: str = "", acct: str = "", secure: bool = False) -> str:
        """Log in with or without TLS, as the connection is now. FTP_TLS's own method would ask for TLS first."""
        reply = super().login(user, passwd, acct, secure)
        self.logged_in = True
        return reply

    def set_type(self, binary: bool) -> None:
        """Set the type of the next transfer: bytes or text. ftplib's listings set it to text."""
        wanted = "I" if binary else "A"
        if self._type != wanted:
            self.voidcmd(f"TYPE {wanted}")

    def putline(self, line: str) -> None:
        if line.upper().startswith("TYPE "):
            self._type = line[5:].upper()
        with _lost_after_errors():
            super().putline(_to_wire(line))

    def getline(self) -> str:
        with _lost_after_errors():
            return _from_wire(super().getline())

    def getresp(self) -> str:
        try:
            return super().getresp()
        except ftplib.error_temp as error:
            # RFC 959, 4.2.1: 421 "may be a reply to any command if the service knows it must shut down".
            if str(error).startswith("421"):
                raise Lost(str(error)) from None
            raise

    def retrlines(self, cmd: str, callback: Callable[[str], object] | None = None) -> str:
        deliver = callback or print
        with self._resynchronised():
            return super().retrlines(cmd, lambda line: deliver(_from_wire(line)))

    def makepasv(self) -> tuple[str, int]:
        try:
            return super().makepasv()
        except ftplib.error_perm:
            # The proxy may have resolved the name to an IPv6 address, for which PASV does not exist.
            if self.af != socket.AF_INET:
                raise
            return ftplib.parse229(self.sendcmd("EPSV"), self.peer)

    @property
    def peer(self) -> tuple[str, int]:
        """The server's address and port."""
        assert self.sock is not None
        host, port = self.sock.getpeername()[:2]
        return host, port

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if not self._prot_p:  # type: ignore[attr-defined]
            return connection, size
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            # ftplib starts a new TLS session. Servers (vsftpd's require_ssl_reuse) want the session of the control
            # connection, which proves that both connections belong to the same client.
            wrapped = self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session)
        except BaseException:
            connection.close()
            raise
        return wrapped, size

    @contextlib.contextmanager
    def transfer(self, command: str, rest: int = 0) -> Iterator[socket.socket]:
        """Yield a data connection for `command`, which starts at the offset `rest`.

        At the end of the block, the server's reply tells if the transfer was complete.
        """
        with self._resynchronised():
            with self.ntransfercmd(command, rest or None)[0] as connection:
                try:
                    yield connection
                except BaseException:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    raise
                if isinstance(connection, ssl.SSLSocket):
                    # All data have arrived. A peer that closes without TLS's closing alert is no failure.
                    with contextlib.suppress(OSError):
                        connection.unwrap()
            self._await_end()

    def _await_end(self) -> None:
        assert self.sock is not None
        self.sock.settimeout(self._patience)
        try:
            self.voidresp()
        finally:
            self.sock.settimeout(self.timeout)

    @contextlib.contextmanager
    def _resynchronised(self) -> Iterator[None]:
        """Make sure, after a failure, that the next command gets its own reply.

        Nothing has to be done if the failure is an error reply, or if the control connection is lost.
        """
        try:
            yield
        except (Lost, ftplib.Error):
            raise
        except Exception:
            self.resynchronise()
            raise

    def resynchronise(self) -> None:
        """Read the replies that an interrupted command has left, so that the next command gets its own.

        Their number is unknown: 426, 226, both, or none. So PWD is sent, whose reply has another code. (RFC 959 wants
        ABOR as urgent data, which most proxies do not relay. The server notices that the data connection is closed.)
        """
        if self.sock is None:
            return
        self.sock.settimeout(self.timeout)
        self.putcmd("PWD")
        while True:
            reply = self.getmultiline()
            if reply.startswith("421"):
                raise Lost(reply)
            if reply.startswith(_REPLIES_TO_PWD):
                break

    def leave(self) -> None:
        """Send QUIT if the server still answers, and close."""
        with contextlib.suppress(Lost, *ftplib.all_errors):
            if self.sock is not None:
                self.sock.settimeout(2.0)
                self.voidcmd("QUIT")
        self.close()


@contextlib.contextmanager
def _lost_after_errors() -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise Lost("the server closed it") from None
    except OSError as error:
        raise Lost(error.strerror or str(error)) from error


def _to_wire(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _from_wire(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")
