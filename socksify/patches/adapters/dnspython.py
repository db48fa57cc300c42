"""dnspython: it asks name servers by datagrams, which a proxy may not carry.

A question for the addresses of a name that the proxy resolves, or for the name of a fake address, must not go to a name
server. So socksify answers these questions here, with the results of the standard library's look-ups. This makes the
resolvers, override_system_resolver() and the names of DNS-over-HTTPS servers work. Other questions are sent. Over TCP,
TLS and HTTPS they go through the proxy. They are sent as datagrams only if the rules allow it.
"""

from __future__ import annotations

from inspect import signature
from socket import AF_INET, AF_INET6, EAI_NONAME, gaierror

from socksify.patches import scope
from socksify.patches.adapters import wrap
from socksify.routing.route import Direct
from socksify.routing.sockaddr import numeric
from socksify.tunnel import datagrams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from dns.message import Message, QueryMessage
    from dns.name import Name

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap udp() of dns.query or dns.asyncquery. All of dnspython sends its datagrams by these two functions."""
    wrap(journal, module, "udp", _udp_async if module.__name__ == "dns.asyncquery" else _udp)


def _udp(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    answer = _answer(wrapped, args, kwargs)
    return wrapped(*args, **kwargs) if answer is None else answer


async def _udp_async(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    answer = _answer(wrapped, args, kwargs)
    return await wrapped(*args, **kwargs) if answer is None else answer


def _answer(udp: Callable[..., Any], args: Any, kwargs: Any) -> Message | None:
    """Return the answer to a question that must not be sent as a datagram; None if the question is to be sent."""
    arguments = signature(udp).bind(*args, **kwargs).arguments
    query = arguments["q"]
    if not _is_query(query) or _may_send(arguments["where"], arguments.get("port", 53)):
        return None
    try:
        records = _records(query)
    except gaierror as error:
        # The name does not exist, or the proxy of this name takes addresses only.
        return _response(query, []) if error.errno == EAI_NONAME else None
    return None if records is None else _response(query, records)


def _is_query(message: Message) -> bool:
    """Return True for a standard query (RFC 1035, 4.1.1) with one question.

    Responses, NOTIFY (RFC 1996) and UPDATE (RFC 2136) are no such queries.
    """
    import dns.flags
    import dns.opcode

    is_query = message.opcode() == dns.opcode.QUERY and not message.flags & dns.flags.QR
    return is_query and len(message.question) == 1 and not message.answer and not message.authority


def _may_send(where: str, port: int) -> bool:
    literal = numeric(where)
    if literal is None:
        return True
    family = AF_INET6 if ":" in literal else AF_INET
    return isinstance(datagrams.decide(scope.current().router, family, (literal, port)), Direct)


def _records(query: QueryMessage) -> list[str] | None:
    """Return the data of the records that a query asks for; None if the query is to be sent to name servers."""
    (question,) = query.question
    kind = question.rdtype.name
    if question.rdclass.name != "IN" or kind not in ("A", "AAAA", "PTR"):
        return None
    if kind == "PTR":
        return _names(question.name)
    host = question.name.to_text(omit_final_dot=True).encode()
    found = scope.current().lookups.forward(host, None, AF_INET6 if kind == "AAAA" else AF_INET)
    return None if found is None else [literal for literal in found[-1] if (":" in literal) == (kind == "AAAA")]


def _names(reverse: Name) -> list[str] | None:
    import dns.exception
    import dns.reversename

    try:
        address = dns.reversename.to_address(reverse)
    except dns.exception.DNSException:
        return None
    host = scope.current().lookups.reverse(address)
    return None if host is None else [f"{host[0]}."]


def _response(query: QueryMessage, records: list[str]) -> Message:
    """Return a response with these records, which must not be cached (TTL 0). Without records it is NXDOMAIN."""
    import dns.message
    import dns.rcode
    import dns.rdata

    (question,) = query.question
    rdclass, rdtype = question.rdclass, question.rdtype
    response = dns.message.make_response(query, recursion_available=True)
    if not records:
        response.set_rcode(dns.rcode.NXDOMAIN)
        return response
    rrset = response.find_rrset(response.answer, question.name, rdclass, rdtype, create=True)
    for record in records:
        rrset.add(dns.rdata.from_text(rdclass, rdtype, record), 0)
    return response
