"""The commands in a shell's text (sh -c, and scripts), as far as they can be known before the shell runs it.

What is read are the simple commands of POSIX's shell language (and bash's `[[`, here-strings and `source`), with those
in lists, pipelines, compound commands and command substitutions. Where a text uses more than that, nothing is guessed:
Unreadable is raised.
"""

from __future__ import annotations

import os
from itertools import islice
from os.path import join
from stat import S_ISREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    _Listed = tuple[str, list[str], str]

# In a word: the value of an unquoted expansion that nobody knows here, and of a quoted one.
UNKNOWN, QUOTED = "\0", "\1"
# A longer text is not read.
LONGEST = 65536
_MOST_COMMANDS = 1000

NAMES = frozenset(("sh", "bash", "dash", "ash", "ksh", "mksh", "rbash", "zsh"))
_OPENING = ("if", "while", "until", "{")
_CLOSING = ("fi", "done", "}")
_INNER = ("then", "elif", "else", "do", "!", "time")
_UNREADABLE = ("case", "function", "coproc", "select", "trap", "alias", "enable", "fc")
# Those that start nothing.
_BUILTINS = frozenset(
    [
        ":",
        "[",
        "[[",
        "bg",
        "break",
        "cd",
        "continue",
        "declare",
        "echo",
        "exit",
        "export",
        "false",
        "fg",
        "getopts",
        "hash",
        "jobs",
        "kill",
        "let",
        "local",
        "popd",
        "printf",
        "pushd",
        "pwd",
        "read",
        "readonly",
        "return",
        "set",
        "shift",
        "shopt",
        "test",
        "times",
        "true",
        "type",
        "typeset",
        "ulimit",
        "umask",
        "unset",
        "wait",
    ]
)
_INTRODUCING = frozenset((*_OPENING, *_CLOSING, *_INNER))
# The builtins that assign to the variables that they are told, and their uses that start something.
_READING = ("read", "getopts", "let", "mapfile", "readarray")
_STARTING = (("jobs", ["-x"]), ("hash", ["-p"]), ("mapfile", ["-C"]), ("readarray", ["-C"]))
# What stands behind these may run or not.
_MAYBE = ("&&", "||")
_DECLARING = ("export", "declare", "typeset", "local", "readonly")
_REMOTE = ("/dev/tcp/", "/dev/udp/")


class Unreadable(Exception):
    """What a text will start cannot be known."""


class Command:
    """A simple command: its words, and the variables that it or a command before it has set or unset.

    A variable's value is None where it is not known, or where the variable is unset. `moved` tells that the shell may
    have left its directory by then.
    """

    __slots__ = ("changed", "moved", "words")

    def __init__(self, words: list[str], changed: Mapping[str, str | None], moved: bool = False) -> None:
        self.words = words
        self.changed = changed
        self.moved = moved


def text_of(words: Sequence[str], directory: str = "") -> tuple[str, list[str]]:
    """What a shell that is started by these words runs: the text, with the parameters $0, $1 and so on.

    `directory` is where it is started, if that is not here.

    Raises Unreadable for an interactive one, and for one that reads its input.
    """
    given, is_text, remaining = False, False, list(words[1:])
    while remaining and remaining[0][:1] in ("-", "+"):
        word = remaining.pop(0)
        if word in ("-", "--"):
            break
        if word in ("--rcfile", "--init-file"):
            raise Unreadable
        if word.startswith("--"):
            continue
        given, is_text = given or "s" in word, is_text or "c" in word
        if word[-1] in "oO" and remaining:
            del remaining[0]
    if given or not remaining:
        raise Unreadable
    if is_text:
        return remaining[0], remaining[1:] or list(words[:1])
    return _read(join(directory, remaining[0])), remaining


def _read(path: str) -> str:
    """A script's text; raises Unreadable for what is no plain file, such as the shell's own input."""
    # /dev/stdin and the like are other files in the child.
    if path.startswith(("/dev/", "/proc/")):
        raise Unreadable
    try:
        # A FIFO would keep us waiting.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            data = file.read(LONGEST + 1) if S_ISREG(os.fstat(fd).st_mode) else b"\0"
    except (OSError, ValueError):
        raise Unreadable from None
    if data is None or b"\0" in data:
        raise Unreadable
    return data.decode("utf-8", "surrogateescape")


def commands(text: str, parameters: Sequence[str], variables: Mapping[str, str], depth: int = 4) -> Iterator[Command]:
    """The commands that this text starts; raises Unreadable, maybe after some of them."""
    found = _shell(text, parameters, variables, depth).run(depth)
    yield from islice(found, _MOST_COMMANDS)
    if next(found, None) is not None:
        raise Unreadable


def _shell(text: str, parameters: Sequence[str] | None, variables: Mapping[str, str], depth: int) -> _Shell:
    if len(text) > LONGEST or not depth or any(place in text for place in _REMOTE):
        raise Unreadable
    return _Shell(text, parameters, variables)


class _Shell:
    """Reads one text."""

    def __init__(self, text: str, parameters: Sequence[str] | None, variables: Mapping[str, str]) -> None:
        self._text = text
        self._at = 0
        # None where they are not known any more.
        self._parameters = parameters
        self._variables: dict[str, str | None] = dict(variables)
        self._changed: dict[str, str | None] = {}
        self._functions: set[str] = set()
        # Those among them that may not be what a command of that name calls, and what any of them assigns.
        self._maybe_functions: set[str] = set()
        self._set_in_functions: set[str] = set()
        self._moved = False
        # Within a function's body: how deep its definition stands.
        self._body: int | None = None
        # Of compound commands: what is assigned in one may be assigned or not.
        self._nesting = 0

    def run(self, depth: int) -> Iterator[Command]:
        for separator, words, operator in self._lists(""):
            for word in self._without_keywords(words):
                if word in _UNREADABLE:
                    raise Unreadable
            own = self._assigned(words)
            # Whether it runs for sure, and in this shell.
            certain = not self._nesting and separator not in (*_MAYBE, "|") and operator not in ("|", "&")
            if not words:
                self._set(own if certain else dict.fromkeys(own))
                continue
            if words[0] == "exec":
                behind = _behind_exec(words)
                if behind:
                    yield Command(behind, {**self._changed, **own}, self._moved)
                if behind and certain and operator not in _MAYBE:
                    return
            else:
                for command in self._started(words, depth, certain):
                    yield Command(command.words, {**self._changed, **own, **command.changed}, self._moved)

    def _started(self, words: list[str], depth: int, certain: bool, functions: bool = True) -> Iterator[Command]:
        """What a command starts that may be one of the shell's own."""
        name = words[0]
        if UNKNOWN in name or QUOTED in name or (name, words[1:2]) in _STARTING:
            raise Unreadable
        if functions and name in self._functions:
            if name in self._maybe_functions:
                raise Unreadable
            self._set(dict.fromkeys(self._set_in_functions))
            return
        if name in ("eval", ".", "source"):
            if any(UNKNOWN in word or QUOTED in word for word in words[1:]) or len(words) < 2:
                raise Unreadable
            text = " ".join(words[1:])
            if name != "eval":
                if self._moved and not words[1].startswith("/"):
                    raise Unreadable
                text, _ = text_of([name, words[1]])
            known = {name: value for name, value in self._variables.items() if value is not None}
            inner = _shell(text, self._known_parameters(), known, depth - 1)
            yield from inner.run(depth - 1)
            self._set(inner._changed if certain else dict.fromkeys(inner._changed))
            self._functions |= inner._functions
            self._maybe_functions |= inner._maybe_functions if certain else inner._functions
            self._set_in_functions |= inner._set_in_functions
            self._moved = self._moved or inner._moved
        elif name in ("command", "builtin"):
            rest = [word for word in words[1:] if word not in ("-p", "--")]
            if rest and not rest[0].startswith("-"):
                yield from self._started(rest, depth, certain, functions=False)
        elif name == "unset":
            self._set(dict.fromkeys(words[1:]))
            self._maybe_functions.update(words[1:])
        elif name in _DECLARING:
            self._declare(words[1:], certain)
        elif name in _READING or words[:2] == ["printf", "-v"]:
            self._set({word.partition("=")[0]: None for word in words[1:]})
        elif name in ("cd", "pushd", "popd"):
            self._moved = True
        elif name in ("set", "shift"):
            self._set_parameters(name, words[1:], certain)
        elif name not in _BUILTINS:
            yield Command(words, {})

    def _set(self, changed: Mapping[str, str | None]) -> None:
        if self._body is not None:
            self._set_in_functions.update(changed)
        self._changed |= changed
        self._variables |= changed

    def _declare(self, words: list[str], certain: bool) -> None:
        # They are taken out of the environment, or stand for others.
        hides = any(word.startswith("+") or (word.startswith("-") and "n" in word) for word in words)
        for word in words:
            name, equals, value = word.partition("=")
            if equals or hides:
                self._set({name: value if equals and certain and not hides else None})

    def _set_parameters(self, name: str, words: list[str], certain: bool) -> None:
        """Follows `shift` and `set -- WORDS`; where it cannot, the parameters are not known from there on."""
        number = words[0] if words else "1"
        if name == "set" and words and all(word[:1] in ("-", "+") and word not in ("-", "--") for word in words):
            if any(word.endswith("o") for word in words):
                return
        elif name == "set" and words[:1] != ["--"]:
            if words[:1] and (words[0][:1] not in ("-", "+") or "--" in words or "o" not in words[0] or len(words) > 2):
                self._parameters = None
        elif self._body is not None or self._parameters is None:
            pass
        elif not certain or (name == "shift" and not number.isdigit()):
            self._parameters = None
        elif name == "shift":
            self._parameters = [*self._parameters[:1], *self._parameters[1 + int(number) :]]
        else:
            self._parameters = [*self._parameters[:1], *words[1:]]

    def _known_parameters(self) -> Sequence[str] | None:
        # A function has its own.
        return self._parameters if self._body is None else None

    def _without_keywords(self, words: list[str]) -> Iterator[str]:
        """Takes them away from the front, and tells the command's first word, too."""
        while words:
            word = words[0]
            yield word
            if word == "for":
                self._nesting += 1
                self._set(dict.fromkeys(words[1:2]))
                words.clear()
            elif word == "time" and words[1:] and words[1].startswith("-"):
                # Of bash's own `time` or of the program's.
                return
            elif word in _OPENING or word in _CLOSING or word in _INNER:
                self._nesting += word in _OPENING
                if word in _CLOSING:
                    self._close()
                del words[0]
            else:
                return

    def _close(self) -> None:
        """A compound command ends here, and maybe a function's body."""
        self._nesting -= 1
        if self._body is not None and self._nesting <= self._body:
            self._body = None

    def _assigned(self, words: list[str]) -> dict[str, str | None]:
        own: dict[str, str | None] = {}
        while words:
            name, equals, value = words[0].partition("=")
            plain = name.removesuffix("+")
            if not equals or not plain.isidentifier():
                break
            own[plain] = value if name == plain else self._value(plain, QUOTED) + value
            del words[0]
        return own

    def _lists(self, end: str) -> Iterator[_Listed]:
        """(the operator in front of a simple command, its words, the one behind it); those of substitutions first."""
        text, separator = self._text, ""
        words: list[str] = []
        inner: list[_Listed] = []
        word: str | None = None
        is_target = False
        while True:
            char = text[self._at : self._at + 1]
            in_test = "[[" in words and "]]" not in words and _first(words) == "[["
            if not char or (char in " \t\r\n;&|()<>" and not (in_test and char in "&|()<>")):
                if char == "(" and word is not None and word.endswith("=") and text[self._at - 1] == "=":
                    # An array of bash's, whose items nobody knows from here on.
                    self._at += 1
                    self._array(inner)
                    word += UNKNOWN
                    continue
                if char in "<>" and char and word is not None and word.isdigit():
                    word = None
                if word is not None:
                    if not is_target:
                        words.append(word)
                    is_target, word = False, None
                if char in " \t\r" and char:
                    self._at += 1
                    continue
                if char == "&" and text.startswith("&>", self._at):
                    self._at += 1
                    char = ">"
                if char in "<>" and char:
                    is_target = self._redirected()
                    continue
                operator = next((op for op in ("&&", "||") if text.startswith(op, self._at)), char)
                if operator == "(" and self._defines(words):
                    words = []
                    continue
                self._at += len(operator)
                yield from inner
                inner = []
                if words:
                    yield separator, words, operator
                words, separator = [], operator
                if char == end:
                    return
                if char == "(":
                    self._nesting += 1
                elif char == ")":
                    self._close()
                if not char:
                    raise Unreadable
            elif char == "#" and word is None:
                newline = text.find("\n", self._at)
                self._at = len(text) if newline < 0 else newline
            elif text.startswith(('"$@"', "$@"), self._at) and word is None:
                self._at += 4 if char == '"' else 2
                parameters = self._known_parameters()
                words += [UNKNOWN] if parameters is None else parameters[1:]
            else:
                word = (word or "") + self._piece(char, inner)

    def _array(self, inner: list[_Listed]) -> None:
        """Passes the items of an array, up to its end."""
        while True:
            char = self._text[self._at : self._at + 1]
            if not char or char in "<>&|;(":
                raise Unreadable
            if char == ")":
                self._at += 1
                return
            if char == "#":
                newline = self._text.find("\n", self._at)
                self._at = len(self._text) if newline < 0 else newline
            elif char in " \t\r\n":
                self._at += 1
            else:
                self._piece(char, inner)

    def _defines(self, words: list[str]) -> bool:
        """Whether a function is defined here, which then goes by its name; raises Unreadable for arithmetic."""
        if self._text.startswith("((", self._at):
            raise Unreadable
        rest = self._text[self._at + 1 :].lstrip(" \t")
        name = words[-1:]
        if not name or words[:-1] != [word for word in words[:-1] if word in _INTRODUCING] or not rest.startswith(")"):
            return False
        self._functions.update(name)
        nesting = self._nesting + sum(word in _OPENING for word in words)
        if nesting:
            # It may be defined or not, or in another shell than the one that calls it.
            self._maybe_functions.update(name)
        for _ in self._without_keywords(words[:-1]):
            pass
        if self._body is None:
            self._body = self._nesting
        self._at = self._text.index(")", self._at) + 1
        return True

    def _redirected(self) -> bool:
        """Passes a redirection's operator; whether a word follows that is none of the command's."""
        for operator in ("<<<", "<<", "<(", ">(", ">>", ">&", "<&", "<>", ">|", ">", "<"):
            if self._text.startswith(operator, self._at):
                if operator == "<<":
                    raise Unreadable
                self._at += len(operator) - operator.endswith("(")
                return not operator.endswith("(")
        return False

    def _piece(self, char: str, inner: list[_Listed]) -> str:
        """The next part of a word."""
        if char == "\\":
            self._at += 2
            escaped = self._text[self._at - 1 : self._at]
            return "" if escaped == "\n" else escaped
        if char == "'":
            start, self._at = self._at + 1, self._text.find("'", self._at + 1) + 1
            if not self._at:
                raise Unreadable
            return self._text[start : self._at - 1]
        if char == '"':
            return self._quoted(inner)
        if char == "$":
            return self._expanded(inner, UNKNOWN)
        if char == "`":
            raise Unreadable
        self._at += 1
        return UNKNOWN if char in "*?" else char

    def _quoted(self, inner: list[_Listed]) -> str:
        pieces = ""
        self._at += 1
        while True:
            char = self._text[self._at : self._at + 1]
            if char in ("", "`"):
                raise Unreadable
            if char == '"':
                self._at += 1
                return pieces
            if char == "$":
                pieces += self._expanded(inner, QUOTED)
            elif char == "\\" and self._text[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                pieces += self._text[self._at + 1].replace("\n", "")
                self._at += 2
            else:
                pieces += char
                self._at += 1

    def _expanded(self, inner: list[_Listed], unknown: str) -> str:
        """The value of an expansion, between two marks its name where the value is not known."""
        text, start = self._text, self._at + 1
        # Arithmetic, and bash's $'...', in which a quote may be escaped.
        if text.startswith("((", start) or (text.startswith("'", start) and unknown == UNKNOWN):
            raise Unreadable
        if text.startswith("(", start):
            self._at = start + 1
            # In a shell of its own, which changes nothing here.
            inner += (("&&", words, "|") for _, words, _ in self._lists(")"))
            return unknown
        if text.startswith("{", start):
            end = text.find("}", start)
            name = text[start + 1 : end]
            # Quotes in it are read by bash, and a closing brace may stand in them.
            if end < 0 or any(char in name for char in "$`'\"\\"):
                raise Unreadable
            self._at = end + 1
        else:
            end = start
            while text[end : end + 1].isalnum() or text[end : end + 1] == "_":
                end += 1
                if text[start].isdigit():
                    break
            name = text[start:end]
            if not name:
                if text[start : start + 1] not in ("@", "*", "#", "?", "-", "$", "!"):
                    self._at = start
                    return "$"
                end += 1
            self._at = end
        return self._value(name, unknown)

    def _value(self, name: str, unknown: str) -> str:
        if name.isdigit():
            parameters = self._known_parameters() or ()
            value = parameters[int(name)] if int(name) < len(parameters) else ""
        else:
            value = self._variables.get(name) or ""
        # One that is not quoted is split, and its asterisks are expanded.
        if not value or (unknown == UNKNOWN and any(char in value for char in " \t\n*?")):
            return f"{unknown}{name}{unknown}"
        return value


def _first(words: list[str]) -> str:
    """A command's name, behind the shell's keywords."""
    return next((word for word in words if word not in _INTRODUCING), "")


def _behind_exec(words: list[str]) -> list[str]:
    """The command that `exec` starts, if any; raises Unreadable for an option that changes its environment."""
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if "c" in option or not rest:
            raise Unreadable
        if option.endswith("a"):
            del rest[0]
    if rest and (UNKNOWN in rest[0] or QUOTED in rest[0]):
        raise Unreadable
    return rest
