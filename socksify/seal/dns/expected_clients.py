"""The connections that the supervisor has made to its own responder, for sockets of the tree.

Every user of this machine can connect to the responder, and could ask it for the names that the tree has looked up.
"""

from __future__ import annotations

from collections import OrderedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify import _originals
    from socksify.routing.sockaddr import SockAddress

# More connections than that do not wait for accept(2).
_MOST = 4096


class ExpectedClients:
    """The sources of connections that were made, and not accepted yet."""

    def __init__(self) -> None:
        self._sources: OrderedDict[tuple[str, int], None] = OrderedDict()

    def expect(self, sock: _originals.Socket) -> None:
        """Expect the connection of a socket, for which connect(2) was called."""
        try:
            source = _source(sock.getsockname())
        except OSError:  # it has failed, and the socket is closed
            return
        self._sources[source] = None
        if len(self._sources) > _MOST:
            self._sources.popitem(last=False)

    def take(self, client: SockAddress) -> bool:
        """Return True if a connection from this address was expected. No second one is."""
        source = _source(client)
        is_expected = source in self._sources
        self._sources.pop(source, None)
        return is_expected


def _source(address: SockAddress) -> tuple[str, int]:
    return str(address[0]).removeprefix("::ffff:"), address[1]
