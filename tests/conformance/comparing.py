"""One module run natively and through the proxy, test by test: what only we fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.conformance.limits import limit_of
from tests.conformance.runs import NATIVELY, Outcome, Outcomes, run

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


@dataclass(frozen=True)
class Comparison:
    """A module's tests, by what they came to."""

    module: str
    rounds: tuple[Round, ...]

    @property
    def ran(self) -> set[str]:
        """What natively was not skipped."""
        return {test for test, outcome in self.rounds[0].native.items() if outcome.verdict != "skipped"}

    @property
    def different(self) -> set[str]:
        """What was worse under us in each run than natively in any; skipped is worse than ok."""
        return {test for test in self._tests() if self._is_different(test)}

    @property
    def native(self) -> set[str]:
        """What failed in every run, natively too."""
        return {test for test in self._tests() - self.different if all(each.is_bad for each in self._outcomes(test))}

    @property
    def excepted(self) -> set[str]:
        """What was worse under us in any run, and has an excuse: how often it meets its limit may be a race."""
        return {test for test in self._tests() if limit_of(test) is not None and self._was_worse(test)}

    @property
    def unsteady(self) -> set[str]:
        """What failed in one run and not in another, natively or under us."""
        bad = {test for test in self._tests() if any(each.is_bad for each in self._outcomes(test))}
        return bad - self.different - self.native - self.excepted

    @property
    def only_ours(self) -> set[str]:
        return self.different - self.excepted

    def _is_different(self, test: str) -> bool:
        native = max(each.natively(test).badness for each in self.rounds)
        return min(each.with_us(test).badness for each in self.rounds) > native

    def _was_worse(self, test: str) -> bool:
        return any(each.with_us(test).badness > each.natively(test).badness for each in self.rounds)

    def _outcomes(self, test: str) -> list[Outcome]:
        return [outcome for each in self.rounds for outcome in (each.natively(test), each.with_us(test))]

    def _tests(self) -> set[str]:
        return {test for each in self.rounds for test in (*each.native, *each.ours)}


def compare(module: str, way: Sequence[str]) -> Comparison:
    """Runs the module natively and by `way`, and then, apart, the tests that failed or were worse by `way`."""
    first = Round(run(NATIVELY, module), run(way, module))
    doubtful = sorted(test for test in {*first.native, *first.ours} if _is_doubtful(first, test))
    if not doubtful:
        return Comparison(module, (first,))
    return Comparison(module, (first, Round(run(NATIVELY, module, doubtful), run(way, module, doubtful))))


def _is_doubtful(round_: Round, test: str) -> bool:
    native, ours = round_.natively(test), round_.with_us(test)
    # What hangs everywhere has taken time enough.
    return ours.badness > native.badness or (native.is_bad and not native.verdict == ours.verdict == "hung")
