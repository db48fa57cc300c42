"""One module run natively and through the proxy, test by test: what only we fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.reports.conformance.limits import limit_of
from tests.reports.conformance.runs import NATIVELY, Outcome, Outcomes, run

# How often what was worse under us is run again, both ways: a machine that is busy fails a test once.
AGAIN = 3
# setUpClass() and setUpModule() are told of when they are not good alone, tests when they come to be run.
_UNTOLD, _NOT_RUN = Outcome("ok"), Outcome("hung", "natively it ran, here it did not")


@dataclass(frozen=True)
class Round:
    """One run each way, by test id."""

    native: Outcomes
    ours: Outcomes

    def natively(self, test: str) -> Outcome:
        return self.native.get(test, _UNTOLD)

    def with_us(self, test: str) -> Outcome:
        ran = test in self.native and self.native[test].verdict != "skipped"
        return self.ours.get(test, _NOT_RUN if ran else _UNTOLD)

    @property
    def worse(self) -> set[str]:
        """What was worse under us than natively; skipped is worse than ok."""
        return {test for test in {*self.native, *self.ours} if self.with_us(test).badness > self.natively(test).badness}


@dataclass(frozen=True)
class Comparison:
    """A module's tests, by what they came to; `rounds` are the first, and those of what was doubtful in it."""

    module: str
    rounds: tuple[Round, ...]

    @property
    def ran(self) -> set[str]:
        """What natively was not skipped."""
        return {test for test, outcome in self.rounds[0].native.items() if outcome.verdict != "skipped"}

    @property
    def native(self) -> set[str]:
        """What natively failed, too."""
        first = self.rounds[0]
        return {test for test, outcome in first.native.items() if outcome.is_bad} - first.worse

    @property
    def excepted(self) -> set[str]:
        """What was worse, and has an excuse."""
        return self.rounds[0].worse - doubtful(self.rounds[0])

    @property
    def only_ours(self) -> set[str]:
        """What was worse under us more than once than it ever was natively."""
        return {test for test in doubtful(self.rounds[0]) if self._times_worse(test) > 1}

    @property
    def unsteady(self) -> set[str]:
        """What was worse once."""
        return doubtful(self.rounds[0]) - self.only_ours

    def _times_worse(self, test: str) -> int:
        natively = max(each.natively(test).badness for each in self.rounds)
        return sum(each.with_us(test).badness > natively for each in self.rounds)


def doubtful(round_: Round) -> set[str]:
    """What was worse without an excuse."""
    return {test for test in round_.worse if limit_of(test) is None}


def compare(module: str, way: Sequence[str]) -> Comparison:
    """Runs the module natively and by `way`, and then, alone, what was worse by `way` a few times more."""
    first = Round(run(NATIVELY, module), run(way, module))
    again = sorted(doubtful(first))
    rounds = [Round(run(NATIVELY, module, again), run(way, module, again)) for _ in range(AGAIN if again else 0)]
    return Comparison(module, (first, *rounds))
