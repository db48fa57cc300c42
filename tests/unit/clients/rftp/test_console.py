"""The progress line of a transfer."""

from __future__ import annotations

import pytest

from socksify.clients.rftp import console


@pytest.mark.parametrize(
    ("done", "total", "moved", "seconds", "told"),
    [
        (0, 1000, 0, 0.0, "a  0%  0 B of 1000 B  0 B/s"),
        (512, 1024, 512, 1.0, "a  50%  512 B of 1.0 KiB  512 B/s  ETA 00:01"),
        (3 << 20, 4 << 20, 1 << 20, 2.0, "a  75%  3.0 MiB of 4.0 MiB  512.0 KiB/s  ETA 00:02"),
        (1 << 20, 1 << 42, 1 << 20, 1.0, "a  0%  1.0 MiB of 4.0 TiB  1.0 MiB/s  ETA 1165:05:03"),
        (1024, 1024, 1024, 2.0, "a  100%  1.0 KiB of 1.0 KiB  512 B/s"),
        # The file grew during the transfer.
        (2000, 1000, 2000, 1.0, "a  100%  2.0 KiB of 1000 B  2.0 KiB/s"),
        (2000, None, 2000, 1.0, "a  2.0 KiB  2.0 KiB/s"),
        (0, 0, 0, 1.0, "a  0 B  0 B/s"),
    ],
)
def test_line(done: int, total: int | None, moved: int, seconds: float, told: str) -> None:
    assert console.progress_line("a", done, total, moved, seconds) == told


def test_a_name_that_a_server_gave_moves_no_cursor() -> None:
    assert console.progress_line("a\x1b[2Jb\rc", 0, None, 0, 0.0) == r"a\x1b[2Jb\rc  0 B  0 B/s"


def test_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    meter = console.Meter("a", 10)
    meter.add(10)
    meter.end()
    assert capsys.readouterr() == ("", "")
