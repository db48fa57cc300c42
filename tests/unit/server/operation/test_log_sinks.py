"""The sinks: stderr of every kind, and a syslog."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

import pytest

from socksify.server.operation import log
from socksify.server.operation.log import DescriptorSink, SyslogSink, open_sink, timestamp


def test_a_file_gets_lines_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open(path, "wb", buffering=0) as file:
        file.write(b"before\n")
        sink = DescriptorSink(file.fileno())
        line = sink.frame(time.time(), 6, "hello", False)
        assert sink.write(line) == len(line)
        file.write(b"after\n")
        sink.close()
        file.write(b"still open\n")
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z sockd\[{os.getpid()}\]: hello", lines[1])
    assert lines[2:] == ["after", "still open"]


def test_what_has_its_own_time_gets_none() -> None:
    sink = DescriptorSink(2)
    assert sink.frame(time.time(), 6, "{}", True) == b"{}\n"
    sink.close()


@pytest.fixture(params=["ours", "another user's"])
def openable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe of another user cannot be opened again. Such a pipe is stderr in a container without root."""
    if request.param != "ours":
        monkeypatch.setattr(log, "_reopened", lambda _: None)


@pytest.mark.usefixtures("openable")
def test_a_pipe_that_nobody_reads_does_not_hold_us_up_and_stays_as_it_was() -> None:
    reader, writer = os.pipe()
    sink = DescriptorSink(writer)
    written = 0
    with pytest.raises(BlockingIOError):
        for _ in range(1_000):
            written += sink.write(b"x" * 4000)
    assert os.get_blocking(writer)
    assert os.read(reader, 1 << 20) == b"x" * written
    assert sink.write(b"again\n") == 6
    assert os.read(reader, 1 << 20) == b"again\n"
    sink.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.usefixtures("openable")
def test_a_pipe_without_a_reader_is_an_error() -> None:
    reader, writer = os.pipe()
    sink = DescriptorSink(writer)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        sink.write(b"x\n")
    sink.close()
    os.close(writer)


def test_a_stream_that_nobody_reads_does_not_hold_us_up_and_stays_as_it_was() -> None:
    """systemd's journal gives a service a Unix socket as stderr."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = DescriptorSink(ours.fileno())
        with pytest.raises(BlockingIOError):
            for _ in range(1_000):
                sink.write(b"x" * 4000)
        assert os.get_blocking(ours.fileno())
        sink.close()


def test_a_full_disk_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        sink = DescriptorSink(full.fileno())
        with pytest.raises(OSError, match="No space left"):
            sink.write(b"x\n")
        sink.close()


def test_a_syslog_gets_a_datagram_a_line(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        sink = open_sink(f"syslog:{path}")
        for severity in (6, 4):
            line = sink.frame(time.time(), severity, "hello", False)
            assert sink.write(line) == len(line)
        lines = [daemon.recv(1024).decode() for _ in range(2)]
        sink.close()
    # RFC 3164 section 4.1.2: "Mmm dd hh:mm:ss".
    assert re.fullmatch(rf"<30>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d sockd\[{os.getpid()}\]: hello", lines[0])
    assert lines[1].startswith("<28>")


def test_a_syslog_may_be_away_and_come_back(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    sink = SyslogSink(path)
    with pytest.raises(FileNotFoundError):
        sink.write(b"x")
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(path)
            sink.write(b"here")
            assert daemon.recv(16) == b"here"
        with pytest.raises(ConnectionRefusedError):
            sink.write(b"x")
        os.unlink(path)
    sink.close()


def test_a_syslog_that_has_stopped_does_not_hold_us_up(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        sink = SyslogSink(path)
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                sink.write(b"x" * 100)
        sink.close()


def test_nothing_that_is_not_text_breaks_a_line() -> None:
    sink = DescriptorSink(2)
    assert b"\\udcff" in sink.frame(time.time(), 6, "\udcff", False)
    sink.close()


def test_the_time_is_in_utc_with_milliseconds() -> None:
    assert timestamp(1e9 + 0.25) == "2001-09-09T01:46:40.250Z"
