"""ftplib's client with what a person in front of it needs: names that are no UTF-8, TLS sessions, an end to a transfer.

Theory of operation. ftplib talks Latin-1 here, which takes every byte, and putline() and getline() translate: names go
out and come in as UTF-8, with what is none kept as surrogates (PEP 383), so that a name that was listed can be asked
for. The same two are where a control connection is found to be lost: an OSError of theirs is a `Lost`, one of a data
connection is not, and the session goes on after it.
"""

from __future__ import annotations

import contextlib
import ftplib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

# How much longer than others a transfer's last reply may take: much of an upload may still be in a proxy's buffers.
_PATIENCE = 10
# close() with this sends RST: who is on the other side of an upload that was cut off must not take it for a whole one.
_RESET = struct.pack("ii", 1, 0)
# PWD's own reply, and what a server says that does not know it or does not know us yet.
_REPLIES_TO_PWD = ("257", "500", "502", "530")


class Lost(Exception):
    """The control connection is gone, and why."""


class Connection(ftplib.FTP_TLS):
    """A control connection; plain until auth()."""

    def __init__(self, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(context=context, timeout=timeout, encoding="latin-1")
        self.logged_in = False
        self._patience = timeout * _PATIENCE
        self._type = ""

    @property
    def is_encrypted(self) -> bool:
        """Whether commands go under TLS."""
        return isinstance(self.sock, ssl.SSLSocket)

    def login(self, user: str = "", passwd: str = "", acct: str = "", secure: bool = False) -> str:
        """Logs in over whatever the connection is by now; FTP_TLS's own asks for TLS first unless told not to."""
        reply = super().login(user, passwd, acct, secure)
        self.logged_in = True
        return reply

    def set_type(self, binary: bool) -> None:
        """Has what follows transferred as bytes or as text. ftplib's listings leave it at text."""
        wanted = "I" if binary else "A"
        if self._type != wanted:
            self.voidcmd(f"TYPE {wanted}")

    def putline(self, line: str) -> None:
        if line.upper().startswith("TYPE "):
            self._type = line[5:].upper()
        with _lost_if_it_fails():
            super().putline(_to_wire(line))

    def getline(self) -> str:
        with _lost_if_it_fails():
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
        with self._in_step():
            return super().retrlines(cmd, lambda line: deliver(_from_wire(line)))

    def makepasv(self) -> tuple[str, int]:
        try:
            return super().makepasv()
        except ftplib.error_perm:
            # The proxy may have taken the name to an IPv6 address, for which there is no PASV.
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
            # Servers (vsftpd's require_ssl_reuse) want the control connection's session again: it proves that the
            # data connection is the same client's. ftplib makes a new one.
            wrapped = self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session)
        except BaseException:
            connection.close()
            raise
        return wrapped, size

    @contextlib.contextmanager
    def transfer(self, command: str, rest: int = 0) -> Iterator[socket.socket]:
        """A data connection for the length of the block; that it was all, the server's reply tells at the end."""
        with self._in_step():
            with self.ntransfercmd(command, rest or None)[0] as connection:
                try:
                    yield connection
                except BaseException:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    raise
                if isinstance(connection, ssl.SSLSocket):
                    # The data are through; a peer that closes without a word of TLS is nothing to fail for.
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
    def _in_step(self) -> Iterator[None]:
        """Whatever fails but the control connection: after it, the next command gets its own reply."""
        try:
            yield
        except (Lost, ftplib.Error):
            raise
        except Exception:
            self.resynchronise()
            raise

    def resynchronise(self) -> None:
        """Reads the replies that an interrupted command left behind, so that the next one gets its own.

        How many there are is not known: 426, 226, both, or none. PWD's is told from them by its code. (ABOR as urgent
        data, as RFC 959 has it, does not survive most proxies; that the data connection is closed tells the server.)
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
        """Says goodbye if the server listens, and closes."""
        with contextlib.suppress(Lost, *ftplib.all_errors):
            if self.sock is not None:
                self.sock.settimeout(2.0)
                self.voidcmd("QUIT")
        self.close()


@contextlib.contextmanager
def _lost_if_it_fails() -> Iterator[None]:
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
