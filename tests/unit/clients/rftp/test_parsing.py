"""How lines are split into commands and words, and which lines are secret."""

from __future__ import annotations

import pytest

from socksify.clients.rftp import parsing
from socksify.clients.rftp.console import Failure


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        ("ls", ["ls"]),
        ("ls;pwd", ["ls", "pwd"]),
        ("ls\npwd\n", ["ls", "pwd"]),
        ("get 'a;b'; get \"c;d\"", ["get 'a;b'", ' get "c;d"']),
        (r'get "a\";b"', [r'get "a\";b"']),
        (r"get a\;b;ls", [r"get a\;b", "ls"]),
        ("get bob's; ls", ["get bob's", " ls"]),
        (";;ls;", ["ls"]),
    ],
)
def test_commands(text: str, commands: list[str]) -> None:
    assert parsing.commands(text) == commands


@pytest.mark.parametrize(
    ("line", "split"),
    [
        ("", ("", [])),
        ("   ", ("", [])),
        ("# get a", ("", [])),
        ("get a#b", ("get", ["a#b"])),
        ("GET A", ("get", ["A"])),
        ("get 'a b' c", ("get", ["a b", "c"])),
        (r"get a\ b", ("get", ["a b"])),
        ("!ls 'a b' | wc", ("!", ["ls 'a b' | wc"])),
        ("!", ("!", [""])),
        ('quote SITE  "x"', ("quote", ['SITE  "x"'])),
        ("site chmod 600 'a b'", ("site", ["chmod 600 'a b'"])),
        ("quote", ("quote", [])),
    ],
)
def test_split(line: str, split: tuple[str, list[str]]) -> None:
    assert parsing.split(line) == split


def test_a_quote_that_is_not_closed() -> None:
    with pytest.raises(Failure, match="no closing quotation"):
        parsing.split("get 'a")


@pytest.mark.parametrize(
    "line",
    [
        "user bob secret",
        "USER bob secret",
        " user  bob 'a b'",
        "quote PASS secret",
        # A command may be abbreviated and quoted.
        "us bob secret",
        "'user' bob secret",
        "u\\ser bob secret",
        "quo pass secret",
        # These lines are refused, but they were typed.
        "open bob:secret@host",
    ],
)
def test_what_is_secret(line: str) -> None:
    assert parsing.is_secret(line)


@pytest.mark.parametrize(
    "line", ["user bob", "get user bob", "quote NOOP", "open bob@host", "open bob@::1", "open ::1", "'' a b", ""]
)
def test_what_is_not(line: str) -> None:
    assert not parsing.is_secret(line)
