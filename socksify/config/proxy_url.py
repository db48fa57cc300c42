"""A proxy and its URL: URLs as curl writes them, chains of them as `ssh -J` writes them.

    [scheme://][user[:password]@]host[:port]        port 1080 unless given, scheme socks5h unless given
    scheme://localhost/path/to.sock                 a Unix socket; also scheme:///path/to.sock

The parser is stricter than curl's. Any additional part (a query, a path after a real host, blanks) is an error, because
its meaning is not known. Error messages never quote a part that may belong to a password. Credentials that the protocol
of the proxy cannot carry are an error too: a server would only answer "refused", or nothing at all.

This module has its own code for percent-encoding (RFC 3986 section 2.1), because the import of `urllib.parse` takes ten
times as long at the start of every client.
"""

from __future__ import annotations

from os import fsdecode, fsencode

from socksify._record import Record
from socksify.config.errors import ConfigError, masked
from socksify.config.ip import fold, looks_numeric, parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMES = ("socks4", "socks4a", "socks5", "socks5h", "http")
# "If the port number is not specified in the proxy string, it is assumed to be 1080" (curl(1), --proxy).
DEFAULT_PORT = 1080
# The size of sun_path in struct sockaddr_un without the terminating null byte (unix(7)).
_LONGEST_SOCKET_PATH = 107
# RFC 1035 section 2.3.4, without the final dot.
_LONGEST_NAME = 253
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEX = frozenset("0123456789abcdefABCDEF")


class Malformed(Exception):
    """A URL or its credentials cannot be used. The message quotes no part of either."""


class Proxy(Record, hidden=("user", "password")):
    """One proxy. It is reached by TCP at (`host`, `port`), or through the Unix socket `path` if `path` is set.

    `user` and `password` are the bytes that go over the wire, or None. `name` is the proxy's name in the configuration
    file, or None.
    """

    scheme: str
    host: str
    port: int
    path: str | None = None
    user: bytes | None = None
    password: bytes | None = None
    name: str | None = None

    @property
    def remote_names(self) -> bool:
        """True if the proxy resolves names. The schemes mean the same as in curl."""
        return self.scheme in ("socks5h", "socks4a", "http")

    @property
    def address(self) -> str:
        """`host:port` (IPv6 in brackets), or the path of the Unix socket."""
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of the proxy for people to read. The password is masked."""
        credentials = "" if self.user is None else quote(self.user)
        credentials += "" if self.password is None else ":***"
        place = self.address if self.path is None else "localhost" + quote(fsencode(self.path), b"/")
        return f"{self.scheme}://{credentials}{'@' if credentials else ''}{place}"

    def __str__(self) -> str:
        return self.url


def parse(text: str, source: str, default_scheme: str = "socks5h") -> Proxy:
    """Return the proxy of one URL. Raises ConfigError, which names `source`, for a URL that cannot be used."""
    try:
        return _proxy(text, default_scheme)
    except Malformed as problem:
        raise ConfigError(f"{source}: {masked(text)!r}: {problem}") from None


def parse_chain(
    value: str | Sequence[str], source: str, named: Mapping[str, tuple[Proxy, ...]] | None = None
) -> tuple[Proxy, ...]:
    """Return the proxies of a text with commas, or of a sequence of such texts, first hop first.

    A hop is a URL or a name in `named`. Raises ConfigError, which names `source`, for a hop that cannot be used, and
    for a Unix socket after another proxy, which could not reach the socket.
    """
    proxies: tuple[Proxy, ...] = ()
    for text in [value] if isinstance(value, str) else value:
        try:
            proxies += _hops(text.split(","), named or {})
        except Malformed as problem:
            raise ConfigError(f"{source}: {masked(text)!r}: {problem}") from None
    if not proxies:
        raise ConfigError(f"{source}: no proxy in it, expected a URL such as socks5h://host:1080")
    check_reachable(proxies, source)
    return proxies


def with_credentials(proxy: Proxy, user: str, password: str | None, source: str) -> Proxy:
    """Return the proxy with credentials that were given beside its URL.

    Raises ConfigError, which names `source`, if the protocol of the proxy cannot carry them.
    """
    try:
        pair = fsencode(user), None if password is None else fsencode(password)
        check_credentials(*pair, proxy.scheme)
    except Malformed as problem:
        raise ConfigError(f"{source}: {problem}") from None
    changed: Proxy = proxy.replace(user=pair[0], password=pair[1])
    return changed


def check_reachable(proxies: tuple[Proxy, ...], source: str) -> None:
    """Raise ConfigError, which names `source`, if a hop cannot be reached through the hop before it."""
    for hop in proxies[1:]:
        if hop.path is not None:
            raise ConfigError(f"{source}: {hop.url!r}: a Unix socket can only be the first hop of a chain")


def check_isolated(proxies: tuple[Proxy, ...], isolate: str, source: str) -> None:
    """Raise ConfigError if the credentials that `isolate` generates would replace credentials of the user."""
    if isolate != "none" and proxies[-1].user is not None:
        raise ConfigError(
            f"{source}: {isolate!r}: {proxies[-1].url} has a user already, and isolation is by generated ones; take it"
            " out of the URL, or say isolate=none"
        )


def _hops(pieces: list[str], named: Mapping[str, tuple[Proxy, ...]]) -> tuple[Proxy, ...]:
    """Return the hops of a list that was split at its commas. Some of the commas may belong to credentials."""
    hops: tuple[Proxy, ...] = ()
    while pieces:
        taken, found = _first_hop(pieces, named)
        pieces = pieces[taken:]
        hops += found
    return hops


def _first_hop(pieces: list[str], named: Mapping[str, tuple[Proxy, ...]]) -> tuple[int, tuple[Proxy, ...]]:
    """Return how many pieces form the first hop, and its proxies. Raises Malformed."""
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


def _proxy(text: str, default_scheme: str) -> Proxy:
    scheme, rest = _scheme(text, default_scheme)
    if not text.isprintable() or " " in text:
        raise Malformed("blanks and unprintable characters have to be percent-encoded")
    authority, path = _split(rest)
    userinfo, at, place = authority.rpartition("@")
    user, password = parse_userinfo(userinfo, scheme) if at else (None, None)
    if path:
        return Proxy(scheme, "localhost", 0, _socket_path(place, path), user, password)
    host, port = host_and_port(place)
    return Proxy(scheme, host, port, None, user, password)


def _scheme(text: str, default: str) -> tuple[str, str]:
    scheme, separator, rest = text.partition("://")
    if not separator:
        return default, text
    if scheme.lower() in SCHEMES:
        return scheme.lower(), rest
    if scheme.lower() == "socks":
        # curl reads "socks" as socks4, while desktops mean SOCKS5. A wrong guess could resolve names at the wrong end.
        raise Malformed("'socks' does not say which version, write socks5h (names resolved by the proxy) or another")
    raise Malformed(f"unknown scheme, expected one of {', '.join(SCHEMES)}")


def _split(rest: str) -> tuple[str, str]:
    """Return the authority and the path. A single final slash is no path."""
    if "?" in rest or "#" in rest:
        raise Malformed("a proxy has no query and no fragment; percent-encode ? and # in credentials")
    authority, slash, path = rest.partition("/")
    if "@" in path:
        # This text is most likely the rest of a password, and messages would show it as the path of a socket.
        raise Malformed("percent-encode / in credentials and @ in a path")
    return authority, slash + path if path else ""


def _socket_path(place: str, quoted: str) -> str:
    if place.lower() not in ("", "localhost"):
        raise Malformed("nothing may follow the port; a Unix socket is written scheme://localhost/path")
    path = unquote(quoted)
    if b"\0" in path or len(path) > _LONGEST_SOCKET_PATH:
        raise Malformed(f"a Unix socket's path has at most {_LONGEST_SOCKET_PATH} bytes and no null byte")
    return fsdecode(path)


def host_and_port(text: str, default_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """Return host and port of `host[:port]`, with an IPv6 address in brackets. Raises Malformed."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise Malformed("expected [IPv6 address] or [IPv6 address]:port")
        return _ipv6(host), _port(rest[1:]) if rest else default_port
    host, colon, port = text.partition(":")
    if ":" in port:
        raise Malformed("an IPv6 address has to be in brackets, and credentials in front of an @")
    return _host(host, default_port), _port(port) if colon else default_port


def _ipv6(text: str) -> str:
    # RFC 6874 writes %25 before the scope id. Most people type a plain %.
    literal, percent, scope = text.replace("%25", "%", 1).partition("%")
    if ":" not in literal or parse_ip(literal) is None or (percent and not scope):
        raise Malformed("no IPv6 address between the brackets")
    return literal.lower() + percent + scope


def _host(text: str, default_port: int) -> str:
    host = fold(text)
    if not host or len(host) > _LONGEST_NAME:
        raise Malformed(f"expected a host, and a port if it is not {default_port}")
    if looks_numeric(host):
        if parse_ip(host) is None:
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


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise Malformed("the port has to be a number from 1 to 65535")
    return int(text)


def parse_userinfo(userinfo: str, scheme: str) -> tuple[bytes, bytes | None]:
    """Return user and password of a percent-encoded `user[:password]`. Raises Malformed as check_credentials() does."""
    name, colon, secret = userinfo.partition(":")
    user, password = unquote(name), unquote(secret) if colon else None
    check_credentials(user, password, scheme)
    return user, password


def check_credentials(user: bytes, password: bytes | None, scheme: str) -> None:
    """Raise Malformed if the protocol of the scheme cannot carry these credentials."""
    if scheme == "http":
        _check_basic(user, password or b"")
        return
    if not 1 <= len(user) <= 255:
        raise Malformed("the user has to be 1 to 255 bytes long")
    if scheme in ("socks5", "socks5h"):
        # RFC 1929 section 2 has a PLEN of 1 to 255. Some users have an empty password; curl sends 0 for them.
        if password is None or len(password) > 255:
            raise Malformed("with a user, SOCKS5 wants a password of 1 to 255 bytes, or an empty one as in user:@host")
    elif password is not None:
        raise Malformed("SOCKS4 has no password, only a user")
    elif b"\0" in user:
        raise Malformed("SOCKS4 ends the user with a null byte, so there can be none in it")


def _check_basic(user: bytes, password: bytes) -> None:
    # RFC 7617 section 2: "The user-id and password MUST NOT contain any control characters", and "a user-id containing
    # a colon character is invalid". Either may be empty or of any length.
    if b":" in user:
        raise Malformed("HTTP's Basic authentication allows no colon in the user")
    if any(byte < 32 or byte == 127 for byte in user + password):
        raise Malformed("HTTP's Basic authentication takes no control characters")


def quote(data: bytes, keep: bytes = b"") -> str:
    """Percent-encode all bytes except the unreserved characters of RFC 3986 and those in `keep`."""
    plain = _UNRESERVED.union(keep)
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in data)


def unquote(text: str) -> bytes:
    """Return the bytes of a percent-encoded text. A `%` without two hex digits stands for itself, as in curl."""
    head, *pieces = text.split("%")
    return head.encode() + b"".join(map(_decoded, pieces))


def _decoded(piece: str) -> bytes:
    """Return the bytes of the text that follows one `%`."""
    if len(piece) >= 2 and _HEX.issuperset(piece[:2]):
        return bytes.fromhex(piece[:2]) + piece[2:].encode()
    return b"%" + piece.encode()
