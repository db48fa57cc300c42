"""Commands that move files, and what is checked of a file that was moved."""

from __future__ import annotations

import contextlib
import ftplib
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

from socksify.clients.rftp import globbing
from socksify.clients.rftp.console import Failure, Meter
from socksify.clients.rftp.parsing import Command
from socksify.clients.rftp.session import Session

_CHUNK = 1 << 16


def _get(session: Session, remote: str, local: str = "") -> None:
    start = _take_restart(session)
    if local == "-":
        _fetch(session, remote, sys.stdout.buffer, start)
        sys.stdout.buffer.flush()
    else:
        _download(session, remote, local, start)


def _reget(session: Session, remote: str, local: str = "") -> None:
    _need_binary(session)
    target = target_of(remote, local)
    _download(session, remote, target, what_is_here(target))


def _put(session: Session, local: str, remote: str = "") -> None:
    _upload(session, "STOR", local, remote, _take_restart(session))


def _append(session: Session, local: str, remote: str = "") -> None:
    _upload(session, "APPE", local, remote, 0)


def _mget(session: Session, *patterns: str) -> None:
    found = [name for pattern in patterns for name in globbing.matching_remote(session, pattern)]
    _each(session, found, lambda name: _download(session, name, "", 0))


def _mput(session: Session, *patterns: str) -> None:
    found = [name for pattern in patterns for name in globbing.matching_local(pattern)]
    _each(session, found, lambda name: _upload(session, "STOR", name, "", 0))


def _restart(session: Session, offset: str) -> None:
    if not (offset.isascii() and offset.isdigit()):
        raise Failure(f"{offset!r}: expected a number of bytes")
    _need_binary(session)
    session.restart = int(offset)


def _need_binary(session: Session) -> None:
    if not session.binary:
        raise Failure("only in binary; in ascii an offset here is not the same there")


def _take_restart(session: Session) -> int:
    start, session.restart = session.restart, 0
    return start


def _each(session: Session, found: list[str], move: Callable[[str], None]) -> None:
    """Moves one file after the other; what fails does not keep the others back, but is a failure of the whole."""
    failed = 0
    for name in found:
        try:
            move(name)
        except (Failure, OSError, ValueError, EOFError, ftplib.Error) as error:
            session.screen.complain(f"{name}: {error}")
            failed += 1
    if failed:
        raise Failure(f"{failed} of {len(found)} files failed")


def _download(session: Session, remote: str, local: str, start: int) -> None:
    target = target_of(remote, local)
    _ = session.server
    with incomplete(target, start) if is_plain(target) else open(target, "wb") as file:
        _fetch(session, remote, file, start)
    session.screen.say(f"{target}: received")


def _fetch(session: Session, remote: str, file: BinaryIO, start: int) -> None:
    server = session.server
    total = _size(session, remote)
    if start and start == total:
        # Some servers have nothing to send and call that an error.
        return
    write = file.write if session.binary else from_network(file.write)
    # There is nothing to measure of a file that the server does not have.
    with server.transfer(f"RETR {remote}", start) as data, _measured(remote, total, start) as meter:
        while chunk := data.recv(_CHUNK):
            write(chunk)
            meter.add(len(chunk))
    if not session.binary:
        write(b"")
    # A proxy that dies ends the data as a server does that has sent all.
    if total is not None and start + meter.count < total:
        raise Failure(f"{remote}: {start + meter.count} of {total} bytes came")


def _upload(session: Session, verb: str, local: str, remote: str, start: int) -> None:
    local, remote = os.path.expanduser(local), remote or last_part(local)
    session.server.set_type(session.binary)
    with open(local, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        file.seek(start)
        convert = bytes if session.binary else to_network()
        with session.server.transfer(f"{verb} {remote}", start) as data, _measured(local, total, start) as meter:
            while chunk := file.read(_CHUNK):
                data.sendall(convert(chunk))
                meter.add(len(chunk))
    session.listings.clear()
    arrived = _size(session, remote)
    if verb == "STOR" and arrived not in (None, start + meter.count):
        raise Failure(f"{remote}: {arrived} of {start + meter.count} bytes arrived")
    session.screen.say(f"{local}: sent")


@contextlib.contextmanager
def _measured(name: str, total: int | None, start: int) -> Iterator[Meter]:
    meter = Meter(name, total, start)
    try:
        yield meter
    finally:
        meter.end()


def _size(session: Session, remote: str) -> int | None:
    """How many bytes the server has of a file; None where it does not tell, and in ascii, where it is no matter."""
    session.server.set_type(session.binary)
    if not session.binary:
        return None
    try:
        return session.server.size(remote)
    except ftplib.Error:
        return None


COMMANDS = (
    Command("get", _get, "REMOTE [LOCAL]", "fetch a file; - for LOCAL is stdout", 1, 2, "remote"),
    Command("reget", _reget, "REMOTE [LOCAL]", "go on with a download that was cut off", 1, 2, "remote"),
    Command("mget", _mget, "REMOTE...", "fetch files; * ? and [] match names", 1, None, "remote"),
    Command("put", _put, "LOCAL [REMOTE]", "send a file", 1, 2, "local"),
    Command("append", _append, "LOCAL [REMOTE]", "send a file to the end of another", 1, 2, "local"),
    Command("mput", _mput, "LOCAL...", "send files; * ? and [] match names", 1, None, "local"),
    Command("restart", _restart, "BYTES", "have the next get or put start there", 1, 1),
)


# Line ends of RFC 959's ASCII type, in a stream that comes in pieces: CR LF on the network, LF here.


def from_network(write: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """A write() for what the network brings; an empty piece is the end."""
    held = b""

    def translate(piece: bytes) -> None:
        nonlocal held
        text = held + piece
        # Whether the last CR is half a line's end, the next piece tells.
        held = b"\r" if piece and text.endswith(b"\r") else b""
        write(text.removesuffix(held).replace(b"\r\n", b"\n") if held else text.replace(b"\r\n", b"\n"))

    return translate


def to_network() -> Callable[[bytes], bytes]:
    """A translation for what goes to the network; lines that have CR LF already keep it."""
    previous = b""

    def translate(piece: bytes) -> bytes:
        nonlocal previous
        text = previous + piece
        # A CR that went already is not sent again.
        translated = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")[len(previous) :]
        previous = b"\r" if piece.endswith(b"\r") else b""
        return translated

    return translate


# What a download becomes: where it goes, and the file that has its name when it is whole, and `.part` until then.


def target_of(remote: str, local: str) -> str:
    """Where a download goes: into a directory under its own name; a link is followed, not replaced."""
    path = os.path.realpath(os.path.expanduser(local or last_part(remote)))
    return os.path.join(path, last_part(remote)) if os.path.isdir(path) else path


def is_plain(path: str) -> bool:
    """Whether there is a file or nothing; a device or a pipe is written to and never replaced."""
    return os.path.isfile(path) or not os.path.exists(path)


def what_is_here(target: str) -> int:
    """How many bytes of a download there are already; a file that has its name and is to go on is incomplete, too."""
    found = next((path for path in (_partial(target), target) if os.path.isfile(path)), None)
    return os.path.getsize(found) if found else 0


@contextlib.contextmanager
def incomplete(target: str, start: int) -> Iterator[BinaryIO]:
    """A file, written from `start` on, that gets its name when the block ends well; else it stays for reget."""
    partial = _partial(target)
    if start and start > (here := what_is_here(target)):
        raise Failure(f"{target}: restart at {start}, and only {here} bytes are here")
    named = start > 0 and not os.path.exists(partial)
    if named:
        os.rename(target, partial)
    # Whoever may write here must not have us write elsewhere.
    file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "wb")
    came = start
    try:
        with file:
            file.seek(start)
            try:
                yield file
            except BaseException:
                came = file.tell()
                if came > start:
                    file.truncate()
                raise
            file.truncate()
        os.replace(partial, target)
    except BaseException:
        if os.path.getsize(partial) == 0:
            os.unlink(partial)
        elif named and came == start:
            os.rename(partial, target)
        raise


def last_part(name: str) -> str:
    """What a file is called on the other side: never a path, which a server could choose."""
    last = name.rstrip("/").rpartition("/")[2]
    if last in ("", ".", ".."):
        raise Failure(f"{name}: not the name of a file")
    return last


def _partial(local: str) -> str:
    return f"{local}.part"
