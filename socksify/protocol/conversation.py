"""One conversation: feeds a script the bytes it asks for, and tells a driver what to do next.

A script is a generator whose program counter is the protocol's state. It yields

    int n     n bytes are needed; it is sent exactly these,
    Early     as an int, but it is sent fewer if nothing more comes and these are enough (a refusal's code),
    bytes     these are to be written; it is sent b"" when they were,
    Secret    the same, of which no variable of a frame shows anything,
    Head      a header is needed, up to and including its empty line; it is sent exactly that,

and returns its result. Nothing is ever read beyond what the script asked for: what follows the last message
belongs to the client program (an SSH server's banner may arrive in the segment of the proxy's reply). Only a
header has no length known beforehand; it is looked at with MSG_PEEK, and exactly what belongs to it is read.
"""

from __future__ import annotations

from socksify.protocol.credentials import Secret
from socksify.protocol.errors import Closed, garbled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, NoReturn, TypeAlias, TypeVar

    Result = TypeVar("Result")
    Script: TypeAlias = Generator["int | bytes | Secret | Head", bytes, Result]
    # Whether what has come so far will do.
    Enough = Callable[[bytes], object]

LONGEST_HEAD = 64 * 1024


class Early(int):
    """What a script yields for `count` bytes of which fewer may do: `enough` says so of a beginning."""

    enough: Enough

    def __new__(cls, count: int, enough: Enough) -> Early:
        early = super().__new__(cls, count)
        early.enough = enough
        return early


class Head:
    """What a script yields to get a header; `start` is how it must begin, and `enough` as for Early.

    A mail or SSH server speaks first and then waits for us: its banner must not be taken for half a header.
    """

    __slots__ = ("enough", "start")

    def __init__(self, start: bytes, enough: Enough | None = None) -> None:
        self.start = start
        self.enough = enough or _never


class Conversation:
    """A running script. Write `outgoing` first, then read `needs` bytes or peek if `peeking`, until `over`.

    outgoing  what must be written before anything is read; report with `sent`
    needs     how many more bytes to read now; hand over with `receive`
    peeking   a header is awaited: peek, hand over with `peeked`, and read as many bytes as it says; where there is
              nothing to read now, and when the connection breaks, say `nothing_more` first
    over      the script has returned `result`
    heard     whether the peer has said anything

    The script runs up to its first need at once, so its errors may come from here too, as well as from `sent`,
    `receive`, `peeked` and `end`. After an error there is nothing left to do.
    """

    __slots__ = ("_answer", "_held", "_script", "_want", "heard", "needs", "outgoing", "over", "peeking", "result")

    def __init__(self, script: Script[Any]) -> None:
        self._script = script
        self._answer = script.send
        self._held = bytearray()
        self.outgoing: bytes = b""
        self.needs: int = 0
        self.peeking = False
        self.over = False
        self.heard = False
        self.result: Any = None
        self._want: int | bytes | Head = 0
        self._advance(None)  # type: ignore[arg-type] # which starts a generator

    def sent(self, count: int) -> None:
        """The first `count` bytes of `outgoing` were written."""
        self.outgoing = self.outgoing[count:]
        if not self.outgoing:
            self._advance(b"")

    def receive(self, data: bytes) -> None:
        """`data` was read: at least one byte, at most `needs`."""
        self.heard = True
        missing = self.needs - len(data)
        if not missing and data and not self._held:  # the usual case
            self._advance(data)
        elif missing < 0 or not data:
            raise ValueError(f"{len(data)} bytes received where {self.needs} are needed")
        else:
            self.needs = missing
            self._held += data
            if not missing:
                self._advance(self._taken())

    def peeked(self, data: bytes) -> int:
        """`data` was peeked; the answer is how many of its bytes are to be read off (they need no handing over).

        Without the empty line that is all of it, so that peeking again shows something new.
        """
        self.heard = True
        known = len(self._held)
        self._held += data[: LONGEST_HEAD - known]
        self._check_start()
        end = _head_end(self._held, known)
        if end:
            del self._held[end:]
            self._advance(self._taken())
            return end - known
        if len(self._held) == LONGEST_HEAD:
            raise garbled("an empty line within 64 KiB", self._first_line())
        return len(data)

    def nothing_more(self) -> bool:
        """Nothing more comes for now. Goes on where what has come is enough; whether it did."""
        want = self._want
        if not isinstance(want, Early | Head) or not want.enough(bytes(self._held)):
            return False
        self._advance(self._taken())
        return True

    def end(self) -> NoReturn:
        """The peer closed. Raises Closed, saying what was awaited and how much of it had come.

        Raises the script's own error where what has come is enough for that.
        """
        self.nothing_more()
        what = f"closed {self._progress()}"
        # A script may say more about it (`awaiting` does), but not carry on without its peer. No variable here has the
        # error, whose traceback has this frame.
        self._script.throw(Closed(what))
        raise Closed(what)

    def _advance(self, answer: bytes) -> None:
        self.outgoing = b""
        self.needs = 0
        self.peeking = False
        try:
            want = self._answer(answer)
            while not want:
                want = self._answer(b"")
        except StopIteration as stop:
            self.over = True
            self._want = 0
            self.result = stop.value
            return
        self._want = want if not isinstance(want, Secret) else b""
        if isinstance(want, int):
            self.needs = want
        elif isinstance(want, bytes):
            self.outgoing = want
        elif isinstance(want, Secret):
            self.outgoing = want.value
        else:
            self.peeking = True

    def _taken(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def _check_start(self) -> None:
        want = self._want
        assert isinstance(want, Head)
        start = want.start
        if not self._held.startswith(start[: len(self._held)]):
            raise garbled(f"a header that starts {start!r}", self._first_line())

    def _first_line(self) -> bytearray:
        """All of the head that is quoted: a server that echoes has our credentials in the lines behind it."""
        return self._held.partition(b"\n")[0]

    def _progress(self) -> str:
        if self.outgoing:
            return f"with {len(self.outgoing)} bytes still to be written"
        if self.peeking:
            return f"after {len(self._held)} bytes of the header"
        return f"after {len(self._held)} of {len(self._held) + self.needs} bytes"


def awaiting(what: str, script: Script[Result]) -> Script[Result]:
    """Run `script`; if the peer closes meanwhile, the error says that `what` was awaited."""
    try:
        return (yield from script)
    except Closed as closed:
        raise Closed(f"awaiting {what}: {closed}") from None


def as_far_as_it_comes(script: Script[Result]) -> Script[Result | None]:
    """Run `script`, which only reads; None if what it wants does not come at once."""
    try:
        want = script.send(None)  # type: ignore[arg-type] # which starts a generator
        while True:
            assert isinstance(want, int)
            answer = yield Early(want, _always)
            if len(answer) < want:
                return None
            want = script.send(answer)
    except StopIteration as stop:
        result: Result = stop.value
        return result


def _always(_: bytes) -> bool:
    return True


def _never(_: bytes) -> bool:
    return False


def _head_end(head: bytearray, known: int) -> int:
    """Where the header ends, behind its empty line; 0 when that has not come. `known` bytes were searched before."""
    # RFC 9112 section 2.2: "a recipient MAY recognize a single LF as a line terminator".
    start = max(0, known - 2)
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := head.find(mark, start)) >= 0]
    return min(ends, default=0)
