"""Commands that transfer files.

A download is written to NAME.part, and the file is renamed to NAME when it is complete. `reget` continues a download
that has failed. After a transfer the size is checked: a proxy that dies ends a data connection in the same way
as a server that has sent everything.
"""

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
    start = session.take_restart()
    if local == "-":
        _fetch(session, remote, sys.stdout.buffer, start)
        sys.stdout.buffer.flush()
    else:
        _download(session, remote, local, start)


def _reget(session: Session, remote: str, local: str = "") -> None:
    _require_binary(session)
    target = target_path(remote, local)
    _download(session, remote, target, size_so_far(target))


def _put(session: Session, local: str, remote: str = "") -> None:
    _upload(session, "STOR", local, remote, session.take_restart())


def _append(session: Session, local: str, remote: str = "") -> None:
    _upload(session, "APPE", local, remote, 0)


def _mget(session: Session, *patterns: str) -> None:
    found = [name for pattern in patterns for name in globbing.matching_remote(session, pattern)]
    _transfer_each(session, found, lambda name: _download(session, name, "", 0))


def _mput(session: Session, *patterns: str) -> None:
    found = [name for pattern in patterns for name in globbing.matching_local(pattern)]
    _transfer_each(session, found, lambda name: _upload(session, "STOR", name, "", 0))


def _restart(session: Session, offset: str) -> None:
    if not (offset.isascii() and offset.isdigit()):
        raise Failure(f"{offset!r}: expected a number of bytes")
    _require_binary(session)
    session.restart_at(int(offset))


def _require_binary(session: Session) -> None:
    if not session.binary:
        raise Failure("only in binary; in ascii an offset here is not the same there")


def _transfer_each(session: Session, found: list[str], transfer: Callable[[str], None]) -> None:
    """Transfer all files, one after the other. If some of them fail, raise Failure after the last file."""
    failed = 0
    for name in found:
        try:
            transfer(name)
        except (Failure, OSError, ValueError, EOFError, ftplib.Error) as error:
            session.screen.complain(f"{name}: {error}")
            failed += 1
    if failed:
        raise Failure(f"{failed} of {len(found)} files failed")


def _download(session: Session, remote: str, local: str, start: int) -> None:
    target = target_path(remote, local)
    _ = session.server
    with incomplete(target, start) if is_plain(target) else open(target, "wb") as file:
        _fetch(session, remote, file, start)
    session.screen.say(f"{target}: received")


def _fetch(session: Session, remote: str, file: BinaryIO, start: int) -> None:
    server = session.server
    total = _remote_size(session, remote)
    if start and start == total:
        # Some servers answer with an error if nothing is left to send.
        return
    write = file.write if session.binary else from_network(file.write)
    # The meter starts after the transfer, so that a file that the server does not have shows no progress.
    with server.transfer(f"RETR {remote}", start) as data, _measured(remote, total, start) as meter:
        while chunk := data.recv(_CHUNK):
            write(chunk)
            meter.add(len(chunk))
    if not session.binary:
        write(b"")
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
    arrived = _remote_size(session, remote)
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


def _remote_size(session: Session, remote: str) -> int | None:
    """Return the size of a file of the server; None if the server does not tell, and in ascii, where sizes differ."""
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


def target_path(remote: str, local: str) -> str:
    """Return the path of a download. A directory gets a file with the remote name; a link is followed."""
    path = os.path.realpath(os.path.expanduser(local or last_part(remote)))
    return os.path.join(path, last_part(remote)) if os.path.isdir(path) else path


def last_part(name: str) -> str:
    """Return the last part of a path, as a file name for the other side.

    The server must not be able to choose a directory. Raises Failure if there is no such part.
    """
    last = name.rstrip("/").rpartition("/")[2]
    if last in ("", ".", ".."):
        raise Failure(f"{name}: not the name of a file")
    return last


def is_plain(path: str) -> bool:
    """Return True for a file and for a path that does not exist. A device or a pipe must not be replaced."""
    return os.path.isfile(path) or not os.path.exists(path)


def size_so_far(target: str) -> int:
    """Return how many bytes of a download exist already, in its .part, otherwise in the file itself."""
    found = next((path for path in (_partial(target), target) if os.path.isfile(path)), None)
    return os.path.getsize(found) if found else 0


@contextlib.contextmanager
def incomplete(target: str, start: int) -> Iterator[BinaryIO]:
    """Yield a file that is written from the offset `start` on. It gets the name `target` if the block succeeds.

    After an error the .part remains, for reget. Raises Failure if less than `start` bytes exist.
    """
    partial = _partial(target)
    if start and start > (existing := size_so_far(target)):
        raise Failure(f"{target}: restart at {start}, and only {existing} bytes are here")
    is_renamed = start > 0 and not os.path.exists(partial)
    if is_renamed:
        os.rename(target, partial)
    # O_NOFOLLOW: other users who may write here must not choose another file.
    file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "wb")
    end = start
    try:
        with file:
            file.seek(start)
            try:
                yield file
            except BaseException:
                end = file.tell()
                if end > start:
                    file.truncate()
                raise
            file.truncate()
        os.replace(partial, target)
    except BaseException:
        if os.path.getsize(partial) == 0:
            os.unlink(partial)
        elif is_renamed and end == start:
            os.rename(partial, target)
        raise


def _partial(target: str) -> str:
    return f"{target}.part"


def from_network(write: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a write() for pieces of text from the network: CR LF becomes LF. An empty piece marks the end.

    The line ends of RFC 959's ASCII type are CR LF on the network.
    """
    held = b""

    def translate(piece: bytes) -> None:
        nonlocal held
        text = held + piece
        # A CR at the end of a piece waits for the next piece, which may start with LF.
        held = b"\r" if piece and text.endswith(b"\r") else b""
        write(text.removesuffix(held).replace(b"\r\n", b"\n") if held else text.replace(b"\r\n", b"\n"))

    return translate


def to_network() -> Callable[[bytes], bytes]:
    """Return a translation for pieces of text to the network: LF becomes CR LF, and CR LF stays."""
    previous = b""

    def translate(piece: bytes) -> bytes:
        nonlocal previous
        text = previous + piece
        # A CR at the end of the last piece was sent already.
        translated = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")[len(previous) :]
        previous = b"\r" if piece.endswith(b"\r") else b""
        return translated

    return translate
