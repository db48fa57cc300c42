"""Commands about directories and names, of the server and local."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from socksify.clients.rftp.console import Failure
from socksify.clients.rftp.parsing import Command
from socksify.clients.rftp.session import Session


def _ls(session: Session, *words: str) -> None:
    session.server.retrlines(" ".join(("LIST", *words)), session.screen.show)


def _nlst(session: Session, *words: str) -> None:
    session.server.retrlines(" ".join(("NLST", *words)), session.screen.show)


def _cd(session: Session, directory: str) -> None:
    session.screen.say(session.server.cwd(directory))
    session.listings.clear()


def _pwd(session: Session) -> None:
    session.screen.show(session.server.pwd())


def _lcd(session: Session, directory: str = "~") -> None:
    os.chdir(os.path.expanduser(directory))
    session.screen.say(f"local directory {os.getcwd()}")


def _lpwd(session: Session) -> None:
    session.screen.show(os.getcwd())


def _mkdir(session: Session, directory: str) -> None:
    session.server.mkd(directory)
    _changed(session, f"{directory} made")


def _rmdir(session: Session, directory: str) -> None:
    _changed(session, session.server.rmd(directory))


def _delete(session: Session, name: str) -> None:
    _changed(session, session.server.delete(name))


def _rename(session: Session, old: str, new: str) -> None:
    _changed(session, session.server.rename(old, new))


def _changed(session: Session, reply: str) -> None:
    session.listings.clear()
    session.screen.say(reply)


def _size(session: Session, name: str) -> None:
    # RFC 3659 section 4: the size is the number of octets that a transfer of the current type would have.
    session.server.set_type(session.binary)
    size = session.server.size(name)
    if size is None:
        raise Failure(f"{name}: the server does not tell")
    session.screen.show(str(size))


def _modtime(session: Session, name: str) -> None:
    reply = session.server.sendcmd(f"MDTM {name}")
    # RFC 3659 section 2.3: YYYYMMDDHHMMSS[.sss], "always represented in UTC".
    stamp = reply.partition(" ")[2].strip().partition(".")[0]
    try:
        time = datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise Failure(f"{name}: {reply}") from None
    session.screen.show(f"{time:%Y-%m-%d %H:%M:%S} UTC")


COMMANDS = (
    Command("ls", _ls, "[WORDS]", "list a directory", most=None, completes="remote"),
    Command("dir", _ls, "[WORDS]", "list a directory", most=None, completes="remote"),
    Command("nlst", _nlst, "[WORDS]", "list the bare names of a directory", most=None, completes="remote"),
    Command("cd", _cd, "DIRECTORY", "go to a directory of the server", 1, 1, "remote"),
    Command("pwd", _pwd, "", "tell the server's current directory"),
    Command("lcd", _lcd, "[DIRECTORY]", "go to a local directory", 0, 1, "local"),
    Command("lpwd", _lpwd, "", "tell the local current directory"),
    Command("mkdir", _mkdir, "DIRECTORY", "make a directory on the server", 1, 1, "remote"),
    Command("rmdir", _rmdir, "DIRECTORY", "remove a directory of the server", 1, 1, "remote"),
    Command("delete", _delete, "REMOTE", "delete a file of the server", 1, 1, "remote"),
    Command("rename", _rename, "FROM TO", "rename a file of the server", 2, 2, "remote"),
    Command("size", _size, "REMOTE", "tell a file's size in bytes", 1, 1, "remote"),
    Command("modtime", _modtime, "REMOTE", "tell when a file was last changed", 1, 1, "remote"),
)
