"""Calls of a pycares channel: each is answered, refused, or let through to c-ares.

Answers have the types of the installed version of pycares. Up to pycares 4 the result of a query is a list of records;
Python cannot call their classes, which are made from C structures. Since pycares 5 the result is a DNSResult of
dataclasses.

A program may have kept a method of a channel from before install(). Such a method is not wrapped, so there is a second
check. pycares calls C by the name `_lib` of its module. While socksify is installed, `_lib` is the same library with a
gate in each function that asks name servers. The gate is open while a wrapped method lets a question through.
"""

from __future__ import annotations

from _thread import _local
from socket import AF_INET, AF_INET6
from types import SimpleNamespace

from socksify.patches import scope
from socksify.routing import local_host, log
from socksify.routing.route import Direct
from socksify.routing.sockaddr import numeric
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

_DOMAIN_PORT = 53
# Functions of c-ares that ask name servers. Each version has some of them.
_ASKING = (
    "ares_getaddrinfo",
    "ares_gethostbyaddr",
    "ares_gethostbyname",
    "ares_getnameinfo",
    "ares_query",
    "ares_query_dnsrec",
    "ares_search",
    "ares_search_dnsrec",
)


class Refusal(int):
    """An error number of c-ares with a reason, which pycares.errno.strerror() returns."""

    def __new__(cls, number: int, why: str) -> Refusal:  # noqa: ARG004
        return super().__new__(cls, number)

    def __init__(self, number: int, why: str) -> None:  # noqa: ARG002
        self.why = why


class Call:
    """A call of a channel's method, with methods to answer it. `given` has the arguments by name."""

    __slots__ = ("channel", "given", "original", "pycares")

    def __init__(self, pycares: ModuleType, channel: Any, original: Callable[..., None], given: dict[str, Any]) -> None:
        self.pycares = pycares
        self.channel = channel
        self.original = original
        self.given = given

    def name(self, argument: str = "name") -> str:
        """Return the domain name in `argument` as pycares sends it. Raises the error of pycares if it is no name."""
        name: bytes = self.pycares.utils.parse_name(self.given[argument])
        return name.decode("latin-1")

    def record_type(self) -> str:
        """Return the type of the records that are asked for: `MX` for QUERY_TYPE_MX."""
        prefix, number = "QUERY_TYPE_", self.given["query_type"]
        names = vars(self.pycares).items()
        return next(name.removeprefix(prefix) for name, value in names if name.startswith(prefix) and value == number)

    def answer(self, result: Any) -> None:
        """Give the client a result."""
        self.given["callback"](result, None)

    def answer_host(self, name: str, aliases: list[str], addresses: list[str]) -> None:
        """Give the client the result of gethostbyname() or gethostbyaddr()."""
        cls = getattr(self.pycares, "HostResult", None) or self.pycares.ares_host_result
        self.answer(_made(cls, name=name, aliases=aliases, addresses=addresses))

    def answer_records(self, addresses: list[str]) -> None:
        """Give the client the result of a query for addresses, which must not be cached (TTL 0)."""
        pycares, kind = self.pycares, self.record_type()
        if not hasattr(pycares, "DNSResult"):
            record = getattr(pycares, f"ares_query_{kind.lower()}_result")
            return self.answer([_made(record, host=address, ttl=0) for address in addresses])
        name, number, data = self.name(), self.given["query_type"], getattr(pycares, f"{kind}RecordData")
        records = [pycares.DNSRecord(name, number, pycares.QUERY_CLASS_IN, 0, data(address)) for address in addresses]
        return self.answer(pycares.DNSResult(answer=records, authority=[], additional=[]))

    def fail(self, error: str | int) -> None:
        """Give the client an error of c-ares. `error` is its name ("ARES_ENODATA") or its number."""
        number = getattr(self.pycares.errno, error) if isinstance(error, str) else error
        self.given["callback"](None, number)

    def refuse(self, what: str, why: str) -> None:
        """Give the client the error ARES_EREFUSED, and write a log line. `what` was refused for the reason `why`."""
        log.line(f"{log.name}: {what} denied: {why}")
        self.fail(Refusal(self.pycares.errno.ARES_EREFUSED, f"{what} not made: {why}"))

    def call_original(self, **changed: Any) -> None:
        """Let c-ares answer, with some of the arguments changed."""
        _GATE.call(self.original, {**self.given, **changed})

    def ask(self) -> None:
        """Let c-ares ask its name servers, if socksify allows all of them; otherwise refuse the question."""
        for server in self.channel.servers:
            if not _may_ask(server):
                why = "c-ares asks from sockets of its own, and this name server is not routed direct"
                return self.refuse(f"question to name server {server}", why)
        return self.call_original()


def _made(cls: Any, **fields: Any) -> Any:
    """Return an object of a class that cannot be called from Python."""
    result = cls.__new__(cls)
    for name, value in fields.items():
        setattr(result, name, value)
    return result


def _may_ask(server: str) -> bool:
    """Return True if c-ares may ask this name server (`host`, `host:port` or `[host]:port`) from its own sockets."""
    if server.startswith("["):
        host, _, port = server[1:].partition("]:")
    else:
        host, _, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
    literal = numeric(host)
    if literal is None:
        return False
    if literal in local_host.nameservers() or (local_host.asks_itself() and local_host.is_own(literal)):
        # The machine's own resolver asks this name server, too.
        return True
    address = (literal, int(port) if port.isdecimal() else _DOMAIN_PORT)
    return isinstance(scope.current().router.decide(AF_INET6 if ":" in literal else AF_INET, address), Direct)


class _Gate(_local):
    """Allows or forbids this thread to call the functions of c-ares that ask name servers."""

    is_open = False

    def call(self, function: Callable[..., None], arguments: dict[str, Any]) -> None:
        """Call a function with the gate open. A callback of the function may call this method again."""
        was_open, self.is_open = self.is_open, True
        try:
            function(**arguments)
        finally:
            self.is_open = was_open


_GATE = _Gate()


def gate_library(pycares: ModuleType, journal: Journal) -> None:
    """Put a gate into each function of c-ares that asks name servers, until the journal is undone."""
    names = {name: getattr(pycares._lib, name) for name in dir(pycares._lib)}
    names.update((name, _gated(names[name])) for name in _ASKING if name in names)
    journal.set_attribute(pycares, "_lib", SimpleNamespace(**names))


def _gated(function: Callable[..., Any]) -> Callable[..., Any]:
    def gated(*args: Any) -> Any:
        if not _GATE.is_open:
            why = "this method was taken from its pycares.Channel before install(); take it afterwards"
            raise errors.not_sent("question", "c-ares", why)
        return function(*args)

    return gated
