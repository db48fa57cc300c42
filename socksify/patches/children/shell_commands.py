"""The commands that a shell's text starts (`sh -c`, and scripts), as far as they can be known before the shell runs.

This module follows the simple commands of the shell command language (POSIX.1-2017, chapter 2), also in lists,
pipelines, compound commands, functions and command substitutions. It also follows the built-in utilities that change
variables, positional parameters or the working directory. If a text uses anything else, Unreadable is raised.
"""

from __future__ import annotations

import os
from itertools import islice
from os.path import join
from stat import S_ISREG

from socksify.patches.children.shell_words import (
    CLOSING,
    INNER,
    OPENING,
    UNKNOWN_QUOTED,
    Lexer,
    Parameters,
    Unreadable,
    is_known,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from socksify.patches.children.shell_words import Tokens

SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh", "mksh", "rbash", "zsh"))

# In characters. A longer text is Unreadable.
_MAX_TEXT = 65536
_MAX_COMMANDS = 1000
# Levels of texts within texts: `eval`, and scripts that are sourced.
_MAX_DEPTH = 4
_UNREADABLE = ("case", "function", "coproc", "select", "trap", "alias", "enable", "fc")
_BUILTINS_TEXT = (
    ": [ [[ bg break cd continue declare echo exit export false fg getopts hash jobs kill let local mapfile popd printf"
    " pushd pwd read readarray readonly return set shift shopt test times true type typeset ulimit umask unset wait"
)
# Built-in utilities that start nothing.
_BUILTINS = frozenset(_BUILTINS_TEXT.split())
# These assign to the variables that are their operands.
_ASSIGNING = ("read", "getopts", "let", "mapfile", "readarray")
_DECLARING = ("export", "declare", "typeset", "local", "readonly")
# Built-in utilities with an option that makes them start a program.
_STARTING = (("jobs", ["-x"]), ("hash", ["-p"]), ("mapfile", ["-C"]), ("readarray", ["-C"]))
# A command behind one of these may be executed or not.
_AND_OR = ("&&", "||")
# bash connects by itself where these are the target of a redirection.
_NETWORK_FILES = ("/dev/tcp/", "/dev/udp/")


class SimpleCommand:
    """A simple command: its words, and the variables that this command or earlier commands have set or unset.

    The value of a variable is None if the value is not known, or if the variable is unset. `moved` is True if the shell
    may have left its working directory before the command.
    """

    __slots__ = ("changed", "moved", "words")

    def __init__(self, words: list[str], changed: Mapping[str, str | None], moved: bool = False) -> None:
        self.words = words
        self.changed = changed
        self.moved = moved


def text_and_parameters(words: Sequence[str], directory: str = "") -> tuple[str, list[str]]:
    """Return the text that a shell with the argv `words` runs, and the shell's parameters $0, $1 and so on.

    `directory` is the shell's working directory, by default the working directory of this process. Raises Unreadable
    for an interactive shell, for a shell that reads commands from its standard input, and for a script that cannot be
    read.
    """
    reads_input, is_text, operands = False, False, list(words[1:])
    while operands and operands[0][:1] in ("-", "+"):
        word = operands.pop(0)
        if word in ("-", "--"):
            break
        if word in ("--rcfile", "--init-file"):
            raise Unreadable
        if word.startswith("--"):
            continue
        reads_input, is_text = reads_input or "s" in word, is_text or "c" in word
        if word[-1] in "oO" and operands:
            del operands[0]
    if reads_input or not operands:
        raise Unreadable
    if is_text:
        return operands[0], operands[1:] or list(words[:1])
    return _script(join(directory, operands[0])), operands


def _script(path: str) -> str:
    """Return the text of a script. Raises Unreadable if the script is no regular file or cannot be read."""
    # /dev/stdin and similar paths name other files in the child.
    if path.startswith(("/dev/", "/proc/")):
        raise Unreadable
    try:
        # Without O_NONBLOCK, open() of a FIFO would block.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            data = file.read(_MAX_TEXT + 1) if S_ISREG(os.fstat(fd).st_mode) else b"\0"
    except (OSError, ValueError):
        raise Unreadable from None
    if data is None or b"\0" in data:
        raise Unreadable
    return data.decode("utf-8", "surrogateescape")


def commands(text: str, positional: Sequence[str], variables: Mapping[str, str]) -> Iterator[SimpleCommand]:
    """Yield the commands that a text starts.

    `positional` are the parameters $0, $1 and so on; `variables` is the environment of the shell. Raises Unreadable,
    perhaps after some of the commands, if the text cannot be followed.
    """
    found = _shell(text, positional, variables, _MAX_DEPTH).run()
    yield from islice(found, _MAX_COMMANDS)
    if next(found, None) is not None:
        raise Unreadable


def _shell(text: str, positional: Sequence[str] | None, variables: Mapping[str, str], depth: int) -> _Shell:
    if len(text) > _MAX_TEXT or not depth or any(name in text for name in _NETWORK_FILES):
        raise Unreadable
    return _Shell(text, Parameters(variables, positional), depth)


class _Functions:
    """Functions that a text defines."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        # A command of such a name may call the function or start a program: nobody knows if the function is defined.
        self._uncertain: set[str] = set()

    def define(self, name: str, certain: bool) -> None:
        self._names.add(name)
        if not certain:
            self._uncertain.add(name)

    def unset(self, names: Sequence[str]) -> None:
        self._uncertain.update(names)

    def is_called(self, name: str) -> bool:
        """Return True if a command of this name calls a function. Raises Unreadable if that is not certain."""
        if name in self._names & self._uncertain:
            raise Unreadable
        return name in self._names

    def add(self, others: _Functions, certain: bool) -> None:
        """Add the functions that a sourced text defines."""
        self._names |= others._names
        self._uncertain |= others._uncertain if certain else others._names


class _Shell:
    """Follows the execution of one text."""

    def __init__(self, text: str, parameters: Parameters, depth: int) -> None:
        self._parameters = parameters
        self._lexer = Lexer(text, parameters)
        self._depth = depth
        self._functions = _Functions()
        self._moved = False
        # True after `exec` has replaced the shell by a program.
        self._is_replaced = False
        # The number of compound commands that contain this command. A command inside one may be executed or not.
        self._nesting = 0
        # In the body of a function: the value of `_nesting` at the definition. Otherwise None.
        self._function_nesting: int | None = None

    def run(self) -> Iterator[SimpleCommand]:
        """Yield the commands that the text starts."""
        for tokens in self._lexer.commands():
            yield from self._execute(tokens)
            if self._is_replaced:
                return
            if tokens.after == "(":
                self._nesting += 1
            elif tokens.after == ")":
                self._end_compound()

    def _execute(self, tokens: Tokens) -> Iterator[SimpleCommand]:
        words = tokens.words
        self._take_reserved_words(words)
        certain = self._is_certain(tokens)
        if tokens.after == "()":
            self._define(words, certain)
            return
        own = self._take_assignments(words)
        if not words:
            self._parameters.assign(own if certain else dict.fromkeys(own))
            return
        for command in self._start(words, certain, certain and tokens.after not in _AND_OR):
            changed = {**self._parameters.changed, **own, **command.changed}
            yield SimpleCommand(command.words, changed, self._moved)

    def _is_certain(self, tokens: Tokens) -> bool:
        """Return True if a command is certain to be executed, and to be executed in this shell, not in a subshell."""
        return not self._nesting and tokens.before not in (*_AND_OR, "|") and tokens.after not in ("|", "&")

    def _take_reserved_words(self, words: list[str]) -> None:
        """Remove the reserved words in front of a command, and follow the compound commands that they belong to."""
        while words:
            word = words[0]
            if word in _UNREADABLE:
                raise Unreadable
            if word == "for":
                self._nesting += 1
                self._parameters.forget(words[1:2])
                words.clear()
                return
            if word not in (*OPENING, *CLOSING, *INNER) or (word == "time" and "".join(words[1:2]).startswith("-")):
                # With an option, `time` may be bash's reserved word or the program.
                return
            self._nesting += word in OPENING
            if word in CLOSING:
                self._end_compound()
            del words[0]

    def _end_compound(self) -> None:
        """Note that a compound command ends. The body of a function may end with it."""
        self._nesting -= 1
        if self._function_nesting is not None and self._nesting <= self._function_nesting:
            self._function_nesting = None
            self._parameters.leave_function()

    def _define(self, words: list[str], certain: bool) -> None:
        for name in words:
            self._functions.define(name, certain)
        if self._function_nesting is None:
            self._function_nesting = self._nesting
            self._parameters.enter_function()

    def _take_assignments(self, words: list[str]) -> dict[str, str | None]:
        """Remove the assignments in front of a command, and return them."""
        own: dict[str, str | None] = {}
        while words:
            target, equals, value = words[0].partition("=")
            name = target.removesuffix("+")
            if not equals or not name.isidentifier():
                break
            own[name] = value if name == target else self._parameters.value(name, UNKNOWN_QUOTED) + value
            del words[0]
        return own

    def _start(self, words: list[str], certain: bool, replaces: bool) -> Iterator[SimpleCommand]:
        """Yield the programs that a command starts. `replaces` is True if `exec` certainly replaces the shell here."""
        if words[0] != "exec":
            yield from self._invoke(words, certain)
            return
        program = _exec_operands(words)
        if program:
            self._is_replaced = replaces
            yield SimpleCommand(program, {})

    def _invoke(self, words: list[str], certain: bool, functions: bool = True) -> Iterator[SimpleCommand]:
        """Follow a command by its name: a function, a built-in or a program.

        If `functions` is False, the name is not looked up among the functions.
        """
        name = words[0]
        if not is_known(name) or (name, words[1:2]) in _STARTING:
            raise Unreadable
        if functions and self._functions.is_called(name):
            # The commands in the function's body were yielded at its definition.
            self._parameters.forget(self._parameters.set_in_functions)
        elif name in ("eval", ".", "source"):
            yield from self._run_text(words, certain)
        elif name in ("command", "builtin"):
            rest = [word for word in words[1:] if word not in ("-p", "--")]
            if rest and not rest[0].startswith("-"):
                yield from self._invoke(rest, certain, functions=False)
        elif name in _BUILTINS:
            self._call_builtin(words, certain)
        else:
            yield SimpleCommand(words, {})

    def _run_text(self, words: list[str], certain: bool) -> Iterator[SimpleCommand]:
        """Follow `eval`, and `.` with a script."""
        if len(words) < 2 or not all(map(is_known, words[1:])):
            raise Unreadable
        if words[0] == "eval":
            text = " ".join(words[1:])
        elif self._moved and not words[1].startswith("/"):
            raise Unreadable
        else:
            text, _ = text_and_parameters(words[:2])
        parameters = self._parameters
        inner = _shell(text, parameters.positional(), parameters.known_variables(), self._depth - 1)
        yield from inner.run()
        changed = inner._parameters.changed
        parameters.assign(changed if certain else dict.fromkeys(changed))
        parameters.set_in_functions.update(inner._parameters.set_in_functions)
        self._functions.add(inner._functions, certain)
        self._moved = self._moved or inner._moved

    def _call_builtin(self, words: list[str], certain: bool) -> None:
        name, operands = words[0], words[1:]
        if name == "unset":
            self._parameters.forget(operands)
            self._functions.unset(operands)
        elif name in _DECLARING:
            self._declare(operands, certain)
        elif name in _ASSIGNING or words[:2] == ["printf", "-v"]:
            self._parameters.forget([word.partition("=")[0] for word in operands])
        elif name in ("cd", "pushd", "popd"):
            self._moved = True
        elif name == "shift":
            self._parameters.shift(operands[0] if operands else "1", certain)
        elif name == "set":
            self._set(operands, certain)

    def _declare(self, operands: list[str], certain: bool) -> None:
        # +x removes a variable from the environment. -n makes it a reference to another variable.
        hides = any(word.startswith("+") or (word.startswith("-") and "n" in word) for word in operands)
        for word in operands:
            name, equals, value = word.partition("=")
            if equals or hides:
                self._parameters.assign({name: value if equals and certain and not hides else None})

    def _set(self, operands: list[str], certain: bool) -> None:
        """Follow `set`: `set -- WORDS` sets the positional parameters, options alone do not change them."""
        if operands[:1] == ["--"]:
            self._parameters.set_positional(operands[1:], certain)
        elif all(map(_is_option, operands)):
            return
        elif not (len(operands) <= 2 and _is_option(operands[0]) and "o" in operands[0] and "--" not in operands):
            # Operands follow the options, and this is not `set -o NAME`: the parameters are not known any more.
            self._parameters.set_positional(None)


def _is_option(word: str) -> bool:
    return word[:1] in ("-", "+") and word not in ("-", "--")


def _exec_operands(words: list[str]) -> list[str]:
    """Return the words of the command that `exec` starts; empty if there is none.

    Raises Unreadable for an option that clears the command's environment, and for a command that is not known.
    """
    operands = words[1:]
    while operands and operands[0].startswith("-"):
        option = operands.pop(0)
        if option == "--":
            break
        if "c" in option or not operands:
            raise Unreadable
        if option.endswith("a"):
            del operands[0]
    if operands and not is_known(operands[0]):
        raise Unreadable
    return operands
