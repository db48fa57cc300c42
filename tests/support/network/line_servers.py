"""Small servers for text protocols: SMTP, FTP, IMAP, telnet, Redis. Each implements only what the clients here use."""

from __future__ import annotations

import contextlib
import socket
import socketserver

from tests.support.targets import PAGE

SECONDS = 10.0


class Lines(socketserver.StreamRequestHandler):
    """Sends GREETING, then calls the method named after each line's first word. A word of BYE ends the connection."""

    GREETING = ""
    BYE = ("QUIT",)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.say(self.GREETING)
            while words := self.rfile.readline().decode().split():
                self.obey(words)
                if words[0] in self.BYE:
                    return

    def obey(self, words: list[str]) -> None:
        getattr(self, words[0].lower(), self.anything)(*words[1:])

    def anything(self, *_: str) -> None:
        raise NotImplementedError

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class Smtp(Lines):
    GREETING = "220 mail.example"

    def anything(self, *_: str) -> None:
        self.say("250 fine")

    def quit(self) -> None:
        self.say("221 bye")

    def data(self) -> None:
        self.say("354 go on")
        while self.rfile.readline() not in (b".\r\n", b""):
            pass
        self.say("250 taken")


class Ftp(Lines):
    """Passive mode only. The data connection may use another address family than the control connection."""

    GREETING = "220 files.example"

    def anything(self, *_: str) -> None:
        self.say("200 fine")

    def user(self, _: str) -> None:
        self.say("331 and your password")

    def setup(self) -> None:
        super().setup()
        self._passive = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self._passive.settimeout(SECONDS)

    def finish(self) -> None:
        self._passive.close()
        super().finish()

    def pasv(self) -> None:
        # ftplib follows RFC 1123, 4.1.2.6: it takes the port from this reply and the host from the control connection.
        self.say("227 Entering Passive Mode (0,0,0,0,{},{})".format(*divmod(self._port(), 256)))

    def epsv(self) -> None:
        self.say(f"229 Entering Extended Passive Mode (|||{self._port()}|)")

    def _port(self) -> int:
        port: int = self._passive.getsockname()[1]
        return port

    def nlst(self) -> None:
        self._send(b"greeting\r\n")

    def retr(self, _: str) -> None:
        self._send(PAGE)

    def _send(self, data: bytes) -> None:
        self.say("150 here it comes")
        connection, _ = self._passive.accept()
        with connection:
            connection.sendall(data)
        self.say("226 there it was")


class Imap(Lines):
    GREETING = "* OK IMAP4rev1 ready"

    def obey(self, words: list[str]) -> None:
        tag, command = words[:2]
        if command == "CAPABILITY":
            self.say("* CAPABILITY IMAP4rev1")
        if command == "LOGOUT":
            self.say("* BYE")
        self.say(f"{tag} OK {command} completed")


class Telnet(socketserver.StreamRequestHandler):
    """Sends a greeting, negotiates no option, and waits until the client closes."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.wfile.write(b"welcome to the target\r\n")
            self.rfile.read()


class Redis(socketserver.StreamRequestHandler):
    """Keeps one value for all keys. The answers are the same in RESP 2 and 3, except HELLO's, a map of RESP 3."""

    HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"

    def handle(self) -> None:
        value = b""
        with contextlib.suppress(ConnectionError):
            while words := self._command():
                if words[0] == b"SET":
                    value = words[2]
                answers = {b"GET": b"$%d\r\n%b\r\n" % (len(value), value), b"HELLO": self.HELLO}
                self.wfile.write(answers.get(words[0].upper(), b"+OK\r\n"))

    def _command(self) -> list[bytes]:
        # An array of bulk strings: *COUNT, then for each string $LENGTH and the string.
        count = int(self.rfile.readline()[1:] or 0)
        return [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2] for _ in range(count)]
