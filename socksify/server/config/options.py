"""The command line of `sockd`. An option that is left out has the configuration file's value, otherwise the default."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence

from socksify._record import Record
from socksify.config.ip import parse_ip
from socksify.server.config import LOG_FORMATS
from socksify.server.net.addresses import parse_address

DEFAULT_LISTEN = (("127.0.0.1", 1080),)

_DESCRIPTION = "A SOCKS4, 4A and 5 server: CONNECT, BIND and UDP ASSOCIATE, with rules, users and limits."
_EPILOG = (
    "`sockd passwd FILE USER` asks for a password and puts its salted hash into a file for --users. "
    "SIGHUP reads rules and users again; SIGTERM and SIGINT let the live sessions end, a second one ends them."
)


class Options(Record):
    """The options of a command line. An option that was not given is None, "", () or False.

    `question` is "check", "test", "status" or "version" if the command only answers a question, and "" if it serves.
    `asked` holds the arguments of the question. The other fields are the options of the same name.
    """

    question: str = ""
    asked: tuple[str, ...] = ()
    listen: tuple[tuple[str, int], ...] = ()
    config: str = ""
    route: str = ""
    users: str = ""
    open: bool = False
    allow_unsupported: bool = False
    workers: int | None = None
    log: str = ""
    log_format: str = ""
    metrics: str = ""
    status_directory: str = ""


def parse(arguments: Sequence[str] | None) -> Options:
    """Parse `arguments`, the words of the command line; None stands for the arguments of this process.

    Raises SystemExit, as argparse does: with status 2 after a message on stderr, with 0 after --help.
    """
    parser = _parser()
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    question = next((name for name in ("check", "test", "status", "version") if name in given), "")
    asked = tuple(given.pop(question, ()))
    options = Options(question, asked, **{**given, "listen": tuple(given.get("listen", ()))})
    if question == "check":
        options = options.replace(config=asked[0])
    if options.config and (options.users or options.open):
        parser.error("--users and --open are for a server without --config; a --config says who may connect")
    if (options.route or options.allow_unsupported) and not is_classic(options.config):
        parser.error("--route and --allow-unsupported are for a classic --config, a file named *.conf")
    return options


def is_classic(path: str) -> bool:
    """Return True if the configuration file `path` has the original server's format."""
    return path.endswith(".conf")


def default_status_directory(environ: Mapping[str, str]) -> str:
    """Return the directory of the status sockets if no other is configured; "" if there is no suitable directory.

    `environ` is the environment of the process.
    """
    # systemd.exec(5), RuntimeDirectory=: "a colon-separated list" of the directories that were made for the service.
    given = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given or os.geteuid() == 0:
        return given or "/run/sockd"
    own = environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(own, "sockd") if own else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sockd", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add = parser.add_argument
    add("--listen", metavar="ADDRESS:PORT", type=_listen, action="append", help=_LISTEN_HELP)
    add("--config", metavar="FILE", type=_file, help="rules, users and limits: TOML, or a classic file if named *.conf")
    add("--route", metavar="FILE", type=_file, help="the classic sockd.route that goes with a classic --config")
    add("--allow-unsupported", action="store_true", help="read classic files with lines that are not obeyed")
    # Credentials are never taken from argv, which every user of the machine can read.
    add("--users", metavar="FILE", type=_file, help="without --config: who may connect, as written by `sockd passwd`")
    add("--open", action="store_true", help="without --config: serve everybody who can reach the address")
    add("--workers", metavar="N", type=_count, help="processes that share the port (default: 1)")
    add("--log", metavar="WHERE", type=_log, help="stderr (the default), syslog or syslog:PATH")
    add("--log-format", choices=LOG_FORMATS, help="text (the default), or json: one object on each line")
    add("--metrics", metavar="ADDRESS:PORT", type=_metrics, help="tell Prometheus, on a loopback address")
    add("--status-directory", metavar="DIR", type=_file, help="the directory of the sockets for --status")
    questions = parser.add_mutually_exclusive_group()
    ask = questions.add_argument
    ask("--check", metavar="FILE", nargs=1, type=_file, help="read a configuration and print it")
    ask("--test", metavar=("CLIENT", "DEST:PORT"), nargs=2, help="tell which rule decides")
    ask("--status", metavar="json", nargs="?", type=_status, const=("text",), help="show the live sessions")
    ask("--version", action="store_const", const=(), help="show the version")
    return parser


_LISTEN_HELP = "may be given several times; port 0 is any free one (default: 127.0.0.1:1080)"


def _listen(text: str) -> tuple[str, int]:
    try:
        host, port = parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if parse_ip(host) is None:
        raise argparse.ArgumentTypeError(
            f"{host!r} is no address; a name may have several addresses, and they may change"
        )
    return host, port


def _file(text: str) -> str:
    # In a shell, a variable that has no value becomes an empty word. With --users "$USERS" the server would then ask
    # nobody for a password.
    if not text:
        raise argparse.ArgumentTypeError("expected a file's name")
    return text


def _metrics(text: str) -> str:
    _listen(text)
    return text


def _status(text: str) -> tuple[str]:
    if text not in LOG_FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {' or '.join(LOG_FORMATS)}")
    return (text,)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 1 to 1024")
    return int(text)


def _log(text: str) -> str:
    if text not in ("stderr", "syslog") and not text.startswith("syslog:/"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected stderr, syslog or syslog:PATH")
    return text
