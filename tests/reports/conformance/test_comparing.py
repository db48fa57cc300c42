from __future__ import annotations

import pytest

from tests.reports.conformance import comparing
from tests.reports.conformance.comparing import Comparison, Round
from tests.reports.conformance.runs import NATIVELY, Outcome, Outcomes

# Natively and under us, then once more and once more; what it comes to.
CASES = {
    "ok": ("ok ok", ""),
    "skipped in both": ("skipped skipped", ""),
    "ok only under us": ("skipped ok", ""),
    "failed in both": ("failed failed", "native"),
    "hung natively": ("hung failed", "native"),
    "ok only under us, failed natively": ("failed ok", "native"),
    "failed under us": ("ok failed ok failed", "only_ours"),
    "failed under us twice": ("ok failed ok ok ok failed", "only_ours"),
    "skipped under us": ("ok skipped ok skipped", "only_ours"),
    "threads left under us": ("ok altered ok altered", "only_ours"),
    "not run under us": ("ok - ok -", "only_ours"),
    "setUpClass() failed under us": ("- failed - failed", "only_ours"),
    "worse under us": ("altered failed altered failed", "only_ours"),
    "failed under us once": ("ok failed ok ok ok ok", "unsteady"),
    "failed natively afterwards": ("ok failed failed failed ok failed", "unsteady"),
}


def rounds(name: str, verdicts: str) -> tuple[Round, ...]:
    outcomes: list[Outcomes] = [{} if each == "-" else {name: Outcome(each)} for each in verdicts.split()]
    return tuple(Round(*outcomes[at : at + 2]) for at in range(0, len(outcomes), 2))


@pytest.mark.parametrize("case", CASES)
def test_what_a_test_comes_to(case: str) -> None:
    verdicts, expected = CASES[case]
    found = Comparison("test_x", rounds("test.test_x.X.test_x", verdicts))
    said = [name for name in ("native", "unsteady", "excepted", "only_ours") if getattr(found, name)]
    assert said == ([expected] if expected else [])


def test_what_socks_cannot_is_excepted() -> None:
    found = Comparison("test_epoll", rounds("test.test_epoll.TestEPoll.test_fromfd", "ok failed"))
    assert len(found.excepted) == 1
    assert not found.only_ours | found.unsteady | found.native


def test_the_doubtful_are_run_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    native = {"fine": Outcome("ok"), "bad": Outcome("failed"), "better": Outcome("skipped"), "worse": Outcome("ok")}
    ours = {"fine": Outcome("ok"), "bad": Outcome("failed"), "better": Outcome("ok"), "worse": Outcome("failed")}
    asked = []

    def run(way: tuple[str, ...], module: str, tests: list[str] | tuple[str, ...] = ()) -> Outcomes:
        asked.append((way == NATIVELY, module, list(tests)))
        return native if way == NATIVELY else ours

    monkeypatch.setattr(comparing, "run", run)
    found = comparing.compare("test_x", ["ours"])
    assert asked[:2] == [(True, "test_x", []), (False, "test_x", [])]
    assert asked[2:] == [(True, "test_x", ["worse"]), (False, "test_x", ["worse"])] * comparing.AGAIN
    assert (found.native, found.only_ours) == ({"bad"}, {"worse"})
    assert found.ran == {"fine", "bad", "worse"}
