"""The output of `sockd --check` and `sockd --test`: the rules as the server reads them, and the rule that decides."""

from __future__ import annotations

from collections.abc import Iterator

from socksify.config.errors import ConfigError
from socksify.config.ip import parse_ip
from socksify.server.policy.limits import Limits
from socksify.server.policy.policy import Demand, Denied, Permitted
from socksify.server.policy.rules import COMMANDS, NOBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.config import Configuration
    from socksify.server.policy.policy import Policy
    from socksify.server.policy.rules import Routes


def check(configuration: Configuration) -> str:
    """Return the configuration as lines of text, without passwords."""
    policy = configuration.policy
    lines = [f"file: {configuration.path or 'none'}"]
    lines += [f"listen: {', '.join(map(_host_and_port, configuration.listen)) or 'default'}"]
    lines += [f"authentication: {_authentication(policy)}"]
    lines += _limits(policy.limits)
    lines += _routes(policy.routes)
    lines += ["rules, the first match wins:"]
    lines += [f"  {rule.text}{_authenticated(rule.verified)}  ({rule.source})" for rule in (*policy.rules, NOBODY)]
    return "\n".join(lines) + "\n"


def test(configuration: Configuration, client: str, destination: str) -> str:
    """Return lines that tell, for each command, what a client may do with a destination.

    `client` is ADDRESS or USER@ADDRESS, `destination` is HOST:PORT. Names are not looked up. Raises ConfigError if
    `client` or `destination` has another form.
    """
    policy = configuration.policy
    user, at, host = client.rpartition("@")
    name, literal, port = _destination(destination)
    if parse_ip(host) is None or (at and not user):
        raise ConfigError(f"{client!r}: expected the client's ADDRESS, or USER@ADDRESS")
    admission = policy.admit(host)
    if isinstance(admission, Denied):
        return f"may not connect: {admission.why}\n"
    claim = user.encode("utf-8", "surrogateescape")
    lines = []
    for word, command in COMMANDS.items():
        demand = Demand(host, claim if at else None, claim, command, name, literal, port)
        lines += [f"{word}: {_verdict(policy, demand)}"]
    return "\n".join(lines) + "\n"


def permits(text: str) -> bool:
    """Return True if `text`, a result of `test`, says that any command is permitted or may be permitted."""
    return any(line.partition(": ")[2].startswith(("permitted", "depends")) for line in text.splitlines())


def _verdict(policy: Policy, demand: Demand) -> str:
    verdict = policy.decide(demand)
    rule, to = policy.explain(demand)
    if verdict is None or rule is None:
        return "depends on the addresses of the name"
    if isinstance(verdict, Denied) and (rule is NOBODY or rule.permit):
        return f"denied: {verdict.why}"
    deciding = f"{rule.text} ({rule.source})"
    if isinstance(verdict, Denied):
        return f"denied: {deciding}"
    is_resolved_here = to.address is None and not verdict.chain
    return f"permitted{', unless its addresses are denied' if is_resolved_here else _path(verdict)}: {deciding}"


def _path(verdict: Permitted) -> str:
    if verdict.chain:
        return f", through {', '.join(hop.url for hop in verdict.chain)}"
    return f", from {verdict.source}" if verdict.source else ""


def _destination(text: str) -> tuple[str | None, str | None, int]:
    """Return name, literal and port. Either the name or the literal is None."""
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host != bare
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535) or not bare or (":" in bare) != bracketed:
        raise ConfigError(f"{text!r}: expected HOST:PORT, an IPv6 address in brackets")
    if parse_ip(bare) is not None:
        return None, bare, int(port)
    return bare, None, int(port)


def _authentication(policy: Policy) -> str:
    if policy.users is None:
        return "nobody is asked"
    return "required" if all(rule.verified for rule in policy.rules if rule.permit) else "required by some rules"


def _authenticated(verified: bool) -> str:
    return " (authenticated)" if verified else ""


def _limits(limits: Limits) -> Iterator[str]:
    """Yield a line for each limit that differs from the default."""
    for name in Limits._fields:
        value = getattr(limits, name)
        if value != getattr(Limits, name):
            yield f"limit: {name} = {value or 'none'}"


def _routes(routes: Routes) -> Iterator[str]:
    if routes.upstream is not None:
        for rule in routes.upstream.rules:
            yield f"route: {rule.text}  ({rule.source})"
        if routes.upstream.proxy:
            yield f"route: *={','.join(hop.url for hop in routes.upstream.proxy)}  (proxy)"
    for source in routes.sources:
        yield f"source: {source.text}={source.literal}  ({source.where})"


def _host_and_port(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
