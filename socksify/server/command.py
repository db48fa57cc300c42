"""The command `sockd`: a SOCKS server on loopback, one line per session on stderr, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import contextlib
import hmac
import os
import signal
import sys
from collections.abc import Sequence

from socksify.server.embedded import Verify, policy_of
from socksify.server.listening import listen, require_loopback
from socksify.server.loop import Loop
from socksify.server.report import line
from socksify.server.server import Server

DEFAULT = "127.0.0.1:1080"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server; returns its exit status. Usage errors leave by SystemExit(2), as argparse has it."""
    parser = _parser()
    options = parser.parse_args(argv)
    with contextlib.closing(Loop()) as loop:
        try:
            users = _users(options.users)
            host, port = _address(options.listen)
            require_loopback(host)
            listener = listen(loop, host, port)
            policy = policy_of(_verifier(users) if users else None)
            server = Server(loop, [listener], policy, lambda report: _say(line(report)), _say)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stop())
        _say(f"listening on {options.listen.rpartition(':')[0]}:{server.addresses[0][1]}")
        loop.run()
        server.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sockd", description="A SOCKS4, 4A and 5 server on loopback.")
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", default=DEFAULT, help="a loopback address (default: %(default)s)"
    )
    # Credentials never come by argv, which every user of the machine can read.
    parser.add_argument(
        "--users", metavar="FILE", help="who may connect, a NAME:PASSWORD a line; or set SOCKD_USER and SOCKD_PASSWORD"
    )
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"--listen {text!r}: expected ADDRESS:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _users(path: str | None) -> dict[bytes, bytes]:
    """Everybody who may connect; empty when nobody is asked."""
    if path is not None:
        return _read_users(path)
    user, password = (os.environb.get(name) for name in (b"SOCKD_USER", b"SOCKD_PASSWORD"))
    if (user is None) != (password is None):
        raise ValueError("SOCKD_USER and SOCKD_PASSWORD go together, and one is not set")
    return {} if user is None or password is None else {user: password}


def _read_users(path: str) -> dict[bytes, bytes]:
    users = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            user, separator, password = line.rstrip(b"\r\n").partition(b":")
            if line.startswith(b"#") or not line.strip():
                continue
            if not (separator and user and password):
                raise ValueError(f"{path}, line {number}: expected NAME:PASSWORD")
            users[user] = password
    if not users:
        # An empty list lets nobody in; it must not be taken for no list, which lets everybody in.
        raise ValueError(f"{path}: no NAME:PASSWORD in it")
    return users


def _verifier(users: dict[bytes, bytes]) -> Verify:
    def verify(user: bytes, password: bytes) -> bool:
        # In a time that tells neither whether the user exists nor how much of the password is right.
        return hmac.compare_digest(users.get(user, b""), password) and user in users

    return verify


def _say(line: str) -> None:
    sys.stderr.write(f"sockd: {line}\n")
    sys.stderr.flush()
