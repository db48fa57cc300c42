"""A user's name and password, and the messages that hold them, so that no report of an error shows them.

Sentry, rich, pytest and others show the variables of every frame that an exception has passed. So whatever holds
credentials is an object that its repr says nothing of. The bytes themselves are made in one expression, and put into
an attribute at once: they are never in a variable, nor an argument of a function of ours.
"""

from __future__ import annotations

from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    # What a message is made of; a tuple hides nothing.
    Credentials: TypeAlias = "Login | tuple[bytes, bytes] | None"


class Secret:
    """A message that is not to be shown; its bytes are `value`."""

    __slots__ = ("value",)
    value: bytes

    def __repr__(self) -> str:
        return "***"


class Login:
    """User and password; set as attributes, since arguments are variables."""

    __slots__ = ("password", "user")
    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return "***"

    def rfc1929(self) -> Secret:
        """The message of SOCKS5's user name and password authentication; raises ValueError for what has no room in it.

        RFC 1929 has a password of 1 to 255 bytes. An empty one goes out as curl sends it, with a PLEN of 0.
        """
        if not 1 <= len(self.user) <= 255 or len(self.password) > 255:
            raise ValueError("user name must be 1 to 255 bytes long, and the password at most 255")
        secret = Secret()
        secret.value = b"\x01%c%b%c%b" % (len(self.user), self.user, len(self.password), self.password)
        return secret

    def basic(self, head: bytes) -> Secret:
        """An HTTP request's head with RFC 7617's authentication in it; raises ValueError for a user with a colon."""
        # Section 2: "a user-id containing a colon character is invalid".
        if b":" in self.user:
            raise ValueError("user name must not contain a colon with HTTP")
        secret = Secret()
        secret.value = (
            head[:-2]
            + b"Proxy-Authorization: Basic "
            + b2a_base64(self.user + b":" + self.password, newline=False)
            + head[-4:]
        )
        return secret

    def userid(self, request: bytes) -> Secret:
        """A SOCKS4 request, made without a user, with this one in it."""
        if len(self.user) > 255 or 0 in self.user:
            raise ValueError("userid must be at most 255 bytes long and contain no null byte")
        secret = Secret()
        # Behind VN, CD, DSTPORT and DSTIP.
        secret.value = request[:8] + self.user + request[8:]
        return secret
