"""Users and their passwords: a file of NAME:HASH lines, of which nobody can read a password.

A hash is scrypt's (RFC 7914) with a salt of its own, written as the password hashing competition's string format has
it: `$scrypt$ln=14,r=8,p=1$salt$hash`. It costs 16 MiB and a twentieth of a second, which is too much for every
connection of a browser; so who came in is remembered, by a keyed digest that lives as long as this process.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
from base64 import b64decode, b64encode

from socksify._record import Record
from socksify.config.errors import ConfigError

# "N=16384, r=8, p=1" is what the scrypt paper proposes for interactive logins.
_LN, _R, _P = 14, 8, 1
_SALT_BYTES = _HASH_BYTES = 32
# No line may make a login take more than this, in memory; a slip of a digit would.
_MOST_BYTES = 1 << 28
# Remembered logins.
_MOST = 4096
# RFC 1929: ULEN and PLEN are a byte each, and 1 at least.
_LONGEST = 255


class Hash(Record, hidden=("salt", "digest")):
    """A password's hash: 2**ln is scrypt's N."""

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: bytes) -> Hash:
        salt = os.urandom(_SALT_BYTES)
        return cls(_LN, _R, _P, salt, _scrypt(password, _LN, _R, _P, salt, _HASH_BYTES))

    @classmethod
    def parse(cls, text: str) -> Hash:
        """What `str()` gave; raises ValueError for anything else."""
        empty, name, costs, salt, digest = text.split("$")
        ln, r, p = (
            int(cost.removeprefix(key)) for cost, key in zip(costs.split(","), ("ln=", "r=", "p="), strict=True)
        )
        parsed = cls(ln, r, p, _unpadded(salt), _unpadded(digest))
        if (empty, name) != ("", "scrypt") or str(parsed) != text or len(parsed.digest) < 16:
            raise ValueError("not a hash")
        if not (1 <= ln < 32 and r >= 1 and 1 <= p <= 16 and 128 * r << ln <= _MOST_BYTES):
            raise ValueError("costs out of range")
        return parsed

    def __str__(self) -> str:
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${_text(self.salt)}${_text(self.digest)}"

    def fits(self, password: bytes) -> bool:
        """Whether it is this password's, in a time that does not tell how nearly."""
        found = _scrypt(password, self.ln, self.r, self.p, self.salt, len(self.digest))
        return hmac.compare_digest(found, self.digest)


class Users:
    """Who may come in. Any thread may ask."""

    def __init__(self, hashes: dict[bytes, Hash]) -> None:
        self._hashes = hashes
        self._order = [*hashes]
        self._key = os.urandom(32)
        self._known: dict[bytes, None] = {}

    @classmethod
    def load(cls, path: str) -> Users:
        """The users of a file; raises ConfigError with the line, which is not quoted."""
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
            # An empty list lets nobody in; it must not be taken for no list, which lets everybody in.
            raise ConfigError(f"{path}: no users in it; `sockd passwd` makes lines for it")
        return cls(hashes)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, user: bytes) -> bool:
        return user in self._hashes

    def verify(self, user: bytes, password: bytes) -> bool:
        """Whether this is the user's password. Who does not exist takes as long as who has the wrong one."""
        if self.remembers(user, password):
            return True
        fits = (self._hashes.get(user) or self._stand_in(user)).fits(password)
        if not fits or user not in self._hashes:
            return False
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[self._login(user, password)] = None
        return True

    def remembers(self, user: bytes, password: bytes) -> bool:
        """Whether it is known, and at once, that this is the user's password."""
        return self._login(user, password) in self._known

    def _login(self, user: bytes, password: bytes) -> bytes:
        return self._digest(len(user).to_bytes(2, "big") + user + password)

    def _stand_in(self, user: bytes) -> Hash:
        """Somebody's hash, for a user there is none of the same one each time: hashes may differ in what they cost."""
        return self._hashes[self._order[int.from_bytes(self._digest(user), "big") % len(self._order)]]

    def _digest(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=32).digest()


def entry(user: bytes, password: bytes) -> str:
    """The line for a user, without its end; raises ValueError for what no line, or no SOCKS client, can say."""
    if not 1 <= len(user) <= _LONGEST or not 1 <= len(password) <= _LONGEST:
        raise ValueError(f"user and password have to be 1 to {_LONGEST} bytes long")
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
    # OpenSSL counts some more than the 128 * N * r bytes of the algorithm's large table.
    return hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, maxmem=2 * _MOST_BYTES, dklen=length)


def _text(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _unpadded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)
