"""Lines of the log are written, wait, or are lost and counted."""

from __future__ import annotations

import json

import pytest

from socksify.server.core.loop import Loop
from socksify.server.operation import log as module
from socksify.server.operation.log import Log
from socksify.server.session.report import Report

REPORT = Report(7, "127.0.0.1:4000", "alice", "connect", "example.com:80", "", "done", "", 3, 5, 0.25)


class Sink:
    """A sink that takes `room` bytes, and then raises BlockingIOError."""

    most_at_once = 64

    def __init__(self) -> None:
        self.writes = 0
        self.written = b""
        self.room = 1 << 20
        self.severities: list[int] = []
        self.times: list[float] = []
        self.closed = False

    def frame(self, when: float, severity: int, text: str, stamped: bool) -> bytes:
        self.severities.append(severity)
        self.times.append(when)
        return f"{'' if stamped else '> '}{text}\n".encode()

    def write(self, line: bytes) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        self.writes += 1
        taken = line[: self.room]
        self.written += taken
        self.room -= len(taken)
        return len(taken)

    def close(self) -> None:
        self.closed = True

    @property
    def lines(self) -> list[str]:
        return self.written.decode().splitlines()


@pytest.fixture
def loop(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    return loop


def turn(loop: Loop, seconds: float) -> None:
    loop.after(seconds, loop.stop)
    loop.run()


def test_a_session_is_a_line(loop: Loop) -> None:
    sink = Sink()
    Log(loop, sink, "text").session(REPORT)
    assert not sink.lines
    turn(loop, 0.05)
    [line] = sink.lines
    assert line == "> alice@127.0.0.1:4000 connect example.com:80: done, 3 bytes up, 5 down, 0.250 s"


def test_a_session_is_told_with_the_time_of_its_end(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", iter([1e9, 2e9]).__next__)
    sink = Sink()
    log = Log(loop, sink, "text")
    log.session(REPORT)
    log.session(REPORT)
    turn(loop, 0.05)
    assert sink.times == [1e9, 2e9]


def test_a_session_is_an_object(loop: Loop) -> None:
    sink = Sink()
    Log(loop, sink, "json").session(REPORT)
    turn(loop, 0.05)
    told = json.loads(sink.written)
    assert told.pop("time").endswith("Z")
    assert told.pop("pid") > 0
    assert told.pop("event") == "session"
    assert told == {name: getattr(REPORT, name) for name in Report._fields}


def test_notices_weigh_more(loop: Loop) -> None:
    sink = Sink()
    log = Log(loop, sink, "text")
    log.session(REPORT)
    log.notice("look")
    assert sink.severities == [6, 4]
    assert sink.lines[1] == "> look"


def test_a_notice_is_an_object_too(loop: Loop) -> None:
    sink = Sink()
    Log(loop, sink, "json").notice('a "quoted" one')
    told = json.loads(sink.written)
    assert (told["event"], told["message"]) == ("notice", 'a "quoted" one')


def test_lines_of_sessions_are_written_together_as_far_as_they_stay_whole(loop: Loop) -> None:
    sink = Sink()
    sink.most_at_once = 250
    log = Log(loop, sink, "text")
    for _ in range(5):
        log.session(REPORT)
    turn(loop, 0.05)
    assert len(sink.lines) == 5
    assert sink.writes == 2


def test_closing_leaves_no_session_out(loop: Loop) -> None:
    sink = Sink()
    log = Log(loop, sink, "text")
    log.session(REPORT)
    log.close()
    assert len(sink.lines) == 1


def test_what_could_not_be_written_is_written_later_and_in_order(loop: Loop) -> None:
    sink = Sink()
    log = Log(loop, sink, "text")
    sink.room = 4
    log.notice("first")
    log.notice("second")
    assert sink.written == b"> fi"
    sink.room = 1 << 20
    turn(loop, 0.05)
    assert sink.lines == ["> first", "> second"]
    assert log.lost == 0


def test_a_log_that_stays_full_neither_grows_nor_hides_what_was_lost(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    sink = Sink()
    log = Log(loop, sink, "text")
    sink.room = 0
    for number in range(10):
        log.notice(str(number))
    assert log.lost == 7
    sink.room = 1 << 20
    turn(loop, 0.05)
    assert sink.lines == ["> 0", "> 1", "> 2", "> 7 lines of this log were lost"]
    log.notice("on")
    assert sink.lines[-1] == "> on"


def test_closing_writes_what_can_be_written(loop: Loop) -> None:
    sink = Sink()
    log = Log(loop, sink, "text")
    sink.room = 0
    log.notice("late")
    sink.room = 1 << 20
    log.close()
    assert sink.lines == ["> late"]
    assert sink.closed


def test_in_a_child_nothing_is_written_twice(loop: Loop) -> None:
    sink = Sink()
    log = Log(loop, sink, "json")
    sink.room = 0
    log.notice("the parent's")
    child = log.for_child(loop)
    sink.room = 1 << 20
    child.notice("the child's")
    assert [json.loads(line)["message"] for line in sink.lines] == ["the child's"]
