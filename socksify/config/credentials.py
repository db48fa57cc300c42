"""User and password of a proxy: what each protocol can carry.

Told when the configuration is read, since a server would only answer "refused", or nothing.
"""

from __future__ import annotations

from socksify.config.quoting import unquote


class Malformed(Exception):
    """What is wrong with a URL or its credentials, in words that quote no part of it."""


def parse_userinfo(userinfo: str, scheme: str) -> tuple[bytes, bytes | None]:
    """User and password of a URL's percent-encoded `user[:password]`; raises Malformed as check_credentials() does."""
    name, colon, secret = userinfo.partition(":")
    user, password = unquote(name), unquote(secret) if colon else None
    check_credentials(user, password, scheme)
    return user, password


def check_credentials(user: bytes, password: bytes | None, scheme: str) -> None:
    """Raises Malformed for credentials that the scheme's protocol cannot carry."""
    if scheme == "http":
        _check_basic(user, password or b"")
        return
    if not 1 <= len(user) <= 255:
        raise Malformed("the user has to be 1 to 255 bytes long")
    if scheme in ("socks5", "socks5h"):
        # RFC 1929 section 2 has a PLEN of 1 to 255. There are users with an empty password, for whom curl sends 0.
        if password is None or len(password) > 255:
            raise Malformed("with a user, SOCKS5 wants a password of 1 to 255 bytes, or an empty one as in user:@host")
    elif password is not None:
        raise Malformed("SOCKS4 has no password, only a user")
    elif b"\0" in user:
        raise Malformed("SOCKS4 ends the user with a null byte, so there can be none in it")


def _check_basic(user: bytes, password: bytes) -> None:
    # RFC 7617 section 2: "The user-id and password MUST NOT contain any control characters", and "a user-id containing
    # a colon character is invalid". Either may be empty, and as long as a token is.
    if b":" in user:
        raise Malformed("HTTP's Basic authentication allows no colon in the user")
    if any(byte < 32 or byte == 127 for byte in user + password):
        raise Malformed("HTTP's Basic authentication takes no control characters")
