"""The route of a sealed connection: the decision of the Router, and what the supervisor adds to it.

The supervisor answers DNS over TCP itself, if a program asks a name server of this machine. It generates the
credentials of `isolate` for the process and the thread that connect. It tells the user why a connection is not made.
"""

from __future__ import annotations

import os
from errno import EHOSTUNREACH
from socket import AF_INET, gaierror

from socksify.routing import fake_addresses, local_host, log
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.sockaddr import numeric
from socksify.seal.kernel.target import process_of
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify.config.settings import Settings
    from socksify.routing.router import Router
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.notices import Notices

_DOMAIN = 53


class Routes:
    """Decides where the connections of a tree go."""

    def __init__(self, router_of: Callable[[int, int], Router], name_server: SockAddress, notices: Notices) -> None:
        """`router_of` gives the Router for a thread and an inode. `name_server` is our own, an address of AF_INET."""
        self._router_of = router_of
        self._name_server = name_server
        self._notices = notices

    def decide(self, thread: int, inode: int, family: int, address: SockAddress) -> tuple[Direct | Via, Settings]:
        """Return the route of a connection, and the settings in force. Raises OSError if it is not to be made."""
        router = self._router_of(thread, inode)
        try:
            route = router.decide(family, address)
        except gaierror as error:
            self._notices.tell(f"{log.host_port(str(address[0]), address[1])}: {error.strerror}")
            raise OSError(EHOSTUNREACH, os.strerror(EHOSTUNREACH)) from None
        if address[1] == _DOMAIN and _is_for_name_server(route, address):
            return Direct(None, _in_family(self._name_server, family)), router.settings
        if isinstance(route, Blocked):
            # The user knows a name, and not the fake address that stands for it.
            shown = (fake_addresses.TABLE.name_of(str(address[0])) or address[0], address[1])
            log.denied(shown, route.why)
            denied = errors.denied(route.why, shown)
            self._notices.tell(str(denied.strerror))
            raise denied
        if isinstance(route, Via) and router.settings.isolate != "none":
            route = _isolated(route, router.settings.isolate, thread)
        return route, router.settings

    def leads_to_responder(self, route: Direct) -> bool:
        """Return True for the route to our own name server."""
        address = route.address
        return address is not None and (numeric(address[0]), address[1]) == self._name_server


def _isolated(route: Via, by: str, thread: int) -> Via:
    from socksify.routing.stream_isolation import isolated

    return isolated(route, by, process_of(thread), str(thread).encode())


def _is_for_name_server(route: Direct | Via | Blocked, address: SockAddress) -> bool:
    """Return True if a connection to port 53 is for a name server that this machine asks for names."""
    if isinstance(route, Blocked):
        # No rule of the user blocks it: the server is one of this machine, and would forward the query.
        return route.rule is None
    # A direct one, too: it must not hear of the names that the proxy resolves. The client may write it as mapped IPv6.
    return numeric(address[0]) in local_host.nameservers()


def _in_family(address: SockAddress, family: int) -> SockAddress:
    return address if family == AF_INET else (f"::ffff:{address[0]}", address[1], 0, 0)
