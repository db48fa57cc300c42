"""External addresses: BND.ADDR of a CONNECT (the proxy's source address) and of a BIND (where the proxy listens).

An FTP client sends its server a host and a port. It takes the host from getsockname() of its control connection, and
the port from its listening socket. So if a BIND was made on behalf of a connection, getsockname() of the connection
returns the address of the BIND.
"""

from __future__ import annotations

from socket import AF_INET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from socksify.config.proxy_url import Proxy
    from socksify.routing.sockaddr import SockAddress
    from socksify.tunnel.proxy_addresses import ProxyAddresses
    from socksify.tunnel.state import Tunnel

    # The scheme, host, port and path of each proxy of a chain. Users and passwords are left out.
    _Chain = tuple[tuple[str, str, int, str | None], ...]

# The number of chains whose addresses are remembered.
_MEMORY = 256


class ExternalAddresses:
    """The addresses where proxies listened last, and the addresses that the other side sees of connections.

    `proxies` holds the addresses of the proxies themselves.
    """

    __slots__ = ("_latest", "_proxies")

    def __init__(self, proxies: ProxyAddresses) -> None:
        self._proxies = proxies
        # The host of the latest BIND through each chain. The chains with the oldest BINDs are first.
        self._latest: dict[_Chain, str] = {}

    def host(self, tunnel: Tunnel) -> str:
        """Return the external address of a connection as a literal, or "" if none is known.

        The first choice is the BND.ADDR that the proxy has sent for the connection, if it has a meaning. The second
        is the address of the latest BIND through the same chain. The third is the last proxy's own address.
        """
        chain = tunnel.route.chain
        sent = tunnel.bound[0] if tunnel.bound is not None else ""
        return sent or self._latest.get(_key(chain), "") or self._proxies.own_address(chain[-1])

    def listens(self, chain: tuple[Proxy, ...], host: str, connections: Iterable[Tunnel]) -> None:
        """Note that the last proxy of `chain` listens at `host`, on behalf of `connections`."""
        self._latest.pop(_key(chain), None)
        self._latest[_key(chain)] = host
        for oldest in list(self._latest)[:-_MEMORY]:
            self._latest.pop(oldest, None)
        for connection in connections:
            # There may be IPv4 and IPv6 connections; each keeps an address of its own family.
            if (":" in (connection.bound or (host, 0))[0]) == (":" in host):
                connection.be_known_at(host)

    def clear(self) -> None:
        """Forget the addresses where the proxies listened."""
        self._latest.clear()


def _key(chain: tuple[Proxy, ...]) -> _Chain:
    return tuple((proxy.scheme, proxy.host, proxy.port, proxy.path) for proxy in chain)


def sockaddr(family: int, host: str, port: int) -> SockAddress:
    """Return an address in the form that sockets of `family` use; a host of another family becomes the wildcard."""
    if family == AF_INET:
        return (host if host and ":" not in host else "0.0.0.0", port)
    return (host if ":" in host else f"::ffff:{host}" if host else "::", port, 0, 0)
