"""pycares, which aiodns and the resolvers of aiohttp and tornado use: c-ares asks name servers from sockets in C.

The methods of sockets in C cannot be replaced. So a name that the proxy resolves is never given to c-ares. A look-up of
its addresses becomes a look-up of its fake address, which c-ares answers at once, without a packet. A query for other
records of such a name is refused.

c-ares may ask its name servers for other names if socksify allows all of these name servers. It allows a name server
that the machine's own resolver asks as well, and a name server that is routed direct.
"""

from __future__ import annotations

from inspect import signature
from socket import AF_INET, AF_INET6, EAI_NONAME, gaierror

from socksify.patches import scope
from socksify.patches.adapters import wrap
from socksify.patches.adapters.pycares import calls
from socksify.patches.adapters.pycares.calls import Call, Refusal
from socksify.routing.sockaddr import numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# With this flag pycares fails for a literal address, because there is no alias for its canonical name.
_ARES_AI_CANONNAME = 1


def patch(pycares: ModuleType, journal: Journal) -> None:
    """Wrap the methods of Channel that ask name servers. This also covers the channels that exist already."""
    for name, answer in _METHODS.items():
        # pycares 5 has no gethostbyname().
        if name in vars(pycares.Channel):
            wrap(journal, pycares.Channel, name, _answering(pycares, answer))
    wrap(journal, pycares.errno, "strerror", _strerror)
    calls.gate_library(pycares, journal)


def _answering(pycares: ModuleType, answer: Callable[[Call], None]) -> Callable[..., None]:
    def wrapper(wrapped: Callable[..., None], channel: Any, args: Any, kwargs: Any) -> None:
        try:
            given = signature(wrapped).bind(*args, **kwargs)
        except TypeError:
            return wrapped(*args, **kwargs)
        given.apply_defaults()
        # A closed channel raises its own error.
        if not callable(given.arguments["callback"]) or channel._channel is None:
            return wrapped(*args, **kwargs)
        return answer(Call(pycares, channel, wrapped, given.arguments))

    return wrapper


def _getaddrinfo(call: Call) -> None:
    name = call.name("host")
    try:
        found = scope.current().lookups.forward(name.encode("latin-1"), call.given["port"], call.given["family"])
    except gaierror as error:
        return _fail_as(call, name, error)
    return call.ask() if found is None else _answer_literals(call, found[-1])


def _answer_literals(call: Call, literals: tuple[str, ...]) -> None:
    """Answer with these addresses, if they have the family in question.

    c-ares makes the result from each address at once, without a question to a name server.
    """
    answers: list[tuple[Any, int | None]] = []
    family, flags = call.given["family"], call.given["flags"] & ~_ARES_AI_CANONNAME
    for literal in literals:
        if family in (AF_INET, AF_INET6) and (":" in literal) != (family == AF_INET6):
            continue
        # c-ares would ask a name server for 127.1, which is an address in the standard library.
        host = literal if ":" in literal else numeric(literal)
        call.call_original(host=host, flags=flags, callback=lambda *answer: answers.append(answer))
    results = [result for result, error in answers if error is None]
    if results:
        results[0].nodes[:] = [node for result in results for node in result.nodes]
        call.answer(results[0])
    else:
        call.fail(answers[0][1] if answers and answers[0][1] is not None else "ARES_ENODATA")


def _gethostbyname(call: Call) -> None:
    name = call.name()
    _answer_addresses(call, call.given["family"], lambda addresses: call.answer_host(name, [], addresses))


def _query(call: Call) -> None:
    pycares, kind, of_class = call.pycares, call.given["query_type"], call.given["query_class"]
    family = {pycares.QUERY_TYPE_A: AF_INET, pycares.QUERY_TYPE_AAAA: AF_INET6}.get(kind)
    if kind not in call.channel.__qtypes__ or of_class not in (None, *call.channel.__qclasses__):
        call.call_original()  # to raise the error of pycares
    elif family is not None and of_class in (None, pycares.QUERY_CLASS_IN):
        _answer_addresses(call, family, call.answer_records)
    else:
        _query_other(call)


def _answer_addresses(call: Call, family: int, answer: Callable[[list[str]], None]) -> None:
    """Answer with the addresses of `name` if they are known without a name server; else let c-ares ask."""

    def translate(result: Any, error: int | None) -> None:
        if error is not None:
            call.fail(error)
        else:
            answer([node.addr[0].decode() for node in result.nodes])

    if _is_known(call.name()):
        call.channel.getaddrinfo(call.given["name"], None, family=family, callback=translate)
    else:
        call.ask()


def _is_known(name: str) -> bool:
    try:
        return scope.current().lookups.forward(name.encode("latin-1")) is not None
    except gaierror:
        # The look-up has failed here, so no name server is needed.
        return True


def _query_other(call: Call) -> None:
    """Answer a query for records other than addresses."""
    name = call.name()
    try:
        is_faked = scope.current().router.is_faked(name)
    except gaierror as error:
        return _fail_as(call, name, error)
    if not is_faked:
        return call.ask()
    why = (
        "the name is left to the proxy, and c-ares asks name servers from sockets of its own; resolve names here"
        f" (dns=local), route the name direct ('{name}=direct'), or use a library that asks by TCP or HTTPS"
    )
    return call.refuse(f"query for {call.record_type()} of {name}", why)


def _gethostbyaddr(call: Call) -> None:
    address = _literal(call.given["addr"])
    if address is None:
        return call.call_original()  # to raise the error of pycares
    host = scope.current().lookups.reverse(address)
    if host is not None:
        return call.answer_host(*host, [address])
    return call.ask() if scope.current().lookups.may_ask(address) else call.fail("ARES_ENOTFOUND")


def _getnameinfo(call: Call) -> None:
    pycares, flags, sockaddr = call.pycares, call.given["flags"], call.given["address"]
    address = _literal(sockaddr[0]) if sockaddr else None
    is_about_service = flags & pycares.ARES_NI_LOOKUPSERVICE and not flags & pycares.ARES_NI_LOOKUPHOST
    if address is None or flags & pycares.ARES_NI_NUMERICHOST or is_about_service:
        return call.call_original()
    host = scope.current().lookups.reverse(address)
    if host is None and scope.current().lookups.may_ask(address):
        return call.ask()
    if host is None and flags & pycares.ARES_NI_NAMEREQD:
        return call.fail("ARES_ENOTFOUND")

    def translate(result: Any, error: int | None) -> None:
        if error is not None:
            return call.fail(error)
        if host is not None:
            result.node = host[0]
        return call.answer(result)

    as_number = (flags | pycares.ARES_NI_NUMERICHOST) & ~pycares.ARES_NI_NAMEREQD
    return call.call_original(flags=as_number, callback=translate)


_METHODS = {
    "getaddrinfo": _getaddrinfo,
    "gethostbyname": _gethostbyname,
    "gethostbyaddr": _gethostbyaddr,
    "getnameinfo": _getnameinfo,
    "query": _query,
    "search": _query,
}


def _strerror(wrapped: Callable[[int], str], _: object, args: Any, kwargs: Any) -> str:
    code = args[0] if args else kwargs.get("code")
    return code.why if isinstance(code, Refusal) else wrapped(*args, **kwargs)


def _fail_as(call: Call, name: str, error: gaierror) -> None:
    """Report the error of a look-up: the name does not exist, or its proxy takes addresses only."""
    if error.errno == EAI_NONAME:
        call.fail("ARES_ENOTFOUND")
    else:
        call.refuse(f"look-up of {name}", str(error.strerror))


def _literal(host: Any) -> str | None:
    """Return an address in its usual form, or None if `host` is no address that pycares accepts."""
    return numeric(host.decode("latin-1") if isinstance(host, bytes) else host) if host else None
