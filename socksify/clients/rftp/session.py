"""The session: the server, the login, and how files are transferred. Commands read this state and change it."""

from __future__ import annotations

import ftplib
import getpass
import netrc
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from socksify.clients.rftp.connection import Connection, Lost
from socksify.clients.rftp.console import Failure, Screen

# RFC 1635: "the user name 'anonymous' ... the email address as password". No real address is sent.
_ANONYMOUS_PASSWORD = "anonymous@"


@dataclass(frozen=True)
class Login:
    """A user and a password. The password is not in the repr."""

    user: str
    password: str = field(repr=False)


@dataclass
class Session:
    """The state of the client.

    `screen`: shows the session to the user.
    `timeout`: seconds for each reply of a server.
    `context`: verifies TLS servers.
    `host`, `port`, `login`: the current server, or the last one.
    `wants_tls`: True if commands and data must be under TLS.
    `passive`: True if the client opens the data connections, False if the server does.
    `binary`: True if bytes are transferred as they are, False if line ends are translated.
    `restart`: the offset in bytes at which the next transfer starts.
    `connection`: None while there is no connection. The other fields remain.
    `before_open`: is called with the port before each connection.
    `listings`: the names in directories of the server, as far as they were asked for.
    """

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
    before_open: Callable[[int], None] = lambda _port: None
    listings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def server(self) -> Connection:
        """The connection. Raises Failure if there is none."""
        if self.connection is None:
            raise Failure("not connected; open HOST connects")
        return self.connection

    def open(self, host: str, port: int, user: str | None = None) -> None:
        """Connect and log in. Without `user`, ~/.netrc or the terminal gives the name, otherwise it is anonymous."""
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
        """Log in over the current connection. The login is kept for the next open() of the same server."""
        server = self.server
        self.login = None
        self.screen.say(server.login(login.user, login.password))
        self.login = login
        if server.is_encrypted:
            server.prot_p()

    def encrypt(self) -> None:
        """Send commands and data under TLS from now on.

        AUTH comes before the login (RFC 4217). So a user who has logged in already gets a new connection, in the same
        directory.
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

    def set_passive(self, passive: bool) -> None:
        """Let the client open the data connections if `passive`, otherwise the server."""
        self.passive = passive
        if self.connection is not None:
            self.connection.set_pasv(passive)

    def set_binary(self, binary: bool) -> None:
        """Transfer bytes as they are if `binary`, otherwise translate line ends."""
        self.binary = binary

    def restart_at(self, offset: int) -> None:
        """Let the next transfer start at this offset, in bytes."""
        self.restart = offset

    def take_restart(self) -> int:
        """Return the offset for the transfer that begins now. Later transfers start at 0 again."""
        offset, self.restart = self.restart, 0
        return offset

    def close(self) -> None:
        """Leave the server, if there is a connection."""
        connection, self.connection = self.connection, None
        self.listings.clear()
        if connection is not None:
            connection.leave()

    def lost(self, why: Lost) -> Failure:
        """Drop a connection that is gone, and return the message for the user."""
        connection, self.connection = self.connection, None
        self.listings.clear()
        if connection is not None:
            connection.close()
        return Failure(f"connection to {self.host} lost ({why}); open connects again")

    def ask_login(self, user: str) -> Login:
        """Ask the user for the password of a login."""
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
