"""Name servers with link-local addresses (RFC 4007). resolv.conf names their interfaces: `fe80::1%eth0`."""

from __future__ import annotations

from socket import if_nametoindex

from socksify.routing.hosts_file import SystemFile
from socksify.routing.sockaddr import numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.routing.sockaddr import SockAddress


def parse(content: bytes) -> dict[str, str]:
    """Return the interfaces of name servers, by the literal without the interface."""
    found: dict[str, str] = {}
    for line in content.decode("latin-1").split("\n"):
        keyword, address, *_ = (*line.split(), "", "")
        _, _, interface = address.partition("%")
        literal = numeric(address) if keyword == "nameserver" and interface else None
        if literal is not None:
            found.setdefault(literal, interface)
    return found


INTERFACES = SystemFile("/etc/resolv.conf", parse)


def sockaddr(host: str, port: int) -> SockAddress:
    """Return the address of a name server for connect(2). Raises OSError if its interface does not exist."""
    interface = INTERFACES.read().get(host)
    if interface is None:
        return host, port
    # CPython's connect() takes no interface from the text of the host.
    return host, port, 0, int(interface) if interface.isdecimal() else if_nametoindex(interface)
