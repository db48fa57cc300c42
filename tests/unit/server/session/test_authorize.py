"""The rules are asked about a name and about each of its addresses; the answer says which of them may be used."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from socksify.config import proxy_url
from socksify.protocol.address import Address
from socksify.protocol.socks5 import CONNECT, HOST_UNREACHABLE, NOT_ALLOWED
from socksify.server.net.resolver import Candidate
from socksify.server.policy.policy import Denied, Permitted, Policy
from socksify.server.session.authorize import Authorization, Refusal, authorize

if TYPE_CHECKING:
    from socksify.server.session.stage import SessionContext

Verdict = Permitted | Denied | None
DIRECT = Permitted("direct")
CHAINED = Permitted("chained", chain=(proxy_url.parse("socks5h://192.0.2.9", "test"),))
FIRST: Candidate = (socket.AF_INET, ("192.0.2.1", 80))
SECOND: Candidate = (socket.AF_INET6, ("2001:db8::1", 80, 0, 0))


class Context:
    """A session whose resolver knows one name, and whose rules are a table of names and addresses."""

    def __init__(self, verdicts: dict[str, Verdict], candidates: list[Candidate]) -> None:
        self.policy = Policy()
        self.host = "192.0.2.7"
        self.resolver = SimpleNamespace(resolve=self._resolve)
        self.asked: list[tuple[str | None, str | None]] = []
        self._verdicts = verdicts
        self._candidates = candidates

    def verdict(self, _command: int, name: str | None, address: str | None, _port: int) -> Verdict:
        self.asked.append((name, address))
        return self._verdicts.get(address or name or "")

    def _resolve(self, _target: Address, answer: Callable[[list[Candidate]], object], *_: object) -> None:
        answer(self._candidates)


def answer_of(context: Context, host: str, may_stay_name: bool = False) -> Authorization:
    answers: list[Authorization] = []
    authorize(cast("SessionContext", context), CONNECT, Address.of(host, 80), answers.append, may_stay_name)
    [answer] = answers
    return answer


def test_a_literal_is_asked_about_once() -> None:
    context = Context({"192.0.2.1": DIRECT}, [])
    assert answer_of(context, "192.0.2.1") == Authorization({FIRST: DIRECT})
    assert context.asked == [(None, "192.0.2.1")]


def test_permitted_addresses_keep_their_order() -> None:
    context = Context({"2001:db8::1": CHAINED, "192.0.2.1": DIRECT}, [SECOND, FIRST])
    permitted = answer_of(context, "name.example").permitted
    assert list(permitted.items()) == [(SECOND, CHAINED), (FIRST, DIRECT)]
    assert context.asked == [("name.example", None), ("name.example", "2001:db8::1"), ("name.example", "192.0.2.1")]


@pytest.mark.parametrize(
    ("verdicts", "candidates", "refusal"),
    [
        ({"name.example": Denied("rule 1")}, [FIRST], Refusal(NOT_ALLOWED, "denied", "rule 1")),
        ({}, [], Refusal(HOST_UNREACHABLE, "failed", "unknown host")),
        ({}, [FIRST], Refusal(NOT_ALLOWED, "denied", "no rule decides")),
        (
            {"192.0.2.1": Denied("rule 2"), "2001:db8::1": Denied("rule 3")},
            [FIRST, SECOND],
            Refusal(NOT_ALLOWED, "denied", "rule 3"),
        ),
    ],
)
def test_refusals(verdicts: dict[str, Verdict], candidates: list[Candidate], refusal: Refusal) -> None:
    assert answer_of(Context(verdicts, candidates), "name.example") == Authorization({}, refusal=refusal)


def test_a_proxy_may_resolve_the_name_if_the_caller_can_pass_it_on() -> None:
    context = Context({"name.example": CHAINED, "192.0.2.1": DIRECT}, [FIRST])
    assert answer_of(context, "name.example", may_stay_name=True) == Authorization({}, by_name=CHAINED)
    assert answer_of(context, "name.example") == Authorization({FIRST: DIRECT})
