"""User name and password, and the messages that contain them, in a form that no error report shows.

Sentry, rich, pytest and others show the variables of every frame that an exception has passed. Credentials are
therefore kept in objects whose repr hides them. The bytes of a message are made by one expression and stored in an
attribute at once: they are never in a variable, nor in an argument of one of our functions.
"""

from __future__ import annotations

from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeAlias

    # A Login hides its user and password in error reports, while a plain pair does not.
    Credentials: TypeAlias = "Login | tuple[bytes, bytes] | None"

    class Holder(Protocol):
        """An object that has credentials, and does not show them in its repr."""

        @property
        def user(self) -> bytes | None: ...

        @property
        def password(self) -> bytes | None: ...


class Secret:
    """A message that must not be shown. `make` returns its bytes, which become `value`."""

    __slots__ = ("value",)

    def __init__(self, make: Callable[[], bytes]) -> None:
        self.value = make()

    def __repr__(self) -> str:
        return "***"


class Login:
    """User and password of `holder`. A missing user or password becomes empty."""

    __slots__ = ("password", "user")

    def __init__(self, holder: Holder) -> None:
        self.user = holder.user or b""
        self.password = holder.password or b""

    def __repr__(self) -> str:
        return "***"

    def rfc1929(self) -> Secret:
        """Return the message of SOCKS5's user name and password authentication (RFC 1929).

        Raises ValueError for a user or a password that is too long, and for an empty user. RFC 1929 demands a password
        of 1 to 255 bytes. An empty password is sent as curl sends it, with a PLEN of 0.
        """
        if not 1 <= len(self.user) <= 255 or len(self.password) > 255:
            raise ValueError("user name must be 1 to 255 bytes long, and the password at most 255")
        return Secret(lambda: b"\x01%c%b%c%b" % (len(self.user), self.user, len(self.password), self.password))

    def basic(self, head: bytes) -> Secret:
        """Return the head of an HTTP request with Basic authentication (RFC 7617) added to it.

        Raises ValueError for a user with a colon.
        """
        # Section 2: "a user-id containing a colon character is invalid".
        if b":" in self.user:
            raise ValueError("user name must not contain a colon with HTTP")
        return Secret(
            lambda: (
                head[:-2]
                + b"Proxy-Authorization: Basic "
                + b2a_base64(self.user + b":" + self.password, newline=False)
                + head[-4:]
            )
        )

    def userid(self, request: bytes) -> Secret:
        """Return a SOCKS4 request with the user added to it.

        Raises ValueError for a user of more than 255 bytes, or with a null byte.
        """
        if len(self.user) > 255 or 0 in self.user:
            raise ValueError("userid must be at most 255 bytes long and contain no null byte")
        # USERID stands behind VN, CD, DSTPORT and DSTIP, which are 8 bytes.
        return Secret(lambda: request[:8] + self.user + request[8:])
