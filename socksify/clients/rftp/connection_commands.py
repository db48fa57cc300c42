"""Commands about the connection: server, login, TLS, and the mode and type of transfers."""

from __future__ import annotations

from socksify.clients.rftp.console import Failure
from socksify.clients.rftp.parsing import Command
from socksify.clients.rftp.session import Login, Session


def _open(session: Session, host: str = "", port: str = "") -> None:
    user, at, name = host.rpartition("@")
    if not host and not session.host:
        raise Failure("usage: open [USER@]HOST [PORT]")
    if ":" in user:
        raise Failure("no password here; rftp asks, and ~/.netrc may hold it")
    session.open(name or session.host, port_number(port) if host else session.port, user if at else None)


def _close(session: Session) -> None:
    session.close()


def _user(session: Session, user: str, password: str | None = None) -> None:
    _ = session.server
    session.log_in(session.ask_login(user) if password is None else Login(user, password))


def _tls(session: Session) -> None:
    session.encrypt()


def _active(session: Session) -> None:
    _set_passive(session, False)


def _passive(session: Session) -> None:
    _set_passive(session, True)


def _set_passive(session: Session, passive: bool) -> None:
    session.set_passive(passive)
    session.screen.say("the server connects to us" if not passive else "we connect to the server")


def _ascii(session: Session) -> None:
    _set_type(session, False)


def _binary(session: Session) -> None:
    _set_type(session, True)


def _set_type(session: Session, binary: bool) -> None:
    session.set_binary(binary)
    session.screen.say("bytes are transferred as they are" if binary else "line ends are translated")


def _status(session: Session) -> None:
    show, connection = session.screen.show, session.connection
    if connection is None:
        show("not connected")
    else:
        show(f"connected to {session.host} port {session.port}{', under TLS' if connection.is_encrypted else ''}")
        show(f"logged in as {session.login.user}" if session.login else "not logged in")
    show(f"mode {'passive' if session.passive else 'active'}, type {'binary' if session.binary else 'ascii'}")
    if session.restart:
        show(f"the next transfer starts at byte {session.restart}")


def _quote(session: Session, line: str) -> None:
    session.screen.show(session.server.sendcmd(line))


def _site(session: Session, line: str) -> None:
    session.screen.show(session.server.sendcmd(f"SITE {line}"))


def port_number(text: str) -> int:
    """Return a port as a number; FTP's own port for "". Raises Failure for other texts."""
    if not text:
        return 21
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise Failure(f"{text!r}: expected a port, 1 to 65535")
    return int(text)


COMMANDS = (
    Command("open", _open, "[[USER@]HOST [PORT]]", "connect and log in; without a host, again to the last one", most=2),
    Command("user", _user, "NAME [PASSWORD]", "log in over the connection that is there", 1, 2),
    Command("close", _close, "", "leave the server"),
    Command("tls", _tls, "", "go on under TLS, commands and data"),
    Command("active", _active, "", "have the server connect to us for data"),
    Command("passive", _passive, "", "connect to the server for data (the default)"),
    Command("ascii", _ascii, "", "transfer text, line ends translated"),
    Command("binary", _binary, "", "transfer bytes as they are (the default)"),
    Command("status", _status, "", "show the connection, and how files are transferred"),
    Command("site", _site, "WORDS", "send a SITE command", 1, 1),
    Command("quote", _quote, "WORDS", "send any command as it is, and show the reply", 1, 1),
)
