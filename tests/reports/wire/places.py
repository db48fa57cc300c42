"""Where everything is, outside: documentation's addresses (RFC 5737, RFC 3849), of which no rule makes an exception."""

from __future__ import annotations

from enum import IntEnum

PROXY, TOR = ("192.0.2.1", 1080), ("192.0.2.1", 9050)
PROXIES = (PROXY, TOR)
# Where no proxy listens.
AWAY = ("192.0.2.1", 1081)
TARGET, TARGET4, TARGET6 = "target.example", "198.51.100.7", "2001:db8:7::7"
NAME_SERVER = "198.51.100.53"


class Port(IntEnum):
    """The target's, by what it speaks there."""

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
