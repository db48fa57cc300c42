"""rftp in a terminal: questions, output, completion, history, and Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from socksify.clients.rftp.connection import Lost
from socksify.clients.rftp.console import Screen
from socksify.clients.rftp.prompt import Completer
from socksify.clients.rftp.session import Session
from tests.support.ftpd import PASSWORD, USER, Ftpd, vsftpd
from tests.support.terminals import Terminal, terminal
from tests.unit.clients.rftp.runs import Rftp, knows

SLOW = 200_000
BIG = bytes(range(256)) * 8_000
PROMPT = "rftp> "


@pytest.fixture
def screen(rftp: Rftp, ftpd: Ftpd) -> Iterator[Terminal]:
    """A session of the user alice, at its prompt."""
    words = [*rftp.argv, f"{USER}@{ftpd.host}", str(ftpd.port)]
    with terminal(words, rftp.environment, rftp.directory) as screen:
        screen.see("230 Login successful.")
        screen.see(PROMPT)
        yield screen


@pytest.fixture(scope="module")
def slow_ftpd() -> Iterator[Ftpd]:
    with vsftpd(f"local_max_rate={SLOW}\n") as server:
        yield server


@pytest.fixture
def slow_screen(rftp: Rftp, slow_ftpd: Ftpd) -> Iterator[Terminal]:
    """The same, with a slow server."""
    slow_ftpd.clear()
    words = [*rftp.argv, f"{USER}@{slow_ftpd.host}", str(slow_ftpd.port)]
    with terminal(words, rftp.environment, rftp.directory) as screen:
        screen.see(PROMPT)
        yield screen


def say(screen: Terminal, line: str) -> str:
    """Type a command and return the output up to the next prompt."""
    screen.type(f"{line}\r")
    return screen.see(f"\n{PROMPT}")


def test_a_session(screen: Terminal, ftpd: Ftpd) -> None:
    ftpd.give("a", b"x" * 1000)
    assert "250 Directory successfully changed." in say(screen, "cd .")
    assert "1000" in say(screen, "ls")
    got = say(screen, "get a")
    assert "100%  1000 B of 1000 B" in got
    assert "/s" in got
    assert "rftp: nonsense: no such command" in say(screen, "nonsense")
    screen.type("quit\r")
    assert screen.end() == 0


def test_ctrl_d_leaves(screen: Terminal) -> None:
    screen.type("\x04")
    assert screen.end() == 0


def test_ctrl_c_at_the_prompt_forgets_the_line(screen: Terminal) -> None:
    screen.type("delete everyth")
    screen.see("everyth")
    screen.sleeps()
    screen.type("\x03")
    screen.see(PROMPT)
    assert "257" not in say(screen, "pwd")


def test_a_password_is_asked_for_and_not_shown(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    (home / ".netrc").unlink()
    with terminal([*rftp.argv, ftpd.host, str(ftpd.port)], rftp.environment, home) as screen:
        screen.see(f"Name ({ftpd.host}:")
        screen.type(f"{USER}\r")
        screen.see(f"Password for {USER}@{ftpd.host}: ")
        assert not screen.echoes
        screen.type(f"{PASSWORD}\r")
        screen.see("230 Login successful.")
        screen.see(PROMPT)
        screen.type("quit\r")
        assert screen.end() == 0
        assert "sesame" not in screen.text


def test_a_script_asks_on_the_terminal_all_the_same(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    (home / ".netrc").unlink()
    words = [*rftp.argv, "-c", "pwd", f"{USER}@{ftpd.host}", str(ftpd.port)]
    with terminal(words, rftp.environment, home) as screen:
        screen.see("Password for")
        screen.type(f"{PASSWORD}\r")
        screen.see(str(ftpd.home))
        assert screen.end() == 0


def test_a_failed_login_is_said_and_tried_again(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    knows(home, ftpd.host, password="wrong")
    with terminal([*rftp.argv, ftpd.host, str(ftpd.port)], rftp.environment, home) as screen:
        screen.see("530 Login incorrect.")
        screen.see(PROMPT)
        assert "230 Login successful." in say(screen, f"user {USER} '{PASSWORD}'")


@pytest.mark.parametrize("command", ["get big", "put here"])
def test_ctrl_c_ends_a_transfer_and_not_the_session(
    slow_screen: Terminal, slow_ftpd: Ftpd, home: Path, command: str
) -> None:
    slow_ftpd.give("big", BIG)
    # More than all buffers between the two can hold.
    (home / "here").write_bytes(bytes(1 << 26))
    slow_screen.type(f"{command}\r")
    # The transfer goes on, and shows the remaining time.
    slow_screen.see("ETA 00:")
    slow_screen.type("\x03")
    slow_screen.see("rftp: interrupted")
    slow_screen.see(PROMPT)
    # Each command gets its own reply.
    assert str(slow_ftpd.home) in say(slow_screen, "pwd")
    assert str(len(BIG)) in say(slow_screen, "size big")
    assert not (home / "big").exists()
    slow_screen.type("quit\r")
    assert slow_screen.end() == 0


def test_what_ctrl_c_cut_off_can_be_gone_on_with(slow_screen: Terminal, slow_ftpd: Ftpd, home: Path) -> None:
    slow_ftpd.give("big", BIG[: 4 * SLOW])
    slow_screen.type("get big\r")
    slow_screen.see("ETA 00:")
    slow_screen.type("\x03")
    slow_screen.see(PROMPT)
    assert 0 < (home / "big.part").stat().st_size < 4 * SLOW
    say(slow_screen, "reget big")
    assert (home / "big").read_bytes() == BIG[: 4 * SLOW]


def test_ctrl_c_ends_a_script(rftp: Rftp, slow_ftpd: Ftpd, home: Path) -> None:
    slow_ftpd.give("big", BIG)
    words = [*rftp.argv, "-c", "get big; get big again", f"{USER}@{slow_ftpd.host}", str(slow_ftpd.port)]
    with terminal(words, rftp.environment, home) as screen:
        screen.see("ETA 00:")
        screen.type("\x03")
        assert screen.end() == 130
        assert "Traceback" not in screen.text
    assert not (home / "again").exists()


def test_a_lost_connection_is_opened_again(rftp: Rftp, home: Path) -> None:
    with vsftpd("idle_session_timeout=1\n") as hasty:
        words = [*rftp.argv, f"{USER}@{hasty.host}", str(hasty.port)]
        with terminal(words, rftp.environment, home) as screen:
            screen.see(PROMPT)
            lost = ""
            for _ in range(200):
                lost = say(screen, "!sleep 1.2")
                lost += say(screen, "pwd")
                if "lost" in lost:
                    break
            assert f"rftp: connection to {hasty.host} lost (421 Timeout.); open connects again" in lost
            assert "not connected" in say(screen, "pwd")
            assert "230 Login successful." in say(screen, "open")
            assert str(hasty.home) in say(screen, "pwd")


def test_the_history_remembers_lines_without_passwords(screen: Terminal, home: Path) -> None:
    say(screen, "pwd")
    say(screen, f"user {USER} '{PASSWORD}'")
    screen.type("quit\r")
    assert screen.end() == 0
    history = home / ".local/state/socksify/rftp_history"
    assert history.read_text().splitlines() == ["pwd", "quit"]
    assert history.stat().st_mode & 0o077 == 0


def test_what_is_typed_at_name_is_no_line_of_the_history(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    (home / ".netrc").unlink()
    with terminal([*rftp.argv, ftpd.host, str(ftpd.port)], rftp.environment, rftp.directory) as screen:
        screen.see("Name (")
        screen.type(f"{USER}\r")
        screen.see("Password")
        screen.type(f"{PASSWORD}\r")
        screen.see(PROMPT)
        say(screen, "pwd")
        screen.type("quit\r")
        assert screen.end() == 0
    assert (home / ".local/state/socksify/rftp_history").read_text().splitlines() == ["pwd", "quit"]


def test_no_bar_is_drawn_for_a_file_that_is_not_there(screen: Terminal) -> None:
    said = say(screen, "get nowhere")
    assert "550" in said
    assert "B/s" not in said


def test_the_history_comes_back(screen: Terminal, rftp: Rftp, ftpd: Ftpd) -> None:
    say(screen, "lpwd")
    screen.type("quit\r")
    screen.end()
    with terminal([*rftp.argv, f"{USER}@{ftpd.host}", str(ftpd.port)], rftp.environment, rftp.directory) as again:
        again.see(PROMPT)
        # Two arrow keys: quit, and the line before.
        again.type("\x1b[A\x1b[A\r")
        again.see(f"{rftp.directory}\r\n")


def test_the_tab_key_completes(screen: Terminal, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("a_long_name", b"12345")
    (home / "here.txt").write_text("x")
    screen.type("siz\t")
    screen.see("size ")
    screen.type("a_lo\t")
    screen.see("a_long_name")
    screen.type("\r")
    screen.see("\n5\r\n")
    screen.see(PROMPT)
    screen.type("put he\t")
    screen.see("here.txt")
    screen.type("\r")
    screen.see(PROMPT)
    assert (ftpd.home / "here.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("before", "text", "found"),
    [
        ("", "mk", ["mkdir "]),
        ("", "zz", []),
        ("help ", "reg", ["reget"]),
        ("get ", "b", ["bee", "'bell jar'"]),
        ("get bee ", "l", ["local.txt"]),
        ("put ", "l", ["local.txt"]),
        ("put local.txt ", "be", ["bee", "'bell jar'"]),
        ("mget bee ", "s", ["sea"]),
        ("rename bee ", "s", ["sea"]),
        ("lcd ", "d", ["directory/"]),
        ("get ", "sub/b", ["sub/bee"]),
        ("get ", "'bell", ["'bell jar'"]),
        ("status ", "x", []),
    ],
)
def test_candidates(home: Path, before: str, text: str, found: list[str]) -> None:
    (home / "local.txt").touch()
    (home / "directory").mkdir()
    session = Session(Screen(True))
    session.listings = {"": ["bee", "bell jar", "sea"], "sub": ["bee"]}
    assert Completer(session).candidates(before, text) == found


def test_what_fails_while_typing_completes_nothing() -> None:
    session = Session(Screen(True))
    completer = Completer(session)
    assert completer.complete("x", 0) is None
    session.lost(Lost("for the test"))
    assert completer.complete("x", 0) is None
