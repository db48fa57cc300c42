"""The command `rftp`: an FTP client whose connections take the route that the rules choose."""

from __future__ import annotations

import argparse
import itertools
import os
import ssl
import sys
from collections.abc import Iterable, Sequence

from socksify.clients.options import Parser
from socksify.clients.rftp import connection_commands, dispatch, parsing
from socksify.clients.rftp.console import Failure, Screen
from socksify.clients.rftp.session import Session

# The default of socksify's bind_services.
_BIND_SERVICES = (21, 514)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client and return its exit status.

    `argv` are the arguments without the program's name; None stands for the process's own. The status is 0, or 1 if a
    command of a script failed, 2 for a wrong command line, 130 if a script was interrupted.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    opening = _opening(parser, options)
    session = _session(parser, options)
    if any(map(parsing.is_secret, _given(options))):
        session.screen.complain("everybody on this machine can read a password in -c; ~/.netrc or a script may hold it")
    parser.install(options)
    try:
        if session.screen.is_interactive:
            return _converse(session, opening)
        return _follow(session, itertools.chain(opening, _script(options)))
    except KeyboardInterrupt:
        return 130
    finally:
        session.close()


def _parser() -> Parser:
    parser = Parser("rftp", "An FTP client that goes through a SOCKS server where the rules say so.")
    parser.add_argument("host", nargs="?", metavar="[USER@]HOST", help="the server to open at once")
    parser.add_argument("port", nargs="?", default="", help="its port (21)")
    parser.add_argument(
        "-c", metavar="COMMANDS", dest="commands", help="run these, apart by ; or newlines, and leave; 1 if one fails"
    )
    parser.add_argument("--active", action="store_true", help="have the server connect to us for data")
    parser.add_argument("--tls", action="store_true", help="log in and transfer under TLS, or not at all")
    parser.add_argument("--cafile", metavar="FILE", help="authorities that a TLS server's certificate may come from")
    parser.add_argument("--no-verify", action="store_true", help="take any certificate of a TLS server")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="how long a server may be silent (%(default)s)"
    )
    return parser


def _opening(parser: Parser, options: argparse.Namespace) -> list[str]:
    """The command for the arguments [USER@]HOST and PORT."""
    if options.host is None:
        return []
    user, at, host = options.host.rpartition("@")
    if ":" in user:
        parser.error("a password on the command line is everybody's; rftp asks, and ~/.netrc may hold it")
    if not host or (at and not user):
        parser.error("expected [USER@]HOST [PORT]")
    try:
        port = connection_commands.port_number(options.port)
    except Failure as error:
        parser.error(str(error))
    return [f"open {parsing.quoted(options.host)} {port}"]


def _session(parser: Parser, options: argparse.Namespace) -> Session:
    if not 0 < options.timeout < 1e6:
        parser.error("--timeout: expected a number of seconds above 0")
    try:
        context = ssl.create_default_context(cafile=options.cafile)
    except OSError as error:
        parser.error(f"--cafile {options.cafile}: {error.strerror or error}")
    if options.no_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    interactive = options.commands is None and sys.stdin is not None and sys.stdin.isatty()
    return Session(
        Screen(interactive),
        options.timeout,
        context,
        wants_tls=options.tls,
        passive=not options.active,
        before_open=lambda port: _expect_connections_from(port, parser, options),
    )


def _expect_connections_from(port: int, parser: Parser, options: argparse.Namespace) -> None:
    """Let socksify expect a connection from the server, which active mode needs. By default it does for FTP's port."""
    if port not in _BIND_SERVICES and "SOCKSIFY_BIND_SERVICES" not in os.environ:
        parser.install(options, bind_services=[*_BIND_SERVICES, port])


def _given(options: argparse.Namespace) -> list[str]:
    """The commands of -c."""
    return parsing.commands(options.commands or "")


def _script(options: argparse.Namespace) -> Iterable[str]:
    """The commands of -c or of stdin.

    Lines of stdin are read one by one, because `!COMMAND` may read stdin as well. A closed stdin has no commands.
    """
    return _given(options) if options.commands is not None else sys.stdin or ()


def _converse(session: Session, opening: list[str]) -> int:
    from socksify.clients.rftp.prompt import converse

    for line in opening:
        dispatch.run(session, line)
    converse(session)
    return 0


def _follow(session: Session, script: Iterable[str]) -> int:
    """Run a script until a command fails."""
    try:
        return 0 if all(dispatch.run(session, line) for line in script) else 1
    except dispatch.Quit:
        return 0
