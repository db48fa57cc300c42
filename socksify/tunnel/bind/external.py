"""The addresses by which the world knows us behind a proxy: whence it speaks for a connection, where it listens.

FTP's client tells its server the host of the one (its control connection's getsockname()) and the port of the
other, so a BIND on behalf of a connection has the last word on the connection's address.
"""

from __future__ import annotations

from socket import AF_INET

from socksify.tunnel import proxy_address, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from socksify.config.proxy_url import Proxy
    from socksify.routing.sockaddr import SockAddress
    from socksify.tunnel.state import Tunnel

# Where the latest BIND through a chain listened.
_latest: dict[tuple[Proxy, ...], str] = {}


def host(tunnel: Tunnel) -> str:
    """A literal, "" if nobody knows: BND.ADDR if it means something, else that of the latest BIND, else the proxy's."""
    chain = tunnel.route.chain
    told = tunnel.bound[0] if tunnel.bound is not None else ""
    return told or _latest.get(chain, "") or proxy_address.own_address(chain[-1])


def listens(chain: tuple[Proxy, ...], host: str, callers: Iterable[Tunnel]) -> None:
    """A proxy listens at `host`, on behalf of some connections."""
    _latest[chain] = host
    for caller in callers:
        known, port = caller.bound or (host, 0)
        # There may be callers of both families.
        if (":" in known) == (":" in host):
            caller.bound = host, port


def known_by(host_: str) -> list[Tunnel]:
    """The open connections that were told an address as their own, the latest last."""
    found = dict.fromkeys(registry.by_fd.values())
    return [tunnel for tunnel in found if tunnel.is_open and host(tunnel) == host_ and tunnel.is_somewhere()]


def sockaddr(family: int, host: str, port: int) -> SockAddress:
    """An address as a socket of `family` has it; what cannot be said in it is the wildcard."""
    if family == AF_INET:
        return (host if host and ":" not in host else "0.0.0.0", port)
    return (host if ":" in host else f"::ffff:{host}" if host else "::", port, 0, 0)
