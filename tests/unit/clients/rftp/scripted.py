"""An FTP server whose answers a test chooses, for cases that no real server produces on demand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping

SECONDS = 10.0
_TRANSFERS = ("RETR", "NLST", "LIST", "STOR", "APPE")


class Scripted:
    """Serves one connection after the other. `answers` has, by command, a reply, or the data of a transfer as bytes.

    A reply of None ends the connection. Other commands are answered as by a usual server.
    """

    def __init__(self, answers: Mapping[str, str | bytes | None], welcome: str = "220 ready") -> None:
        self.heard: list[str] = []
        self.host = "127.0.0.1"
        self._answers, self._welcome = answers, welcome
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._data: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the thread from its accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(SECONDS)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                control, _ = self._listener.accept()
            except OSError:
                return
            control.settimeout(SECONDS)
            with control:
                try:
                    self._converse(control)
                except OSError:
                    pass
                finally:
                    self._close_data()

    def _converse(self, control: socket.socket) -> None:
        self._say(control, self._welcome)
        with control.makefile("rb") as lines:
            for line in lines:
                self.heard.append(line.decode("latin-1").rstrip("\r\n"))
                word = self.heard[-1].split(" ")[0].upper()
                answer = self._answers.get(word, self._friendly(word))
                if answer is None:
                    return
                if isinstance(answer, bytes):
                    self._transfer(control, word, answer)
                else:
                    self._say(control, answer)
                if word == "QUIT":
                    return

    def _friendly(self, word: str) -> str | bytes:
        if word == "PASV":
            self._close_data()
            self._data = socket.create_server((self.host, 0))
            port = self._data.getsockname()[1]
            return f"227 Entering Passive Mode ({self.host.replace('.', ',')},{port >> 8},{port & 255})"
        replies = {"USER": "331 password", "PASS": "230 welcome", "PWD": '257 "/"', "QUIT": "221 bye", "SIZE": "550 no"}
        return b"" if word in _TRANSFERS else replies.get(word, "200 ok")

    def _transfer(self, control: socket.socket, word: str, data: bytes) -> None:
        assert self._data is not None
        self._say(control, "150 here it comes")
        self._data.settimeout(SECONDS)
        connection, _ = self._data.accept()
        with connection:
            connection.settimeout(SECONDS)
            if word in ("STOR", "APPE"):
                while connection.recv(65536):
                    pass
            else:
                connection.sendall(data)
        self._say(control, "226 done")

    def _close_data(self) -> None:
        if self._data is not None:
            self._data.close()

    def _say(self, control: socket.socket, reply: str) -> None:
        control.sendall(reply.encode("latin-1") + b"\r\n")
