"""What a question gets: a fake address, the machine's own data, or nothing.

The decision is that of the patches (`routing.lookups`, `routing.router`): a name that the proxy resolves gets a fake
address, and no name server hears of the name.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, EAI_NONAME, gaierror

from socksify.routing import local_host
from socksify.seal.dns import message, reverse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify.config.settings import Settings
    from socksify.routing.lookups import Lookups
    from socksify.routing.router import Router
    from socksify.seal.dns.message import Query
    from socksify.server.core.loop import Loop

    # Sends a response. It is called once at most: now, later, or never.
    Reply = Callable[[bytes], object]

_FAMILIES = {message.A: (AF_INET,), message.AAAA: (AF_INET6,), message.ANY: (AF_INET, AF_INET6)}
# Types from here to 255 ask for something else than records of this type: a zone transfer, a key, a signature.
_FIRST_META = 128


class Answers:
    """Answers queries by the rules of one Router."""

    def __init__(self, router: Router, lookups: Lookups, settings: Settings, loop: Loop, dial: object) -> None:
        self._router = router
        self._lookups = lookups
        self._settings = settings
        self._loop = loop
        self._dial = dial

    def answer(self, data: bytes, reply: Reply, server: str | None = None, *, over_tcp: bool = False) -> bool:  # noqa: ARG002
        """Answer the query in `data`. Return False if it is no query, so that no response follows.

        `server` is the literal of the name server that the client asks, if known.
        """
        query = message.parse(data, over_tcp)
        if query is None:
            return False
        if query.rcode or query.qclass != message.IN or _is_meta(query.qtype):
            reply(query.response(query.rcode or message.REFUSED))
            return True
        try:
            records = self._records(query)
        except gaierror as error:
            reply(query.response(message.NXDOMAIN if error.errno == EAI_NONAME else message.REFUSED))
            return True
        reply(query.response(message.REFUSED) if records is None else query.response(message.NOERROR, records))
        return True

    def _records(self, query: Query) -> list[bytes] | None:
        """Return the records of a name that is answered here; None for a question for a name server.

        Raises gaierror for a name that does not exist, and for a name for a proxy that takes no names.
        """
        address = reverse.address(query.name) if query.qtype == message.PTR else None
        if address is not None:
            return self._name_records(address)
        families = _FAMILIES.get(query.qtype)
        if families is not None:
            return self._address_records(query.name.encode("latin-1"), families)
        if local_host.addresses_here(query.name) is not None or self._router.is_faked(query.name):
            return []
        return None

    def _address_records(self, name: bytes, families: tuple[int, ...]) -> list[bytes] | None:
        records: list[bytes] = []
        for family in families:
            try:
                found = self._lookups.forward(name, None, family)
            except gaierror:
                # The name may have addresses of the other family only. If it does not exist, this raises again.
                self._lookups.forward(name)
                continue
            if found is None:
                return None
            records += (message.address_record(each) for each in found[2] if (":" in each) == (family == AF_INET6))
        return records

    def _name_records(self, address: str) -> list[bytes] | None:
        found = self._lookups.reverse(address)
        if found is not None:
            return [message.record(message.PTR, message.encoded_name(found[0]))]
        return None


def _is_meta(qtype: int) -> bool:
    return qtype == message.OPT or _FIRST_META <= qtype < message.ANY
