"""The commands in a shell's text (sh -c, and scripts), as far as they can be known before the shell runs it.

What is read are the simple commands of POSIX's shell language (and bash's `[[`, here-strings and `source`), with those
in lists, pipelines, compound commands and command substitutions. Where a text uses more than that, nothing is guessed:
Unreadable is raised.
"""

from __future__ import annotations

from itertools import islice
from os.path import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
_DECLARING = ("export", "declare", "typeset", "local", "readonly")
_REMOTE = ("/dev/tcp/", "/dev/udp/")


class Unreadable(Exception):
    """What a text will start cannot be known."""


class Command:
    """A simple command: its words, and the variables that it or a command before it has set or unset.

    A variable's value is None where it is not known, or where the variable is unset.
    """

    __slots__ = ("changed", "words")

    def __init__(self, words: list[str], changed: Mapping[str, str | None]) -> None:
        self.words = words
        self.changed = changed


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
    try:
        with open(join(directory, remaining[0]), "rb", buffering=0) as file:
            data = file.read(LONGEST + 1)
    except (OSError, ValueError):
        raise Unreadable from None
    if b"\0" in data:
        raise Unreadable
    return data.decode("utf-8", "surrogateescape"), remaining


def commands(text: str, parameters: Sequence[str], variables: Mapping[str, str], depth: int = 4) -> Iterator[Command]:
    """The commands that this text starts; raises Unreadable, maybe after some of them."""
    if len(text) > LONGEST or not depth or any(place in text for place in _REMOTE):
        raise Unreadable
    shell = _Shell(text, parameters, variables)
    found = shell.run(depth)
    yield from islice(found, _MOST_COMMANDS)
    if next(found, None) is not None:
        raise Unreadable


class _Shell:
    """Reads one text."""

    def __init__(self, text: str, parameters: Sequence[str], variables: Mapping[str, str]) -> None:
        self._text = text
        self._at = 0
        self._parameters = parameters
        self._variables: dict[str, str | None] = dict(variables)
        self._changed: dict[str, str | None] = {}
        self._functions: set[str] = set()
        # Of compound commands: what is assigned in one may be assigned or not.
        self._nesting = 0

    def run(self, depth: int) -> Iterator[Command]:
        for separator, words in self._lists(""):
            for word in self._without_keywords(words):
                if word in _UNREADABLE:
                    raise Unreadable
            own = self._assigned(words)
            if not words:
                certain = not self._nesting and separator not in ("&&", "||")
                self._set(own if certain else dict.fromkeys(own))
                continue
            if words[0] == "exec" and len(words) > 1:
                yield Command(_behind_exec(words), {**self._changed, **own})
                if not self._nesting and separator not in ("&&", "||", "|", "&"):
                    return
            else:
                for command in self._started(words, depth):
                    yield Command(command.words, {**self._changed, **own, **command.changed})

    def _started(self, words: list[str], depth: int) -> Iterator[Command]:
        """What a command starts that may be one of the shell's own."""
        name = words[0]
        if UNKNOWN in name or QUOTED in name:
            raise Unreadable
        if name in ("eval", ".", "source"):
            if any(UNKNOWN in word or QUOTED in word for word in words[1:]) or len(words) < 2:
                raise Unreadable
            text = " ".join(words[1:])
            if name != "eval":
                text, _ = text_of([name, words[1]])
            known = {name: value for name, value in self._variables.items() if value is not None}
            for command in commands(text, self._parameters, known, depth - 1):
                self._set(command.changed)
                yield command
        elif name in ("command", "builtin"):
            rest = [word for word in words[1:] if word not in ("-p", "--")]
            if rest and not rest[0].startswith("-"):
                yield from self._started(rest, depth)
        elif name == "unset":
            self._set(dict.fromkeys(words[1:]))
        elif name in _DECLARING:
            self._set({name: value for word in words[1:] for name, equals, value in (word.partition("="),) if equals})
        elif name not in _BUILTINS and name not in self._functions:
            yield Command(words, {})

    def _set(self, changed: Mapping[str, str | None]) -> None:
        self._changed |= changed
        self._variables |= changed

    def _without_keywords(self, words: list[str]) -> Iterator[str]:
        """Takes them away from the front, and tells the command's first word, too."""
        while words:
            word = words[0]
            yield word
            if word == "for":
                self._nesting += 1
                words.clear()
            elif word in _OPENING or word in _CLOSING or word in _INNER:
                self._nesting += (word in _OPENING) - (word in _CLOSING)
                del words[0]
            else:
                return

    @staticmethod
    def _assigned(words: list[str]) -> dict[str, str | None]:
        own: dict[str, str | None] = {}
        while words:
            name, equals, value = words[0].partition("=")
            if not equals or not name.removesuffix("+").isidentifier():
                break
            own[name.removesuffix("+")] = value
            del words[0]
        return own

    def _lists(self, end: str) -> Iterator[tuple[str, list[str]]]:
        """(the operator in front of a simple command, its words), with those of substitutions in front of it."""
        text, separator = self._text, ""
        words: list[str] = []
        inner: list[tuple[str, list[str]]] = []
        word: str | None = None
        is_target = False
        while True:
            char = text[self._at : self._at + 1]
            in_test = words[:1] == ["[["] and "]]" not in words
            if not char or (char in " \t\r\n;&|()<>" and not (in_test and char in "&|()<>")):
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
                if operator == "(" and (text.startswith("((", self._at) or self._defines(words)):
                    words = []
                    continue
                self._at += len(operator)
                yield from inner
                inner = []
                if words:
                    yield separator, words
                words, separator = [], operator
                if char == end:
                    return
                if not char:
                    raise Unreadable
            elif char == "#" and word is None:
                newline = text.find("\n", self._at)
                self._at = len(text) if newline < 0 else newline
            elif text.startswith(('"$@"', "$@"), self._at) and word is None:
                self._at += 4 if char == '"' else 2
                words += self._parameters[1:]
            else:
                word = (word or "") + self._piece(char, inner)

    def _defines(self, words: list[str]) -> bool:
        """Whether a function is defined here, which then goes by its name; raises Unreadable for arithmetic."""
        rest = self._text[self._at + 1 :].lstrip(" \t")
        if len(words) != 1 or not rest.startswith(")"):
            if self._text.startswith("((", self._at):
                raise Unreadable
            return False
        self._functions.add(words[0])
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

    def _piece(self, char: str, inner: list[tuple[str, list[str]]]) -> str:
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

    def _quoted(self, inner: list[tuple[str, list[str]]]) -> str:
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

    def _expanded(self, inner: list[tuple[str, list[str]]], unknown: str) -> str:
        """The value of an expansion, between two marks its name where the value is not known."""
        text, start = self._text, self._at + 1
        if text.startswith("((", start):
            raise Unreadable
        if text.startswith("(", start):
            self._at = start + 1
            inner += self._lists(")")
            return unknown
        if text.startswith("{", start):
            end = text.find("}", start)
            name = text[start + 1 : end]
            if end < 0 or "$" in name or "`" in name:
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
            value = self._parameters[int(name)] if int(name) < len(self._parameters) else ""
        else:
            value = self._variables.get(name) or ""
        # One that is not quoted is split, and its asterisks are expanded.
        if not value or (unknown == UNKNOWN and any(char in value for char in " \t\n*?")):
            return f"{unknown}{name}{unknown}"
        return value


def _behind_exec(words: list[str]) -> list[str]:
    """The command that `exec` starts; raises Unreadable for an option that changes its environment."""
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if "c" in option or not rest:
            raise Unreadable
        if option.endswith("a"):
            del rest[0]
    if not rest or UNKNOWN in rest[0] or QUOTED in rest[0]:
        raise Unreadable
    return rest
