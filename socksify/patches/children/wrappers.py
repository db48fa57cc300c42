"""Wrappers: programs that start the program in their arguments, like nice, timeout, sudo, xargs and find.

`env` is a wrapper, too: `#!` lines of scripts use it to find Python, and it can clear a Python's environment.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config.inherited import VARIABLE
from socksify.patches.children.shell_words import UNKNOWN_QUOTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Wrapped(Record):
    """A command in the arguments of a wrapper.

    `cleared_by` names the wrapper if it removes a variable that leads to the hook from the environment. It is empty if
    the wrapper does not. If `is_shell_text` is True, `words` has one word, the text for a shell.
    """

    words: tuple[str, ...]
    cleared_by: str = ""
    is_shell_text: bool = False


class _Syntax(Record):
    """The syntax of the arguments of a wrapper.

    `short` and `long` are the options that take a value: letters, and names with blanks between them. `operands` is the
    number of words between the options and the command. `keeps_environment` is False if the wrapper gives the command
    another environment.
    """

    short: str = ""
    long: str = ""
    operands: int = 0
    keeps_environment: bool = True


_SYNTAX = {
    "nice": _Syntax("n", "adjustment"),
    "nohup": _Syntax(),
    "setsid": _Syntax(),
    "stdbuf": _Syntax("ioe", "input output error"),
    "timeout": _Syntax("ks", "kill-after signal", 1),
    "time": _Syntax("fo", "format output"),
    "ionice": _Syntax("cn", "class classdata"),
    "chrt": _Syntax("TPD", "sched-runtime sched-period sched-deadline", 1),
    "taskset": _Syntax("", "", 1),
    "linux32": _Syntax(),
    "linux64": _Syntax(),
    "numactl": _Syntax("ipCmN", "interleave preferred physcpubind membind cpunodebind"),
    "xargs": _Syntax("adEILnPs", "arg-file delimiter max-args max-procs max-chars process-slot-var"),
    "gosu": _Syntax("", "", 1),
    "su-exec": _Syntax("", "", 1),
    "tini": _Syntax("ep"),
    "dumb-init": _Syntax("r", "rewrite"),
    "dbus-run-session": _Syntax("", "config-file dbus-daemon"),
    "chroot": _Syntax("", "groups userspec", 1, keeps_environment=False),
    "sudo": _Syntax(
        "CDghpRrTtUu",
        "close-from chdir group host prompt chroot role command-timeout type other-user user",
        keeps_environment=False,
    ),
    "doas": _Syntax("Cu", keeps_environment=False),
}
_FLOCK = _Syntax("wE", "wait timeout conflict-exit-code")
WRAPPERS = frozenset((*_SYNTAX, "env", "find", "flock", "su", "runuser"))

_SUDO_STARTS_SHELL = ("-s", "-i", "--shell", "--login", "-e", "--edit")
_FIND_EXECUTES = ("-exec", "-execdir", "-ok", "-okdir")
_SU_COMMAND = ("-c", "--command", "--session-command")
_SU_USER = ("-u", "--user")
_SU_WITH_VALUE = (*_SU_COMMAND, *_SU_USER, "-s", "--shell", "-g", "-G", "-w")
_SU_FLAGS = ("-m", "-p", "--preserve-environment", "-f", "--fast", "-P", "--pty")
# The options of env(1) that take a value or change what leads to the hook.
_ENV_LONG = {"ignore-environment": "i", "unset": "u", "chdir": "C", "split-string": "S", "argv0": "a"}
_ENV_WITH_VALUE = tuple("uCSa")


def leads_to_hook(variable: str) -> bool:
    """Return True if a child finds the hook, or its settings, by this environment variable."""
    return variable == "PYTHONPATH" or variable.startswith(VARIABLE)


def wrapped_commands(name: str, words: Sequence[str]) -> list[Wrapped] | None:
    """Return the commands that the wrapper `name` starts with the argv `words`, or None if they are not known."""
    if name == "env":
        return _commands_of_env(words)
    if name == "find":
        return _commands_of_find(words)
    if name == "flock":
        return _commands_of_flock(words)
    if name in ("su", "runuser"):
        return _commands_of_su(name, words)
    if name == "sudo" and any(word in _SUDO_STARTS_SHELL for word in words[1:]):
        return None
    syntax = _SYNTAX[name]
    command = _without_options(words[1:], syntax)[syntax.operands :]
    while name == "sudo" and command and "=" in command[0]:
        del command[0]
    if name == "xargs":
        # The words that xargs reads and puts behind the command are not known.
        command = [*(command or ["echo"]), UNKNOWN_QUOTED]
    return [Wrapped(tuple(command), "" if syntax.keeps_environment else name)] if command else []


def _without_options(words: Sequence[str], syntax: _Syntax) -> list[str]:
    """Return the words after a wrapper's options and the values of the options."""
    remaining = list(words)
    while remaining and remaining[0].startswith("-") and remaining[0] != "-":
        word = remaining.pop(0)
        if word == "--":
            break
        if _value_follows(word, syntax) and remaining:
            del remaining[0]
    return remaining


def _value_follows(word: str, syntax: _Syntax) -> bool:
    """Return True if the value of an option is the next word."""
    if word.startswith("--"):
        name, equals, _ = word[2:].partition("=")
        return not equals and any(each.startswith(name) for each in syntax.long.split())
    end = next((end for end, letter in enumerate(word[1:], 2) if letter in syntax.short), 0)
    return end == len(word)


def _commands_of_find(words: Sequence[str]) -> list[Wrapped]:
    found: list[Wrapped] = []
    rest = list(words)
    while any(word in _FIND_EXECUTES for word in rest):
        start = next(index for index, word in enumerate(rest) if word in _FIND_EXECUTES) + 1
        end = next((index for index in range(start, len(rest)) if rest[index] in (";", "+")), len(rest))
        if start < end:
            found.append(Wrapped(tuple(rest[start:end])))
        rest = rest[end:]
    return found


def _commands_of_flock(words: Sequence[str]) -> list[Wrapped] | None:
    rest = _without_options(words[1:], _FLOCK)[1:]
    if rest[:1] in (["-c"], ["--command"]):
        return [Wrapped((rest[1],), is_shell_text=True)] if len(rest) == 2 else None
    return [Wrapped(tuple(rest))] if rest else []


def _commands_of_su(name: str, words: Sequence[str]) -> list[Wrapped] | None:
    """Read `su [options] [user] -c TEXT`, and `runuser -u USER COMMAND`."""
    rest, cleared_by, text, is_command = list(words[1:]), "", "", False
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        option, equals, value = word.partition("=")
        if word in ("-", "-l", "--login"):
            cleared_by = name
        elif option in _SU_WITH_VALUE:
            given = value if equals else rest.pop(0) if rest else ""
            text = given if option in _SU_COMMAND else text
            is_command = is_command or (name == "runuser" and option in _SU_USER)
        elif word not in _SU_FLAGS:
            return None
    if is_command:
        return [Wrapped(tuple(rest), cleared_by)] if rest else []
    if not text and len(rest) == 3 and rest[1] == "-c":
        text, rest = rest[2], rest[:1]
    return [Wrapped((text,), cleared_by, is_shell_text=True)] if text and len(rest) < 2 else None


def _commands_of_env(words: Sequence[str]) -> list[Wrapped]:
    keeps_hook, remaining = True, list(words[1:])
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            continue
        if word.startswith("-"):
            letters, value = _env_option(word)
            if value is None and letters[-1:] in _ENV_WITH_VALUE:
                value = remaining.pop(0) if remaining else ""
            keeps_hook = keeps_hook and "i" not in letters and not (letters[-1:] == "u" and leads_to_hook(value or ""))
            if letters[-1:] == "S":
                remaining = [*_split(value or ""), *remaining]
        elif "=" in word:
            keeps_hook = keeps_hook and not leads_to_hook(word.partition("=")[0])
        else:
            return [Wrapped((word, *remaining), "" if keeps_hook else "env")]
    return []


def _env_option(word: str) -> tuple[str, str | None]:
    """Return the letters of a word of options, and the value of the last option if it is in the same word."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        # getopt_long(3): "Long option names may be abbreviated".
        letter = next((letter for long, letter in _ENV_LONG.items() if name and long.startswith(name)), "")
        return letter, value if equals else None
    letters = word[1:] or "i"
    end = next((end for end, letter in enumerate(letters, 1) if letter in _ENV_WITH_VALUE), len(letters))
    return letters[:end], letters[end:] or None


def _split(text: str) -> list[str]:
    """Split a text into words as `env -S` does. Quotes keep blanks inside a word."""
    words, word, quote = [], "", ""
    for char in f"{text} ":
        if quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "'\"":
            quote = char
        elif char in " \t":
            words += [word] if word else []
            word = ""
        else:
            word += char
    return words
