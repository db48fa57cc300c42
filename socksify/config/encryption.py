"""Encrypts credentials in the environment of child processes, with a key in a file of this user.

Many programs show an environment: `env` in a log of CI, crash reports, /proc. Only the owner can read the key's file,
and the file is useless without the environment. A parent may end before its child reads the settings, so no process
removes the file. There is one file for each user, in memory if possible. The file stays until the machine is shut down,
or the user's session ends. If a parent does not find the file, or has become another user, it creates a new file.

The key stream is SHAKE256 of the key and a nonce, and so is the tag (FIPS 202; a sponge needs no HMAC).
"""

from __future__ import annotations

import os
from stat import S_IMODE, S_ISDIR

from socksify.config.errors import ConfigError

_KEY, _NONCE, _TAG = 32, 16, 16
_NOWHERE = ""
# The key's file that was used last, and the key.
_last: tuple[str, bytes] | None = None


def encrypt(data: bytes) -> bytes:
    """Return the data, encrypted and signed, with the path of the key's file."""
    global _last
    _last = file, key = _kept() or (_NOWHERE, os.urandom(_KEY))
    nonce = os.urandom(_NONCE)
    encrypted = _mixed(data, key, nonce)
    name = os.fsencode(file)
    head = len(name).to_bytes(2, "big") + name + len(encrypted).to_bytes(4, "big")
    return head + nonce + _tag(key, nonce, encrypted) + encrypted


def decrypt(data: bytes) -> bytes:
    """Return the data that was encrypted. Bytes after the encrypted data are ignored.

    Raises ConfigError if the key cannot be read, and ValueError for bytes that are not encrypted data.
    """
    end = 2 + int.from_bytes(data[:2], "big")
    file, length, rest = os.fsdecode(data[2:end]), int.from_bytes(data[end : end + 4], "big"), data[end + 4 :]
    nonce, tag, encrypted = rest[:_NONCE], rest[_NONCE : _NONCE + _TAG], rest[_NONCE + _TAG :][:length]
    if len(encrypted) < length:
        raise ValueError
    if file == _NOWHERE:
        raise _unreadable("the parent process found no directory to keep the key in")
    try:
        key = _read(file)
    except OSError as error:
        raise _unreadable(f"{file}: {error.strerror}") from None
    if _tag(key, nonce, encrypted) != tag:
        raise _unreadable(f"{file}: it holds another key by now")
    return _mixed(encrypted, key, nonce)


def can_be_decrypted() -> bool:
    """Return True if a child can decrypt the data that was encrypted last."""
    if _last is None:
        return True
    try:
        return _read(_last[0]) == _last[1]
    except OSError:
        return False


def _unreadable(why: str) -> ConfigError:
    return ConfigError(
        f"the credentials that the parent process passed on cannot be read: {why};"
        " start this program again, as the same user, from one that goes through the proxy"
    )


def _kept() -> tuple[str, bytes] | None:
    """Return the key's file and the key. Create them if necessary. Return None if no directory is suitable."""
    user = os.geteuid()
    for place in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{user}", "/dev/shm", os.environ.get("TMPDIR"), "/tmp"):
        if place and os.path.isabs(place):
            directory = os.path.join(place, f"socksify-{user}")
            try:
                if _is_private(directory, user):
                    return _in(directory)
            except OSError:  # the directory is missing, full, or read-only
                continue
    return None


def _is_private(directory: str, user: int) -> bool:
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(directory)
    return S_ISDIR(found.st_mode) and found.st_uid == user and not S_IMODE(found.st_mode) & 0o077


def _in(directory: str) -> tuple[str, bytes]:
    file = os.path.join(directory, "key")
    try:
        return file, _read(file)
    except FileNotFoundError:
        is_damaged = False
    except OSError:
        is_damaged = True
    own = f"{file}.{os.urandom(8).hex()}"
    fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, os.urandom(_KEY))
    finally:
        os.close(fd)
    try:
        if is_damaged:
            os.replace(own, file)
        else:
            # If two processes do this at once, the file of the first process counts.
            os.link(own, file)
    except FileExistsError:
        pass
    finally:
        if os.path.exists(own):
            os.unlink(own)
    return file, _read(file)


def _read(file: str) -> bytes:
    """Return the key in a file. Raises OSError, also if the file contains no key."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        key = os.read(fd, _KEY + 1)
    finally:
        os.close(fd)
    if len(key) != _KEY:
        raise OSError(0, "it holds no key")
    return key


def _mixed(data: bytes, key: bytes, nonce: bytes) -> bytes:
    stream = _shake(b"stream" + key + nonce, len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


def _tag(key: bytes, nonce: bytes, encrypted: bytes) -> bytes:
    return _shake(b"tag" + key + nonce + encrypted, _TAG)


def _shake(data: bytes, length: int) -> bytes:
    # hashlib would load OpenSSL. Some Pythons are built without their own implementation.
    try:
        from _sha3 import shake_256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import shake_256
    digest: bytes = shake_256(data).digest(length)
    return digest
