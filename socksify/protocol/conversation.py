"""One conversation: gives a script the bytes that it asks for, and tells a driver what to do next.

A script is a generator. Its position in the code is the state of the protocol. It yields

    int n     to get exactly n bytes,
    Early     to get n bytes, or fewer if nothing more comes and these are enough (the code of a refusal),
    bytes     to have these bytes written; it then gets b"",
    Secret    the same for bytes that must not be shown,
    Head      to get a header up to and including its empty line,

and returns its result. Nothing is read beyond the bytes that the script asks for, because the bytes behind the last
message belong to the client program (the banner of an SSH server may arrive in the segment of the proxy's reply). Only
the length of a header is not known beforehand. A header is peeked at with MSG_PEEK, and then read up to its end.
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
    # Tells whether the bytes that have come so far are enough.
    Enough = Callable[[bytes], object]

LONGEST_HEAD = 64 * 1024


class Early(int):
    """A script yields this to get `count` bytes, or fewer. `enough` tells if the bytes so far suffice."""

    def __new__(cls, count: int, _: Enough) -> Early:
        return super().__new__(cls, count)

    def __init__(self, _: int, enough: Enough) -> None:
        self.enough = enough


class Head:
    """A script yields this to get a header. The header must begin with `start`. `enough` is the same as for Early.

    A mail or SSH server sends first and then waits for the client. Its banner must not be taken for half a header.
    """

    __slots__ = ("enough", "start")

    def __init__(self, start: bytes, enough: Enough | None = None) -> None:
        self.start = start
        self.enough = enough or _never


class Conversation:
    """A running script. Write `outgoing` first, then read `needs` bytes or peek if `peeking`, until `over`.

    outgoing  the bytes to write before anything is read; call `sent` when some were written
    needs     the number of bytes to read now; pass them to `receive`
    peeking   a header is awaited: peek, pass the bytes to `peeked`, and read as many as it returns. If there is nothing
              to read now, and when the connection breaks, call `nothing_more` first
    over      the script has returned `result`
    heard     whether the peer has sent anything

    The script runs to its first `yield` at once. Its errors are raised by the constructor, `sent`, `receive`, `peeked`
    and `end`. After an error the conversation is over.
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
        self._advance(None)  # type: ignore[arg-type] # None starts a generator

    def sent(self, count: int) -> None:
        """Report that the first `count` bytes of `outgoing` were written."""
        self.outgoing = self.outgoing[count:]
        if not self.outgoing:
            self._advance(b"")

    def receive(self, data: bytes) -> None:
        """Take bytes that were read: at least one, at most `needs`. Raises ValueError for any other number."""
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
        """Take bytes that were peeked. Return the number of these bytes that the caller must read and discard.

        If the bytes do not contain the empty line, the caller must read all of them, so that the next peek shows new
        bytes.
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
        """Report that nothing more comes for now. Return True if the bytes so far are enough; the script continues."""
        want = self._want
        if not isinstance(want, Early | Head) or not want.enough(bytes(self._held)):
            return False
        self._advance(self._taken())
        return True

    def end(self) -> NoReturn:
        """Report that the peer has closed. Raises Closed, which says what was awaited and how much had come.

        Raises the script's own error instead if the bytes so far are enough for that.
        """
        self.nothing_more()
        what = f"closed {self._progress()}"
        # A script may replace the error by a more detailed error, but it cannot continue. No variable here holds the
        # error, because its traceback refers to this frame, which would make a reference cycle.
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
        """Return the part of the head that may be quoted. If a server echoes, later lines have our credentials."""
        return self._held.partition(b"\n")[0]

    def _progress(self) -> str:
        if self.outgoing:
            return f"with {len(self.outgoing)} bytes still to be written"
        if self.peeking:
            return f"after {len(self._held)} bytes of the header"
        return f"after {len(self._held)} of {len(self._held) + self.needs} bytes"


def available(script: Script[Result]) -> Script[Result | None]:
    """Run a script that only reads. Return its result, or None if its bytes do not come at once."""
    try:
        want = script.send(None)  # type: ignore[arg-type] # None starts a generator
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
    """Return the end of the header, after its empty line; 0 if there is none. `known` bytes were searched before."""
    # RFC 9112 section 2.2: "a recipient MAY recognize a single LF as a line terminator".
    start = max(0, known - 2)
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := head.find(mark, start)) >= 0]
    return min(ends, default=0)
