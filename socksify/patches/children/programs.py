"""What a command starts: a Python that will find the hook, one that will not and why, or something else.

execve(2) follows `#!` lines, so they are followed here; `env` is looked through, since it is how scripts find their
Python, and how a Python loses its environment.
"""

from __future__ import annotations

import os
import sys
from itertools import takewhile

from socksify._hook import is_hooked
from socksify._record import Record
from socksify.config.passing import VARIABLE

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
# Those of env(1) that matter, or take a value.
_ENV_LONG = {"ignore-environment": "i", "unset": "u", "chdir": "C", "split-string": "S", "argv0": "a"}
_ENV_WITH_VALUE = tuple("uCSa")


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
    return next(filter(is_executable, candidates), name)


def is_executable(path: str) -> bool:
    """Whether execve(2) would start it, which goes past directories."""
    return os.access(path, os.X_OK) and os.path.isfile(path)


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
    name = os.path.basename(os.path.realpath(path))
    if name.startswith(("python2", "pypy2")) or name == "pypy":
        return "a Python before 3 cannot read the hook"
    options = _options(words[1:])
    if "S" in options:
        return "-S keeps every hook out"
    if is_hooked(path) and is_hooked(_looked_for(path, words[0] if words else "", kept)):
        return ""
    ignoring = [option for option in "IE" if option in options]
    if ignoring:
        return f"-{ignoring[0]} ignores PYTHONPATH"
    return "" if kept else "env takes PYTHONPATH or the settings away"


def _looked_for(path: str, word: str, kept: bool) -> str:
    """Where a Python takes itself to be, and so its packages: it goes by argv[0], and for a bare name by PATH."""
    if "/" in word:
        # A relative one is seen from the child's working directory, and so is the path.
        return path if path.endswith(word) else word
    return found(word, os.get_exec_path() if kept else ())


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
    """(whether what leads to the hook is left as it is, the command that env(1) starts, its argv).

    The command may be empty.
    """
    kept, remaining = True, list(words[1:])
    while remaining:
        word = remaining.pop(0)
        if word.startswith("-"):
            letters, value = _env_option(word)
            if value is None and letters[-1:] in _ENV_WITH_VALUE:
                value = remaining.pop(0) if remaining else ""
            kept = kept and "i" not in letters and not (letters[-1:] == "u" and _leads_to_hook(value or ""))
            if letters[-1:] == "S":
                remaining = [*(value or "").split(), *remaining]
        elif "=" in word:
            kept = kept and not _leads_to_hook(word.partition("=")[0])
        else:
            return kept, found(word, os.get_exec_path()), [word, *remaining]
    return kept, "", []


def _env_option(word: str) -> tuple[str, str | None]:
    """The letters of a word of options, and the value of the last one where it stands in the same word."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        # getopt_long(3): "Long option names may be abbreviated".
        letter = next((letter for long, letter in _ENV_LONG.items() if name and long.startswith(name)), "")
        return letter, value if equals else None
    letters = word[1:] or "i"
    end = next((position for position, letter in enumerate(letters, 1) if letter in _ENV_WITH_VALUE), len(letters))
    return letters[:end], letters[end:] or None


def _leads_to_hook(variable: str) -> bool:
    return variable == "PYTHONPATH" or variable.startswith(VARIABLE)
