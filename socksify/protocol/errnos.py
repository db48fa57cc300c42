"""Translates a failed conversation into an errno for the client program, and an errno into a server's reply.

Dante and tsocks turn nearly every refusal into ECONNREFUSED. Here a refusal keeps its meaning if connect(2) has an
errno for it.
"""

from __future__ import annotations

import errno

from socksify.protocol import http_connect, socks5
from socksify.protocol.address import ADDRESS_TYPE_NOT_SUPPORTED
from socksify.protocol.errors import AuthenticationRefused, Closed, ProtocolError, Refused, Unsupported

# connect(2): "EACCES, EPERM The user tried to connect to a broadcast address ... or the connection request failed
# because of a local firewall rule."
_OF_SOCKS5 = {
    socks5.NOT_ALLOWED: errno.EACCES,
    socks5.NETWORK_UNREACHABLE: errno.ENETUNREACH,
    socks5.HOST_UNREACHABLE: errno.EHOSTUNREACH,
    socks5.CONNECTION_REFUSED: errno.ECONNREFUSED,
    socks5.TTL_EXPIRED: errno.ETIMEDOUT,
    socks5.COMMAND_NOT_SUPPORTED: errno.EOPNOTSUPP,
    ADDRESS_TYPE_NOT_SUPPORTED: errno.EAFNOSUPPORT,
}
_OF_HTTP = {
    403: errno.EACCES,
    http_connect.PROXY_AUTHENTICATION_REQUIRED: errno.EACCES,
    502: errno.EHOSTUNREACH,
    503: errno.EHOSTUNREACH,
    504: errno.ETIMEDOUT,
}
# SOCKS4 gives no reasons.
_OF_REPLY: dict[str, dict[int, int]] = {"socks4": {}, "socks5": _OF_SOCKS5, "http": _OF_HTTP}

_SOCKS5_OF = {
    errno.ENETDOWN: socks5.NETWORK_UNREACHABLE,
    errno.ENETUNREACH: socks5.NETWORK_UNREACHABLE,
    errno.EHOSTDOWN: socks5.HOST_UNREACHABLE,
    errno.EHOSTUNREACH: socks5.HOST_UNREACHABLE,
    errno.ECONNREFUSED: socks5.CONNECTION_REFUSED,
    errno.ECONNRESET: socks5.CONNECTION_REFUSED,
    errno.ETIMEDOUT: socks5.TTL_EXPIRED,
    errno.EACCES: socks5.NOT_ALLOWED,
    errno.EPERM: socks5.NOT_ALLOWED,
}


def errno_of(error: ProtocolError) -> int:
    """Return the errno of connect(2) that comes closest to the error."""
    if isinstance(error, Refused) and error.reply is not None:
        return _OF_REPLY[error.kind].get(error.reply, errno.ECONNREFUSED)
    if isinstance(error, Unsupported) and error.reply is not None:
        return _OF_SOCKS5[error.reply]
    if isinstance(error, AuthenticationRefused):
        return errno.EACCES
    return errno.ECONNRESET if isinstance(error, Closed) else errno.ECONNABORTED


def socks5_reply_of(number: int) -> int:
    """Return the SOCKS5 reply for the errno of a failed connect.

    A failed look-up has no errno; its reply is `socks5.HOST_UNREACHABLE`.
    """
    return _SOCKS5_OF.get(number, socks5.GENERAL_FAILURE)
