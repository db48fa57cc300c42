"""Authorization: the rules are asked whether a target may be reached, and at which of its addresses.

A rule may be about names or about addresses, so the rules are asked twice: about the name as the client gave it, and
about each address that the name resolves to. So a client cannot evade a rule on addresses by a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from socksify.config.ip import unmapped
from socksify.protocol.address import NAME
from socksify.protocol.socks5 import HOST_UNREACHABLE, NOT_ALLOWED
from socksify.server.net.dialer import takes_names
from socksify.server.net.resolver import Candidate, candidate_of
from socksify.server.policy.policy import Denied, Permitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.protocol.address import Address
    from socksify.server.session.stage import SessionContext


class Refusal(NamedTuple):
    """The arguments of `SessionContext.refuse`."""

    code: int
    outcome: str
    detail: str


class Authorization(NamedTuple):
    """The answer of the rules. Exactly one of the three fields is set.

    `permitted` are the addresses that may be used, in the order of preference. `by_name` is set if the last proxy of
    the chain is to resolve the name.
    """

    permitted: dict[Candidate, Permitted]
    by_name: Permitted | None = None
    refusal: Refusal | None = None


# Called once with the answer: at once for a literal, after a look-up for a name.
Decided = Callable[[Authorization], object]


def authorize(
    context: SessionContext, command: int, target: Address, decided: Decided, may_stay_name: bool = False
) -> None:
    """Ask the rules about `target`, which is normalized, and call `decided` with the answer.

    `may_stay_name` is True if the caller can pass the name on to a proxy that resolves names. The answer may come after
    the stage was closed.
    """
    if target.type != NAME:
        decided(_judge(context, command, None, [candidate_of(target)]))
        return
    name = target.host
    verdict = context.verdict(command, name, None, target.port)
    if isinstance(verdict, Denied):
        decided(_refused(verdict.why))
    elif may_stay_name and isinstance(verdict, Permitted) and takes_names(verdict.chain):
        decided(Authorization({}, by_name=verdict))
    else:
        policy = context.policy
        context.resolver.resolve(
            target,
            lambda candidates: decided(_judge(context, command, name, candidates)),
            policy.limits.connect_seconds,
            context.host,
            policy.judges_names,
        )


def _judge(context: SessionContext, command: int, name: str | None, candidates: list[Candidate]) -> Authorization:
    """Ask the rules about each address; `name` is the name that was resolved, None for a literal."""
    if not candidates:
        return Authorization({}, refusal=Refusal(HOST_UNREACHABLE, "failed", "unknown host"))
    permitted: dict[Candidate, Permitted] = {}
    why = "no rule decides"
    for candidate in candidates:
        host, port = candidate[1][:2]
        verdict = context.verdict(command, name, unmapped(host), port)
        if isinstance(verdict, Permitted):
            permitted[candidate] = verdict
        elif verdict is not None:
            why = verdict.why
    return Authorization(permitted) if permitted else _refused(why)


def _refused(why: str) -> Authorization:
    return Authorization({}, refusal=Refusal(NOT_ALLOWED, "denied", why))
