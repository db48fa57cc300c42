"""External addresses: BND.ADDR of a CONNECT (the proxy's source address) and of a BIND (where the proxy listens).

FTP's client sends its server a host and a port. The host is that of its control connection's getsockname(), the port
that of its listening socket. So where a BIND was made on behalf of a connection, the address of the BIND becomes that
of the connection.
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

    # Scheme, host, port and path of each proxy of a chain. Users and passwords are left out.
    _Chain = tuple[tuple[str, str, int, str | None], ...]

# The addresses of so many chains are remembered.
_MEMORY = 256


class ExternalAddresses:
    """Where the proxies listened last, and by which address the other side knows a connection.

    `proxies` knows the addresses of the proxies themselves.
    """

    __slots__ = ("_latest", "_proxies")

    def __init__(self, proxies: ProxyAddresses) -> None:
        self._proxies = proxies
        # Where the latest BIND through a chain listened; the chains with the oldest BINDs are first.
        self._latest: dict[_Chain, str] = {}

    def host(self, tunnel: Tunnel) -> str:
        """Return a literal address, or "" if none is known.

        It is BND.ADDR of the connection, if the proxy has sent one that means something. Otherwise it is the address
        of the latest BIND through the same chain, or else the proxy's own.
        """
        chain = tunnel.route.chain
        sent = tunnel.bound[0] if tunnel.bound is not None else ""
        return sent or self._latest.get(_key(chain), "") or self._proxies.own_address(chain[-1])

    def listens(self, chain: tuple[Proxy, ...], host: str, connections: Iterable[Tunnel]) -> None:
        """The last proxy of `chain` listens at `host`, on behalf of the connections `connections`."""
        self._latest.pop(_key(chain), None)
        self._latest[_key(chain)] = host
        for oldest in list(self._latest)[:-_MEMORY]:
            self._latest.pop(oldest, None)
        for connection in connections:
            # The connections may be of both families.
            if (":" in (connection.bound or (host, 0))[0]) == (":" in host):
                connection.be_known_at(host)

    def clear(self) -> None:
        """Forget where the proxies listened."""
        self._latest.clear()


def _key(chain: tuple[Proxy, ...]) -> _Chain:
    return tuple((proxy.scheme, proxy.host, proxy.port, proxy.path) for proxy in chain)


def sockaddr(family: int, host: str, port: int) -> SockAddress:
    """Return an address in the form that sockets of `family` use; a host of another family becomes the wildcard."""
    if family == AF_INET:
        return (host if host and ":" not in host else "0.0.0.0", port)
    return (host if ":" in host else f"::ffff:{host}" if host else "::", port, 0, 0)
