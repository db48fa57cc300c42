"""Reply codes and errnos, written once more from the table in the documentation."""

from __future__ import annotations

import errno

import pytest

from socksify.protocol.errnos import errno_of, socks5_reply_of
from socksify.protocol.errors import AuthenticationRefused, Closed, Garbled, ProtocolError, Refused, Unsupported


@pytest.mark.parametrize(
    ("error", "number"),
    [
        *((Refused("", code, "socks4"), errno.ECONNREFUSED) for code in (0, 91, 92, 93, 255)),
        (Refused("", 1, "socks5"), errno.ECONNREFUSED),
        (Refused("", 2, "socks5"), errno.EACCES),
        (Refused("", 3, "socks5"), errno.ENETUNREACH),
        (Refused("", 4, "socks5"), errno.EHOSTUNREACH),
        (Refused("", 5, "socks5"), errno.ECONNREFUSED),
        (Refused("", 6, "socks5"), errno.ETIMEDOUT),
        (Refused("", 7, "socks5"), errno.EOPNOTSUPP),
        (Refused("", 8, "socks5"), errno.EAFNOSUPPORT),
        (Refused("", 9, "socks5"), errno.ECONNREFUSED),
        (Refused("", 255, "socks5"), errno.ECONNREFUSED),
        (Refused("", 403, "http"), errno.EACCES),
        (Refused("", 502, "http"), errno.EHOSTUNREACH),
        (Refused("", 503, "http"), errno.EHOSTUNREACH),
        (Refused("", 504, "http"), errno.ETIMEDOUT),
        *((Refused("", code, "http"), errno.ECONNREFUSED) for code in (101, 302, 400, 404, 405, 500, 501, 505)),
        (AuthenticationRefused("", 255), errno.EACCES),
        (AuthenticationRefused("", 1), errno.EACCES),
        (AuthenticationRefused("", 407), errno.EACCES),
        (Unsupported("", 8), errno.EAFNOSUPPORT),
        (Unsupported("", 7), errno.EOPNOTSUPP),
        (Closed(""), errno.ECONNRESET),
        (Garbled(""), errno.ECONNABORTED),
        (Garbled("", 8), errno.ECONNABORTED),
    ],
    ids=lambda value: f"{type(value).__name__}-{value.reply}" if isinstance(value, ProtocolError) else None,
)
def test_errno_of(error: ProtocolError, number: int) -> None:
    assert errno_of(error) == number


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENETDOWN, 3),
        (errno.ENETUNREACH, 3),
        (errno.EHOSTDOWN, 4),
        (errno.EHOSTUNREACH, 4),
        (errno.ECONNREFUSED, 5),
        (errno.ECONNRESET, 5),
        (errno.ETIMEDOUT, 6),
        (errno.EACCES, 2),
        (errno.EPERM, 2),
        (errno.EMFILE, 1),
        (errno.EADDRNOTAVAIL, 1),
        (errno.EAFNOSUPPORT, 1),
        (0, 1),
    ],
)
def test_socks5_reply_of(number: int, code: int) -> None:
    assert socks5_reply_of(number) == code


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6])
def test_an_errno_survives_the_way_through_a_proxy(code: int) -> None:
    assert socks5_reply_of(errno_of(Refused("", code, "socks5"))) == code
