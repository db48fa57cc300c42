"""What a command starts: a Python that will find the hook, one that will not and why, or something else.

execve(2) follows `#!` lines, so they are followed here; `env` is looked through, since it is how scripts find their
Python, and how a Python loses its environment.
"""

from __future__ import annotations

import os
import sys
from itertools import takewhile

from socksify._record import Record
from socksify.site import is_hooked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# execve(2): an interpreter may be a script itself, up to a depth of four. `env` and the like are counted in.
_DEPTH = 8
# The kernel reads as much of a script (BINPRM_BUF_SIZE).
_LINE = 256
# Python/initconfig.c: the options that take a value, which may stand in the next word; -c and -m end the options.
_WITH_VALUE = "WX"
_LAST = "cm"
_LONG_WITH_VALUE = "--check-hash-based-pycs"


class Program(Record):
    """What a command starts: the file, and for a Python why it will not find the hook, empty if it will."""

    path: str
    is_python: bool
    why_not: str = ""


def program(path: str, words: Sequence[str]) -> Program:
    """The program that execve(2) starts by a path and an argv; `words` are its argv."""
    kept = True
    for _ in range(_DEPTH):
        if _is_python(path):
            return Program(path, True, _why_not(path, words, kept))
        if os.path.basename(path) == "env":
            keeps, found, rest = _behind_env(words)
            if not found:
                break
            kept = kept and keeps
            path, words = found, rest
            continue
        line = _shebang(path)
        if not line:
            break
        path, words = line[0], [*line, path, *words[1:]]
    return Program(path, False)


def found(name: str, directories: Iterable[str]) -> str:
    """The file that execvp(3) would start; the name itself if there is none."""
    if "/" in name:
        return name
    candidates = (os.path.join(directory, name) for directory in directories)
    return next((path for path in candidates if os.access(path, os.X_OK) and os.path.isfile(path)), name)


def _is_python(path: str) -> bool:
    if path == sys.executable:
        return True
    # A virtual environment's is a link to the one that it was made with.
    return any(_has_pythons_name(name) for name in (path, os.path.realpath(path)))


def _has_pythons_name(path: str) -> bool:
    name = os.path.basename(path)
    plain = name.removeprefix("python").removeprefix("pypy")
    # python3.13t is the one without the global lock, python3-dbg Debian's for debugging.
    return plain != name and all(character.isdigit() or character in ".-dbgt" for character in plain)


def _why_not(path: str, words: Sequence[str], kept: bool) -> str:
    options = _options(words[1:])
    if "S" in options:
        return "-S keeps every hook out"
    if is_hooked(path):
        return ""
    ignoring = [option for option in "IE" if option in options]
    if ignoring:
        return f"-{ignoring[0]} ignores PYTHONPATH"
    return "" if kept else "env takes PYTHONPATH away"


def _options(words: Sequence[str]) -> str:
    """The letters of the options that stand before the script, as python reads them."""
    letters = ""
    remaining = iter(words)
    for word in takewhile(lambda word: word.startswith("-") and word not in ("-", "--"), remaining):
        if word == _LONG_WITH_VALUE:
            next(remaining, None)
        if word.startswith("--"):
            continue
        for position, letter in enumerate(word[1:], 2):
            letters += letter
            if letter in _LAST:
                return letters
            if letter in _WITH_VALUE:
                if position == len(word):
                    next(remaining, None)
                break
    return letters


def _shebang(path: str) -> list[str]:
    """The interpreter and its argument, if any, of a script; empty for what is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            start = file.read(_LINE)
    except (OSError, ValueError):
        return []
    if not start.startswith(b"#!"):
        return []
    return os.fsdecode(start[2:].partition(b"\n")[0].strip()).split(None, 1)


def _behind_env(words: Sequence[str]) -> tuple[bool, str, list[str]]:
    """(whether PYTHONPATH is left as it is, the command that env(1) starts, its argv); the command may be empty."""
    kept, remaining = True, list(words[1:])
    while remaining:
        word = remaining.pop(0)
        if word in ("-S", "--split-string") and remaining:
            remaining = [*remaining.pop(0).split(), *remaining]
        elif word.startswith("-S"):
            remaining = [*word[2:].split(), *remaining]
        elif word in ("-", "-i", "--ignore-environment"):
            kept = False
        elif word in ("-u", "--unset", "-C", "--chdir") and remaining:
            kept = remaining.pop(0) != "PYTHONPATH" and kept
        elif word in ("-uPYTHONPATH", "--unset=PYTHONPATH") or word.startswith("PYTHONPATH="):
            kept = False
        elif word.startswith("-") or "=" in word:
            continue
        else:
            return kept, found(word, os.get_exec_path()), [word, *remaining]
    return kept, "", []
