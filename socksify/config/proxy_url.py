"""Proxy URLs as curl has them, chains as `ssh -J` has them.

    [scheme://][user[:password]@]host[:port]        port 1080 unless given, scheme socks5h
    scheme://localhost/path/to.sock                 a Unix socket; also scheme:///path/to.sock

We are stricter than curl: whatever is left over (a query, a path behind a real host, blanks) is an error and
not ignored, since what was meant is not known. An error never quotes anything that may belong to a password.
"""

from __future__ import annotations

from os import fsdecode, fsencode

from socksify.config.ip import address, fold, looks_numeric
from socksify.config.quoting import masked, unquote
from socksify.config.settings import ConfigError, Proxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMES = ("socks4", "socks4a", "socks5", "socks5h", "http")
# "If the port number is not specified in the proxy string, it is assumed to be 1080" (curl(1), --proxy).
DEFAULT_PORT = 1080
# struct sockaddr_un's sun_path with its terminating null byte (unix(7)).
_LONGEST_SOCKET_PATH = 107
# RFC 1035 section 2.3.4, without the final dot.
_LONGEST_NAME = 253


def parse(text: str, source: str, default_scheme: str = "socks5h") -> Proxy:
    """The proxy that one URL names. `source` is named in the ConfigError that a bad one raises."""
    try:
        return _proxy(text, default_scheme)
    except Malformed as problem:
        raise ConfigError(f"{source}: {masked(text)!r}: {problem}") from None


def chain(
    value: str | Sequence[str], source: str, named: Mapping[str, tuple[Proxy, ...]] | None = None
) -> tuple[Proxy, ...]:
    """The proxies of a comma-separated text or a sequence of such, first hop first; a hop may be one of `named`.

    Raises ConfigError for a bad hop, and for a Unix socket behind another proxy, which could not reach it.
    """
    proxies: tuple[Proxy, ...] = ()
    for text in [value] if isinstance(value, str) else value:
        try:
            proxies += _hops(text.split(","), named or {})
        except Malformed as problem:
            raise ConfigError(f"{source}: {masked(text)!r}: {problem}") from None
    if not proxies:
        raise ConfigError(f"{source}: no proxy in it, expected a URL such as socks5h://host:1080")
    return linked(proxies, source)


def _hops(pieces: list[str], named: Mapping[str, tuple[Proxy, ...]]) -> tuple[Proxy, ...]:
    """The hops of a list that was cut at its commas; where a piece is no hop, it was cut inside of its credentials."""
    hops: tuple[Proxy, ...] = ()
    while pieces:
        taken, found = _first_hop(pieces, named)
        pieces = pieces[taken:]
        hops += found
    return hops


def _first_hop(pieces: list[str], named: Mapping[str, tuple[Proxy, ...]]) -> tuple[int, tuple[Proxy, ...]]:
    """How many pieces the first hop is made of, and what it stands for; raises Malformed as its first piece does."""
    # The `@` that ends the credentials is in the first piece that has one.
    end = next((at for at, piece in enumerate(pieces, 1) if "@" in piece), 1)
    try:
        found = named.get(pieces[0]) or (_proxy(pieces[0], "socks5h"),)
    except Malformed:
        if end == 1:
            raise
        return end, (_proxy(",".join(pieces[:end]), "socks5h"),)
    if end > 1 and "://" in pieces[0] and not any("://" in piece for piece in pieces[1:end]):
        raise Malformed("a comma in credentials has to be written %2C here; or give each hop its scheme")
    return 1, found


def authorised(proxy: Proxy, user: str, password: str | None, source: str) -> Proxy:
    """The proxy with credentials that are written beside its URL; raises ConfigError for what its protocol lacks."""
    try:
        pair = fsencode(user), None if password is None else fsencode(password)
        check_credentials(*pair, proxy.scheme)
    except Malformed as problem:
        raise ConfigError(f"{source}: {problem}") from None
    with_them: Proxy = proxy.replace(user=pair[0], password=pair[1])
    return with_them


def linked(proxies: tuple[Proxy, ...], source: str) -> tuple[Proxy, ...]:
    """The same proxies, after a look at whether each can be reached through the one before."""
    for hop in proxies[1:]:
        if hop.path is not None:
            raise ConfigError(f"{source}: {hop.url!r}: a Unix socket can only be the first hop of a chain")
    return proxies


def check_isolated(proxies: tuple[Proxy, ...], isolate: str, source: str) -> None:
    """Raise ConfigError where the credentials that `isolate` makes up would have to take the place of the user's."""
    if isolate != "none" and proxies[-1].user is not None:
        raise ConfigError(
            f"{source}: {isolate!r}: {proxies[-1].url} has a user already, and isolation is by made-up ones; take it"
            " out of the URL, or say isolate=none"
        )


def _proxy(text: str, default_scheme: str) -> Proxy:
    scheme, rest = _scheme(text, default_scheme)
    if not text.isprintable() or " " in text:
        raise Malformed("blanks and unprintable characters have to be percent-encoded")
    authority, path = _split(rest)
    userinfo, at, place = authority.rpartition("@")
    user, password = parse_userinfo(userinfo, scheme) if at else (None, None)
    if path:
        return Proxy(scheme, "localhost", 0, _socket_path(place, path), user, password)
    host, port = _place(place)
    return Proxy(scheme, host, port, None, user, password)


def _scheme(text: str, default: str) -> tuple[str, str]:
    scheme, separator, rest = text.partition("://")
    if not separator:
        return default, text
    if scheme.lower() in SCHEMES:
        return scheme.lower(), rest
    if scheme.lower() == "socks":
        # curl reads it as socks4, desktops mean SOCKS5 by it: a guess could resolve names in the wrong place.
        raise Malformed("'socks' does not say which version, write socks5h (names resolved by the proxy) or another")
    raise Malformed(f"unknown scheme, expected one of {', '.join(SCHEMES)}")


def _split(rest: str) -> tuple[str, str]:
    """The authority and the path; a lone final slash is no path."""
    if "?" in rest or "#" in rest:
        raise Malformed("a proxy has no query and no fragment; percent-encode ? and # in credentials")
    authority, slash, path = rest.partition("/")
    if "@" in path:
        # The rest of a password, most likely; taken for a socket's path it would be shown.
        raise Malformed("percent-encode / in credentials and @ in a path")
    return authority, slash + path if path else ""


def _socket_path(place: str, quoted: str) -> str:
    if place.lower() not in ("", "localhost"):
        raise Malformed("nothing may follow the port; a Unix socket is written scheme://localhost/path")
    path = unquote(quoted)
    if b"\0" in path or len(path) > _LONGEST_SOCKET_PATH:
        raise Malformed(f"a Unix socket's path has at most {_LONGEST_SOCKET_PATH} bytes and no null byte")
    return fsdecode(path)


def _place(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise Malformed("expected [IPv6 address] or [IPv6 address]:port")
        return _ipv6(host), _port(rest[1:] if rest else None)
    host, colon, port = text.partition(":")
    if ":" in port:
        raise Malformed("an IPv6 address has to be in brackets, and credentials in front of an @")
    return _host(host), _port(port if colon else None)


def _ipv6(text: str) -> str:
    # RFC 6874 writes the scope id behind %25; a plain % is what everybody types.
    literal, percent, scope = text.replace("%25", "%", 1).partition("%")
    if ":" not in literal or address(literal) is None or (percent and not scope):
        raise Malformed("no IPv6 address between the brackets")
    return literal.lower() + percent + scope


def _host(text: str) -> str:
    host = fold(text)
    if not host or len(host) > _LONGEST_NAME:
        raise Malformed("expected a host, and a port if it is not 1080")
    if looks_numeric(host):
        if address(host) is None:
            raise Malformed("the host is not an IPv4 address (four numbers of 0 to 255)")
        return host
    if not _is_name(host):
        raise Malformed("the host is no valid name")
    return host


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return (
        host.replace("-", "").replace("_", "").replace(".", "").isalnum()
        and host.isascii()
        and all(0 < len(label) <= 63 for label in labels)
    )


def _port(text: str | None) -> int:
    if text is None:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise Malformed("the port has to be a number from 1 to 65535")
    return int(text)


# User and password of a proxy: what each protocol can carry.
#
# Told when the configuration is read, since a server would only answer "refused", or nothing.


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
