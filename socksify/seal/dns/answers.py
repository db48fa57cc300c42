"""What a question gets: a fake address, the machine's own data, what a name server says, or nothing.

The decision is that of the patches (`routing.lookups`, `routing.router`): a name that the proxy resolves gets a fake
address, and no name server hears of the name. A name that a resolver has completed by the search list of this machine
(resolv.conf(5)) does not exist if the proxy resolves the short name.
"""

from __future__ import annotations

import os
from socket import AF_INET, AF_INET6, EAI_NONAME, gaierror, gethostname

from socksify.routing import local_host, log
from socksify.routing.hosts_file import SystemFile, folded
from socksify.seal.dns import message
from socksify.seal.dns.forwarding import Forwarder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Settings
    from socksify.routing.lookups import Lookups
    from socksify.routing.router import Router
    from socksify.seal.dns.forwarding import Reply
    from socksify.seal.dns.message import Query
    from socksify.seal.streams.dial import Dialer
    from socksify.server.core.loop import Loop

_FAMILIES = {message.A: (AF_INET,), message.AAAA: (AF_INET6,), message.ANY: (AF_INET, AF_INET6)}
# These records hold addresses (RFC 9460 section 7.3). A client that connects to them goes past the rules about names.
_WITH_ADDRESSES = (message.SVCB, message.HTTPS)
# Types from here to ANY ask for something else than records of this type: a zone transfer, a key, a signature.
_FIRST_META = 128
# The rules read an empty name as this machine. Only rules about everything cover this one (RFC 6761 section 6.4).
_ROOT = "invalid"

# resolv.conf(5): "The value for this option is silently capped to 15".
_MOST_DOTS = 15
_NDOTS = "ndots:"


class Answers:
    """Answers queries by the rules of one Router."""

    def __init__(self, router: Router, lookups: Lookups, settings: Settings, loop: Loop, dialer: Dialer) -> None:
        self._router = router
        self._lookups = lookups
        self._notices = dialer.notices
        self._forwarder = Forwarder(settings, loop, dialer)

    def close(self) -> None:
        """End the connections to name servers."""
        self._forwarder.close()

    def answer(self, data: bytes, reply: Reply, server: str | None = None, *, over_tcp: bool = False) -> bool:
        """Answer the query in `data`: `reply` is called with the response, now or later.

        Return False if it is no query, so that no response follows. `server` is the literal of the name server that
        the client asks, if known.
        """
        query = message.parse(data, over_tcp)
        if query is None:
            return False
        if query.rcode or query.qclass != message.IN or _is_meta(query.qtype):
            reply(query.response(query.rcode or message.REFUSED))
            return True
        try:
            address = message.address_of_reverse_name(query.name) if query.qtype == message.PTR else None
            if address is None:
                self._answer_name(query, server, reply)
            else:
                self._answer_address(query, address, server, reply)
        except OSError as error:
            reply(query.response(self._rcode(query.name, error)))
        return True

    def _answer_name(self, query: Query, server: str | None, reply: Reply) -> None:
        """Answer a question about a name. Raises gaierror if the name does not exist, or gets no answer."""
        if self._is_completed(query.name):
            reply(query.response(message.NXDOMAIN))
        elif (families := _FAMILIES.get(query.qtype)) is not None:
            records = self._address_records(query.name.encode("latin-1"), families)
            if records is None:
                self._forwarder.forward(query, server, reply)
            else:
                reply(query.response(message.NOERROR, records))
        elif local_host.addresses_here(query.name) is not None:
            reply(query.response())
        elif not self._router.is_faked(query.name or _ROOT):
            self._forwarder.forward(query, server, reply)
        elif self._forwarder.has_name_server and query.qtype not in _WITH_ADDRESSES:
            self._forwarder.ask(query, reply)
        else:
            reply(query.response())

    def _answer_address(self, query: Query, address: str, server: str | None, reply: Reply) -> None:
        """Answer a question for the name of an address."""
        records = self._name_records(address)
        if records:
            reply(query.response(message.NOERROR, records))
        elif self._lookups.may_ask(address):
            self._forwarder.forward(query, server, reply)
        elif self._forwarder.has_name_server and self._lookups.unknown_fake(address) is None:
            self._forwarder.ask(query, reply)
        else:
            reply(query.response(message.NXDOMAIN))

    def _is_completed(self, name: str) -> bool:
        """Return True for a name that a resolver has made from a shorter name, which the proxy resolves."""
        short: str | None = SEARCH_LIST.read().short_name(name)
        return short is not None and local_host.addresses_here(name) is None and self._router.is_faked(short)

    def _address_records(self, name: bytes, families: tuple[int, ...]) -> list[bytes] | None:
        """Return the records of a name that is answered here; None if a name server has to be asked."""
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

    def _name_records(self, address: str) -> list[bytes]:
        found = self._lookups.reverse(address)
        try:
            return [] if found is None else [message.record(message.PTR, message.encoded_name(found[0]))]
        except ValueError:  # the hosts file has something else than a name
            return []

    def _rcode(self, name: str, error: OSError) -> int:
        """Return the response code for a look-up that has failed."""
        if not isinstance(error, gaierror):
            # No descriptor is left for a question to the kernel.
            return message.SERVFAIL
        if error.errno == EAI_NONAME:
            return message.NXDOMAIN
        # The proxy of this name takes addresses only.
        log.line(f"{log.name}: look-up of {name} denied: {error.strerror}")
        self._notices.tell(f"{name}: {error.strerror}")
        return message.REFUSED


def _is_meta(qtype: int) -> bool:
    return qtype == message.OPT or _FIRST_META <= qtype < message.ANY


class SearchList:
    """The domains that resolvers append to short names, and the number of dots from which on a name is not short.

    A resolver that is asked for a name with fewer dots than `ndots` asks for the name below each domain of the list
    first, and for the name itself at last. A name server answers that most of these names do not exist. A proxy is
    asked for a name only when the client connects, so we cannot know. If `www.example.com.cluster.local` had an
    address, every name of a machine with `ndots:5` would lead to a host that does not exist.
    """

    def __init__(self, domains: tuple[str, ...], ndots: int) -> None:
        self._endings = tuple(f".{domain}" for domain in domains)
        self._ndots = ndots

    def short_name(self, name: str) -> str | None:
        """Return the name to which a resolver has appended a domain; None if it has asked for the name itself.

        A name of one label gives None, because `db.corp.example` is asked for both as itself and for `db`.
        """
        if self._ndots < 2:
            return None
        shorts = [name.removesuffix(ending) for ending in self._endings if name.endswith(ending)]
        short = min(shorts, key=len, default="")
        return short if 0 < short.count(".") < self._ndots else None


def parse_search_list(content: bytes) -> SearchList:
    """Return the list of a resolv.conf, changed by the variables LOCALDOMAIN and RES_OPTIONS."""
    domains: tuple[str, ...] = ()
    options = ""
    for line in content.decode("latin-1").split("\n"):
        keyword, _, rest = line.replace("\t", " ").strip().partition(" ")
        if keyword in ("search", "domain"):
            domains = tuple(rest.split())
        elif keyword == "options":
            options += f" {rest}"
    if "LOCALDOMAIN" in os.environ:
        domains = tuple(os.environ["LOCALDOMAIN"].split())
    elif not domains:
        # "If no domain entry is present, the domain is determined from the local hostname".
        domains = (gethostname().partition(".")[2],)
    options += f" {os.environ.get('RES_OPTIONS', '')}"
    return SearchList(tuple(filter(None, map(folded, domains))), _ndots(options))


def _ndots(options: str) -> int:
    ndots = 1
    for option in options.split():
        digits = option.removeprefix(_NDOTS)
        if option.startswith(_NDOTS) and digits.isascii() and digits.isdecimal():
            ndots = min(int(digits[:9]), _MOST_DOTS)
    return ndots


SEARCH_LIST = SystemFile("/etc/resolv.conf", parse_search_list)
