"""Users and their passwords: a file of NAME:HASH lines. The file does not contain the passwords themselves.

Each hash is made by scrypt (RFC 7914) with its own salt, and written in the string format of the password hashing
competition: `$scrypt$ln=14,r=8,p=1$salt$hash`. The verification of a password takes 16 MiB and a twentieth of a second.
That is too much for every connection of a browser. So verified logins are remembered, as digests with a key that exists
only in this process.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
from base64 import b64decode, b64encode

from socksify._record import Record
from socksify.config.errors import ConfigError

# The scrypt paper proposes "N=16384, r=8, p=1" for interactive logins.
_LN, _R, _P = 14, 8, 1
_SALT_BYTES = _HASH_BYTES = 32
# The most memory that a hash may take. One wrong digit in a line could make it take much more.
_MAX_MEMORY = 1 << 28
_MAX_REMEMBERED = 4096
# RFC 1929: ULEN and PLEN are one byte each, and at least 1.
_MAX_LENGTH = 255


class Hash(Record, hidden=("salt", "digest")):
    """The hash of a password: `digest`, made with `salt`. 2**ln is scrypt's N, `r` and `p` are its other costs."""

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: bytes) -> Hash:
        """Return the hash of a password with a new salt and the usual costs."""
        salt = os.urandom(_SALT_BYTES)
        return cls(_LN, _R, _P, salt, _scrypt(password, _LN, _R, _P, salt, _HASH_BYTES))

    @classmethod
    def parse(cls, text: str) -> Hash:
        """Return the hash that `str()` has written. Raises ValueError for any other text."""
        empty, name, costs, salt, digest = text.split("$")
        ln, r, p = (
            int(cost.removeprefix(key)) for cost, key in zip(costs.split(","), ("ln=", "r=", "p="), strict=True)
        )
        parsed = cls(ln, r, p, _unpadded(salt), _unpadded(digest))
        if (empty, name) != ("", "scrypt") or str(parsed) != text or len(parsed.digest) < 16:
            raise ValueError("not a hash")
        if not (1 <= ln < 32 and r >= 1 and 1 <= p <= 16 and 128 * r << ln <= _MAX_MEMORY):
            raise ValueError("costs out of range")
        return parsed

    def __str__(self) -> str:
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${_text(self.salt)}${_text(self.digest)}"

    def fits(self, password: bytes) -> bool:
        """Return True if this is the hash of the password. The comparison takes the same time for any password."""
        found = _scrypt(password, self.ln, self.r, self.p, self.salt, len(self.digest))
        return hmac.compare_digest(found, self.digest)


class Users:
    """The users who may authenticate, with their hashes. Any thread may call the methods."""

    def __init__(self, hashes: dict[bytes, Hash]) -> None:
        self._hashes = hashes
        self._order = [*hashes]
        self._key = os.urandom(32)
        self._known: dict[bytes, None] = {}

    @classmethod
    def load(cls, path: str) -> Users:
        """Return the users of a file. Raises ConfigError with the number of the line; the line itself is not quoted."""
        try:
            with open(path, "rb") as file:
                lines = file.read().split(b"\n")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; expected a file of users") from None
        hashes: dict[bytes, Hash] = {}
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith(b"#"):
                continue
            user, parsed = _entry(line, f"{path}, line {number}")
            if user in hashes:
                raise ConfigError(f"{path}, line {number}: this user has a line already")
            hashes[user] = parsed
        if not hashes:
            # A file without users lets nobody in. Without a file, everybody could be let in.
            raise ConfigError(f"{path}: no users in it; `sockd passwd` makes lines for it")
        return cls(hashes)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, user: bytes) -> bool:
        return user in self._hashes

    def verify(self, user: bytes, password: bytes) -> bool:
        """Return True if this is the user's password.

        An unknown user takes as long as a wrong password, so users cannot be enumerated by timing.
        """
        if self.remembers(user, password):
            return True
        fits = (self._hashes.get(user) or self._decoy(user)).fits(password)
        if not fits or user not in self._hashes:
            return False
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[self._login(user, password)] = None
        return True

    def remembers(self, user: bytes, password: bytes) -> bool:
        """Return True if this login was verified before. That takes no time."""
        return self._login(user, password) in self._known

    def _login(self, user: bytes, password: bytes) -> bytes:
        return self._digest(len(user).to_bytes(2, "big") + user + password)

    def _decoy(self, user: bytes) -> Hash:
        """Return a hash of another user for an unknown user: always the same hash, because the costs may differ."""
        return self._hashes[self._order[int.from_bytes(self._digest(user), "big") % len(self._order)]]

    def _digest(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=32).digest()


def entry(user: bytes, password: bytes) -> str:
    """Return the line for a user, without the newline.

    Raises ValueError for a user or a password that a line cannot hold, or that a SOCKS client cannot send.
    """
    if not 1 <= len(user) <= _MAX_LENGTH or not 1 <= len(password) <= _MAX_LENGTH:
        raise ValueError(f"user and password have to be 1 to {_MAX_LENGTH} bytes long")
    if user != user.strip() or user.startswith(b"#") or any(byte < 32 or byte == 127 for byte in user):
        raise ValueError("the user must not begin with #, begin or end with a blank, or have control characters in it")
    return f"{os.fsdecode(user)}:{Hash.of(password)}"


def _entry(line: bytes, source: str) -> tuple[bytes, Hash]:
    user, _, text = line.rpartition(b":")
    try:
        if user:
            return user, Hash.parse(text.decode("ascii"))
    except (ValueError, binascii.Error):
        pass
    raise ConfigError(f"{source}: expected NAME:$scrypt$..., as `sockd passwd` makes it; no password is kept as it is")


def _scrypt(password: bytes, ln: int, r: int, p: int, salt: bytes, length: int) -> bytes:
    # OpenSSL needs a little more than the 128 * N * r bytes of the algorithm's large table.
    return hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, maxmem=2 * _MAX_MEMORY, dklen=length)


def _text(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _unpadded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)
