"""The command `rtelnet`: a terminal client whose connection takes the route that the rules choose."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from socksify.clients.options import Parser

_TELNET = 23


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client and return its exit status.

    `argv` holds the arguments without the program's name; None stands for the arguments of this process. The status is
    0 after a session, 1 if the connection failed or broke, and 130 after an interrupt. Raises SystemExit with the
    status 2 for a wrong command line, and with the status 1 if telnetlib3 is not installed.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    port, escape = _port(parser, options.port), None if options.no_escape else _escape(parser, options.escape)
    _require_telnetlib3(parser)
    parser.install(options)
    try:
        _run(options, port, escape)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        sys.stderr.write(f"rtelnet: {options.host} port {port}: {str(error).partition('] ')[2] or error}\n")
        return 1
    return 0


def _require_telnetlib3(parser: Parser) -> None:
    try:
        import socksify.clients.rtelnet.telnet  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "telnetlib3":
            raise
        parser.exit(1, "rtelnet: telnetlib3 is not installed; pip install 'socksify[telnet]' brings it\n")


def _run(options: argparse.Namespace, port: int, escape: bytes | None) -> None:
    """Connect, and return at the end of the session. Raises OSError if the connection fails or breaks."""
    from socksify.clients.rtelnet import escape_commands
    from socksify.clients.rtelnet.session import Session
    from socksify.clients.rtelnet.telnet import Protocol
    from socksify.clients.rtelnet.terminal import Terminal

    terminal = Terminal()
    terminal.tell(f"Trying {options.host}...")
    with socket.create_connection((options.host, port)) as sock:
        terminal.tell(f"Connected to {options.host}.")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol = Protocol(os.environ.get("TERM", "unknown"), terminal.size, options.user)
        if options.binary:
            protocol.ask_binary(True)
        Session(sock, protocol, terminal, escape, escape_commands.run).run()


def _parser() -> Parser:
    parser = Parser("rtelnet", "A telnet client that goes through a SOCKS server where the rules say so.")
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("port", nargs="?", default=str(_TELNET), help="a number or the name of a service (23)")
    parser.add_argument("-8", action="store_true", dest="binary", help="ask for eight bits, both ways")
    parser.add_argument("-e", metavar="KEY", default="^]", dest="escape", help="the escape character (^])")
    parser.add_argument("-E", action="store_true", dest="no_escape", help="no escape character")
    parser.add_argument("-l", metavar="USER", dest="user", help="tell the server this name, if it asks")
    return parser


def _port(parser: Parser, text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, OverflowError):
        parser.error(f"{text!r}: expected a port, 1 to 65535, or the name of a service")


def _escape(parser: Parser, text: str) -> bytes:
    """Return the key that `text` names: `^` and a character name a control character, one character names itself."""
    if len(text) == 2 and text[0] == "^" and text.isascii() and "?" <= text[1].upper() <= "_":
        return bytes([ord(text[1].upper()) ^ 0x40])
    if len(text) != 1 or not text.isascii():
        parser.error(f"-e {text!r}: expected one character, or ^ and one")
    return text.encode()
