"""The fake addresses of a sealed process tree, as one of its processes sees them.

The supervisor of the seal has the one table of the tree, so a fake address stands for the same name in every process,
also in code in C. The table drops names that were not used for long, and uses their indices again as late as possible.
Therefore answers of the supervisor are kept for one second only. An index that is used now is the last to be dropped,
and stands for another name only after tens of thousands of new names. The supervisor cannot give that many in a second.

Nothing here needs a lock: a signal handler, or another thread, finds an answer or asks for it once more.
"""

from __future__ import annotations

from errno import ENOSYS
from socket import EAI_FAIL, gaierror

from socksify import _supervision
from socksify._originals import monotonic
from socksify._signal_safety import ours
from socksify.routing.sockaddr import no_such_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Question = TypeVar("Question")
    Answer = TypeVar("Answer")


class SupervisedNames:
    """Asks the supervisor, and keeps its answers for a short time.

    The methods raise gaierror if the supervisor has ended, and OSError if no descriptor is left to ask with.
    """

    # The number of kept answers, and their age in seconds.
    _MEMORY = 4096
    _FRESH = 1.0

    def __init__(self) -> None:
        # Each answer with the time until which it is used.
        self._indices: dict[str, tuple[int, float]] = {}
        self._names: dict[int, tuple[str, float]] = {}

    def networks(self, otherwise: tuple[str, str]) -> tuple[str, str]:
        """Return the networks of the tree, the IPv4 one first, or `otherwise` if the supervisor has ended."""
        try:
            return _supervision.fake_networks()
        except ours(OSError) as error:
            if error.errno != ENOSYS:
                raise
            return otherwise

    def index_of(self, name: str) -> int:
        """Return the index of a name, and tell the supervisor its spelling."""
        known = self._indices.get(name)
        if known is not None and monotonic() < known[1]:
            return known[0]
        index = _asked(_supervision.index_of, _encoded(name))
        self._keep(self._indices, name, index)
        # connect(2) follows.
        self._keep(self._names, index, name)
        return index

    def name_at(self, index: int) -> str | None:
        """Return the name at an index, or None if there is none."""
        known = self._names.get(index)
        if known is not None and monotonic() < known[1]:
            return known[0]
        name = _asked(_supervision.name_of, index).decode("utf-8", "surrogatepass")
        if not name:
            return None
        self._keep(self._names, index, name)
        return name

    def _keep(self, answers: dict[Question, tuple[Answer, float]], question: Question, answer: Answer) -> None:
        if len(answers) >= self._MEMORY:
            answers.clear()
        answers[question] = answer, monotonic() + self._FRESH


def _encoded(name: str) -> bytes:
    """Return the bytes by which the supervisor knows a name. Raises gaierror if they are too many for a name."""
    encoded = name.encode("utf-8", "surrogatepass")
    if len(encoded) > _supervision.LONGEST_NAME:
        raise no_such_name()
    return encoded


def _asked(ask: Callable[[Question], Answer], question: Question) -> Answer:
    try:
        return ask(question)
    except ours(OSError) as error:
        if error.errno != ENOSYS:
            raise
        raise gaierror(EAI_FAIL, "the supervisor of this sealed process has ended, and nothing goes out") from None
