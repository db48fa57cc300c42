"""The session: which server, as whom, and how files are transferred. What a command leaves for the next."""

from __future__ import annotations

import ftplib
import getpass
import netrc
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from socksify.clients.rftp.connection import Connection, Lost
from socksify.clients.rftp.console import Failure, Screen

# RFC 1635: "the user name 'anonymous' ... the email address as password"; nobody's address is sent.
_ANONYMOUS_PASSWORD = "anonymous@"


@dataclass(frozen=True)
class Login:
    """Who logs in, and with what; the password is in no repr."""

    user: str
    password: str = field(repr=False)


@dataclass
class Session:
    """The state of the client. `connection` is None when there is none; the rest outlives connections."""

    screen: Screen
    timeout: float = 60.0
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    host: str = ""
    port: int = ftplib.FTP_PORT
    login: Login | None = None
    wants_tls: bool = False
    passive: bool = True
    binary: bool = True
    restart: int = 0
    connection: Connection | None = None
    # Is told the port that is about to be connected to.
    before_open: Callable[[int], None] = lambda _port: None
    # The names in the server's directories, as they were asked for.
    listings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def server(self) -> Connection:
        """The connection. Raises Failure when there is none."""
        if self.connection is None:
            raise Failure("not connected; open HOST connects")
        return self.connection

    def open(self, host: str, port: int, user: str | None = None) -> None:
        """Connects and logs in, as `user` or as whoever ~/.netrc or the terminal names, else as anonymous."""
        self.close()
        if (host, port) != (self.host, self.port) or (self.login and user not in (None, self.login.user)):
            self.login = None
        self.host, self.port = host, port
        self.before_open(port)
        self._connect()
        self.log_in(self.login or self._find_login(user))

    def _connect(self) -> None:
        connection = Connection(self.context, self.timeout)
        try:
            welcome = connection.connect(self.host, self.port)
            self.screen.say(f"connected to {self.host}")
            self.screen.say(welcome)
            connection.set_pasv(self.passive)
            if self.wants_tls:
                self.screen.say(connection.auth())
        except BaseException:
            connection.close()
            raise
        self.connection = connection

    def log_in(self, login: Login) -> None:
        """Logs in over the connection that is there; remembered for open() without a host."""
        server = self.server
        self.login = None
        self.screen.say(server.login(login.user, login.password))
        self.login = login
        if server.is_encrypted:
            server.prot_p()

    def encrypt(self) -> None:
        """Has everything under TLS, commands and data.

        AUTH comes before the login (RFC 4217), so that who is logged in already is so again on a new connection.
        """
        self.wants_tls = True
        if self.connection is None or self.connection.is_encrypted:
            return
        if self.connection.logged_in:
            directory = self.connection.pwd()
            self.open(self.host, self.port, self.login.user if self.login else None)
            self.server.cwd(directory)
        else:
            self.screen.say(self.connection.auth())

    def close(self) -> None:
        """Leaves the server, if there is one."""
        connection, self.connection = self.connection, None
        self.listings.clear()
        if connection is not None:
            connection.leave()

    def lost(self, why: Lost) -> Failure:
        """Drops a connection that is gone; what to say of it."""
        connection, self.connection = self.connection, None
        self.listings.clear()
        if connection is not None:
            connection.close()
        return Failure(f"connection to {self.host} lost ({why}); open connects again")

    def ask_login(self, user: str) -> Login:
        """A login whose password the user types."""
        return Login(user, self.screen.ask_password(f"Password for {user}@{self.host}: "))

    def _find_login(self, user: str | None) -> Login:
        known = _from_netrc(self.host)
        if known is not None and user in (None, known.user):
            return known if known.password else self.ask_login(known.user)
        if user is None and self.screen.is_interactive:
            user = self.screen.ask(f"Name ({self.host}:{getpass.getuser()}): ") or getpass.getuser()
        if user in (None, "anonymous", "ftp"):
            return Login(user or "anonymous", _ANONYMOUS_PASSWORD)
        return self.ask_login(user)


def _from_netrc(host: str) -> Login | None:
    try:
        entry = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        raise Failure(f"~/.netrc: {error}") from None
    if entry is None or not entry[0]:
        return None
    return Login(entry[0], entry[2] or "")
