"""Demands as the tests of the server's rules write them."""

from __future__ import annotations

from socksify.protocol.socks5 import CONNECT
from socksify.server.policy.policy import Demand

REMOTE = "198.51.100.7"


def demand(
    address: str | None = None,
    port: int = 80,
    name: str | None = None,
    *,
    host: str = REMOTE,
    user: bytes | None = None,
    userid: bytes = b"",
    command: int = CONNECT,
) -> Demand:
    return Demand(host, user, userid, command, name, address, port)
