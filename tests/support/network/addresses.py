"""Addresses and ports of the recorded network.

They are from the ranges for documentation (RFC 5737, RFC 3849): no default rule of socksify treats them in its own way.
"""

from __future__ import annotations

from enum import IntEnum

PROXY, TOR = ("192.0.2.1", 1080), ("192.0.2.1", 9050)
PROXIES = (PROXY, TOR)
# Nothing listens there.
CLOSED_PROXY = ("192.0.2.1", 1081)
TARGET, TARGET4, TARGET6 = "target.example", "198.51.100.7", "2001:db8:7::7"
NAME_SERVER = "198.51.100.53"


class Port(IntEnum):
    """The target's ports, by the protocol that the server on each of them speaks."""

    ECHO = 7
    FTP = 21
    SSH = 22
    TELNET = 23
    SMTP = 25
    HTTP = 80
    IMAP = 143
    HTTPS = 443
    MYSQL = 3306
    REDIS = 6379
    XMLRPC = 8000
    WEBSOCKET = 8765
