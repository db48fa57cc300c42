"""Words of the shell command language (POSIX.1-2017, chapter 2): token recognition and word expansion.

`Lexer` divides a text into simple commands and expands their words. `Parameters` holds the values that are known. Of
bash's additions, `[[`, arrays, here-strings and process substitution are read, because scripts use them. If a text uses
anything else, `Unreadable` is raised.
"""

from __future__ import annotations

from socksify._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Marks in a word. They enclose the name of a parameter whose value is not known here. An unquoted expansion may become
# any number of words, a quoted expansion is one word.
UNKNOWN, UNKNOWN_QUOTED = "\0", "\1"

_BLANKS = " \t\r"
_METACHARACTERS = "\n;&|()<>"
# These characters are ordinary ones between `[[` and `]]`.
_IN_TEST = "&|()<>"
# Longer operators first.
_REDIRECTIONS = ("<<<", "<<", "<(", ">(", ">>", ">&", "<&", "<>", ">|", ">", "<")
_ESCAPED_IN_QUOTES = ("$", "`", '"', "\\", "\n")
_SPECIAL_PARAMETERS = ("@", "*", "#", "?", "-", "$", "!")

# Reserved words (POSIX: 2.4) that begin a compound command, that end one, and that stand inside one before a command.
OPENING = ("if", "while", "until", "{")
CLOSING = ("fi", "done", "}")
INNER = ("then", "elif", "else", "do", "!", "time")
_RESERVED = frozenset((*OPENING, *CLOSING, *INNER))


class Unreadable(Exception):
    """The text of a shell cannot be followed, so the commands that it starts are not known."""


class Tokens(Record):
    """The words of a simple command, and the control operators before and after them.

    `words` may be empty. `after` is `()` if the last word is the name of a function that is defined here. `after` is
    empty at the end of a text or of a command substitution.
    """

    before: str
    words: list[str]
    after: str


def is_known(word: str) -> bool:
    """Return True if every expansion in a word has a known value."""
    return UNKNOWN not in word and UNKNOWN_QUOTED not in word


class Parameters:
    """Parameters of a shell (POSIX: 2.5): its variables, and its positional parameters.

    `variables` are the shell's variables at its start. `positional` are $0, $1 and so on; None if they are not known.
    `changed` has the variables that were assigned since the start. A value there is None if the value is not known, or
    if the variable is unset.
    """

    def __init__(self, variables: Mapping[str, str], positional: Sequence[str] | None) -> None:
        self._variables: dict[str, str | None] = dict(variables)
        self._positional = positional
        self._is_in_function = False
        self.changed: dict[str, str | None] = {}
        # Variables that the bodies of functions assign.
        self.set_in_functions: set[str] = set()

    def known_variables(self) -> dict[str, str]:
        """Return the variables whose values are known."""
        return {name: value for name, value in self._variables.items() if value is not None}

    def positional(self) -> Sequence[str] | None:
        """Return $0, $1 and so on, or None if they are not known. A function has parameters of its own."""
        return None if self._is_in_function else self._positional

    def value(self, name: str, mark: str) -> str:
        """Return the value of a parameter, or its name between two marks if the value is not known or is split.

        `mark` is UNKNOWN for an unquoted expansion, which is subject to field splitting and pathname expansion.
        """
        if name.isdecimal():
            positional = self.positional() or ()
            value = positional[int(name)] if int(name) < len(positional) else ""
        else:
            value = self._variables.get(name) or ""
        if not value or (mark == UNKNOWN and any(char in value for char in " \t\n*?")):
            return f"{mark}{name}{mark}"
        return value

    def assign(self, changed: Mapping[str, str | None]) -> None:
        """Set variables to these values."""
        if self._is_in_function:
            self.set_in_functions.update(changed)
        self.changed |= changed
        self._variables |= changed

    def forget(self, names: Sequence[str] | set[str]) -> None:
        """Note that the values of these variables are not known any more."""
        self.assign(dict.fromkeys(names))

    def shift(self, number: str, certain: bool) -> None:
        """Follow the built-in `shift NUMBER`. `certain` is True if the command is certain to be executed."""
        if self.positional() is None:
            return
        if certain and number.isdecimal():
            self._positional = [*self._positional[:1], *self._positional[1 + int(number) :]]  # type: ignore[index]
        else:
            self._positional = None

    def set_positional(self, words: Sequence[str] | None, certain: bool = True) -> None:
        """Follow the built-in `set -- WORDS`. If `words` is None, the parameters are not known any more.

        `certain` is True if the command is certain to be executed.
        """
        if words is None:
            self._positional = None
        elif self.positional() is not None:
            self._positional = [*self._positional[:1], *words] if certain else None  # type: ignore[index]

    def enter_function(self) -> None:
        """Note that the body of a function begins here."""
        self._is_in_function = True

    def leave_function(self) -> None:
        """Note that the body of a function ends here."""
        self._is_in_function = False


class Lexer:
    """Reads one text from its start to its end. Each expansion gets the value that the parameter has at that moment."""

    def __init__(self, text: str, parameters: Parameters) -> None:
        self._text = text
        self._parameters = parameters
        self._at = 0
        # Commands in command substitutions, while the simple command that contains them is read.
        self._substituted: list[Tokens] = []

    def commands(self, end: str = "") -> Iterator[Tokens]:
        """Yield the simple commands up to the operator `end`, by default up to the end of the text.

        The commands in a command substitution come before the command that contains it.
        """
        before = ""
        while True:
            words, after = self._simple_command()
            substituted, self._substituted = self._substituted, []
            yield from substituted
            if after == end:
                yield Tokens(before, words, "")
                return
            yield Tokens(before, words, after)
            if not after:
                raise Unreadable
            before = before if after == "()" else after

    def _simple_command(self) -> tuple[list[str], str]:
        """Read up to the next control operator; return the words, without redirections, and the operator."""
        words: list[str] = []
        is_target = False
        while True:
            in_test = "[[" in words and "]]" not in words and _command_name(words) == "[["
            char = self._char()
            if char and char in _BLANKS:
                self._at += 1
            elif char == "#":
                self._skip_comment()
            elif not in_test and (char in ("<", ">") or self._text.startswith("&>", self._at)):
                is_target = self._redirection_operator()
            elif self._ends_word(in_test):
                return words, self._control_operator(words)
            elif self._text.startswith(('"$@"', "$@"), self._at):
                words += self._all_positional()
            else:
                word = self._word(in_test)
                if word is not None and not is_target:
                    words.append(word)
                is_target = is_target and word is None

    def _char(self) -> str:
        """Return the next character, or an empty string at the end."""
        return self._text[self._at : self._at + 1]

    def _ends_word(self, in_test: bool) -> bool:
        char = self._char()
        return not char or char in _BLANKS or (char in _METACHARACTERS and not (in_test and char in _IN_TEST))

    def _skip_comment(self) -> None:
        newline = self._text.find("\n", self._at)
        self._at = len(self._text) if newline < 0 else newline

    def _redirection_operator(self) -> bool:
        """Read a redirection operator. Return True if the next word is the target, which is no word of the command."""
        self._at += self._char() == "&"
        operator = next(each for each in _REDIRECTIONS if self._text.startswith(each, self._at))
        if operator == "<<":
            raise Unreadable
        # Process substitution: its commands are read like those of a subshell.
        is_process = operator.endswith("(")
        self._at += len(operator) - is_process
        return not is_process

    def _control_operator(self, words: list[str]) -> str:
        operator = next((each for each in ("&&", "||") if self._text.startswith(each, self._at)), self._char())
        if operator == "(":
            if self._text.startswith("((", self._at):
                # Arithmetic.
                raise Unreadable
            if self._is_definition(words):
                self._at = self._text.index(")", self._at) + 1
                return "()"
        self._at += len(operator)
        return operator

    def _is_definition(self, words: list[str]) -> bool:
        """Return True if `NAME ()` is read here, where NAME is the last of these words."""
        is_name_first = bool(words) and all(word in _RESERVED for word in words[:-1])
        return is_name_first and self._text[self._at + 1 :].lstrip(" \t").startswith(")")

    def _all_positional(self) -> Sequence[str]:
        self._at += 4 if self._char() == '"' else 2
        positional = self._parameters.positional()
        return [UNKNOWN] if positional is None else positional[1:]

    def _word(self, in_test: bool) -> str | None:
        """Read a word and expand it; return None for the number of a file descriptor in front of a redirection."""
        word = ""
        while True:
            if not self._ends_word(in_test):
                word += self._part()
            elif self._char() == "(" and word.endswith("=") and self._text[self._at - 1] == "=":
                self._skip_array()
                word += UNKNOWN
            else:
                return None if self._char() in ("<", ">") and word.isdigit() else word

    def _skip_array(self) -> None:
        """Skip the items of a bash array. Their values are ignored, but commands in their substitutions are read."""
        self._at += 1
        while (char := self._char()) != ")":
            if not char or char in "<>&|;(":
                raise Unreadable
            if char == "#":
                self._skip_comment()
            elif char in " \t\r\n":
                self._at += 1
            else:
                self._part()
        self._at += 1

    def _part(self) -> str:
        """Read the next part of a word: one character, a quoted string or an expansion."""
        char = self._char()
        if char == "\\":
            self._at += 2
            escaped = self._text[self._at - 1 : self._at]
            return "" if escaped == "\n" else escaped
        if char == "'":
            return self._single_quoted()
        if char == '"':
            return self._double_quoted()
        if char == "$":
            return self._expansion(UNKNOWN)
        if char == "`":
            raise Unreadable
        self._at += 1
        # A pathname expansion, whose result is not known.
        return UNKNOWN if char in "*?" else char

    def _single_quoted(self) -> str:
        start, end = self._at + 1, self._text.find("'", self._at + 1)
        if end < 0:
            raise Unreadable
        self._at = end + 1
        return self._text[start:end]

    def _double_quoted(self) -> str:
        parts = ""
        self._at += 1
        while (char := self._char()) != '"':
            if char in ("", "`"):
                raise Unreadable
            if char == "$":
                parts += self._expansion(UNKNOWN_QUOTED)
            elif char == "\\" and self._text[self._at + 1 : self._at + 2] in _ESCAPED_IN_QUOTES:
                parts += self._text[self._at + 1].replace("\n", "")
                self._at += 2
            else:
                parts += char
                self._at += 1
        self._at += 1
        return parts

    def _expansion(self, mark: str) -> str:
        """Read an expansion; `mark` is UNKNOWN or UNKNOWN_QUOTED."""
        self._at += 1
        # `$((` is arithmetic. In bash's $'...', a quote may be escaped.
        if self._text.startswith("((", self._at) or (self._char() == "'" and mark == UNKNOWN):
            raise Unreadable
        if self._char() == "(":
            self._command_substitution()
            return mark
        if self._char() == "{":
            return self._parameters.value(self._braced_name(), mark)
        name = self._plain_name()
        return self._parameters.value(name, mark) if name else "$"

    def _command_substitution(self) -> None:
        self._at += 1
        outer, self._substituted = self._substituted, []
        # The commands run in a subshell, so their assignments are not valid here. As after `&&`, they are uncertain.
        found = [tokens.replace(before="&&") for tokens in self.commands(")")]
        self._substituted = [*outer, *found]

    def _braced_name(self) -> str:
        start, end = self._at + 1, self._text.find("}", self._at)
        name = self._text[start:end]
        # bash reads quotes inside the braces, and a quoted closing brace does not end the expansion.
        if end < 0 or any(char in name for char in "$`'\"\\"):
            raise Unreadable
        self._at = end + 1
        return name

    def _plain_name(self) -> str:
        """Read the name of a parameter; return an empty text if the dollar sign begins no expansion."""
        text, start = self._text, self._at
        end = start
        while text[end : end + 1].isalnum() or text[end : end + 1] == "_":
            end += 1
            # A positional parameter without braces has one digit.
            if text[start].isdigit():
                break
        if end == start and self._char() in _SPECIAL_PARAMETERS:
            end += 1
        self._at = end
        return text[start:end]


def _command_name(words: list[str]) -> str:
    """Return the first word that is not reserved."""
    return next((word for word in words if word not in _RESERVED), "")
