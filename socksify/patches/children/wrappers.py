"""Programs that start the program in their arguments: nice, timeout, sudo, xargs, find and the like.

`env` is one of them, since it is how scripts find their Python, and how a Python loses its environment.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config.inherited import VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Wrapped(Record):
    """A command in a wrapper's arguments.

    `taken` names who takes away what leads to the hook, and is empty where it is left. Where `by_shell`, the only word
    is a shell's text.
    """

    words: tuple[str, ...]
    taken: str = ""
    by_shell: bool = False


class _Form(Record):
    """How a wrapper's arguments are read: its options that take a value, and how many words precede the command."""

    short: str = ""
    long: str = ""
    before: int = 0
    keeps: bool = True


_FORMS = {
    "nice": _Form("n", "adjustment"),
    "nohup": _Form(),
    "setsid": _Form(),
    "stdbuf": _Form("ioe", "input output error"),
    "timeout": _Form("ks", "kill-after signal", 1),
    "time": _Form("fo", "format output"),
    "ionice": _Form("cn", "class classdata"),
    "chrt": _Form("TPD", "sched-runtime sched-period sched-deadline", 1),
    "taskset": _Form("", "", 1),
    "linux32": _Form(),
    "linux64": _Form(),
    "numactl": _Form("ipCmN", "interleave preferred physcpubind membind cpunodebind"),
    "xargs": _Form("adEILnPs", "arg-file delimiter max-args max-procs max-chars process-slot-var"),
    "gosu": _Form("", "", 1),
    "su-exec": _Form("", "", 1),
    "tini": _Form("ep"),
    "dumb-init": _Form("r", "rewrite"),
    "dbus-run-session": _Form("", "config-file dbus-daemon"),
    "chroot": _Form("", "groups userspec", 1, keeps=False),
    "sudo": _Form(
        "CDghpRrTtUu",
        "close-from chdir group host prompt chroot role command-timeout type other-user user",
        keeps=False,
    ),
    "doas": _Form("Cu", keeps=False),
}
# Those of env(1) that matter, or take a value.
_ENV_LONG = {"ignore-environment": "i", "unset": "u", "chdir": "C", "split-string": "S", "argv0": "a"}
_ENV_WITH_VALUE = tuple("uCSa")
_EXECUTING = ("-exec", "-execdir", "-ok", "-okdir")
# A word that a program reads from its input; as a shell's text has a quoted expansion.
READ = "\1"
NAMES = frozenset((*_FORMS, "env", "find", "flock", "su", "runuser"))


def leads_to_hook(variable: str) -> bool:
    """Whether a child finds the hook, or its settings, by an environment variable."""
    return variable == "PYTHONPATH" or variable.startswith(VARIABLE)


def behind(name: str, words: Sequence[str]) -> list[Wrapped] | None:
    """What a wrapper of this name starts with this argv; None where that cannot be known."""
    if name == "env":
        return _behind_env(words)
    if name == "find":
        return _behind_find(words)
    if name == "flock":
        return _behind_flock(words)
    if name in ("su", "runuser"):
        return _behind_su(name, words)
    form = _FORMS[name]
    if name == "sudo" and any(word in ("-s", "-i", "--shell", "--login", "-e", "--edit") for word in words[1:]):
        return None
    rest = _behind_options(words[1:], form)[form.before :]
    while name == "sudo" and rest and "=" in rest[0]:
        del rest[0]
    if name == "xargs":
        # Behind them stand words that nobody knows.
        rest = [*(rest or ["echo"]), READ]
    return [Wrapped(tuple(rest), "" if form.keeps else name)] if rest else []


def _behind_options(words: Sequence[str], form: _Form) -> list[str]:
    remaining, long = list(words), form.long.split()
    while remaining and remaining[0].startswith("-") and remaining[0] != "-":
        word = remaining.pop(0)
        if word == "--":
            break
        name, equals, _ = word[2:].partition("=")
        if word.startswith("--"):
            takes = not equals and any(each.startswith(name) for each in long)
        else:
            first = next((place for place, letter in enumerate(word[1:], 2) if letter in form.short), 0)
            takes = first == len(word)
        if takes and remaining:
            del remaining[0]
    return remaining


def _behind_find(words: Sequence[str]) -> list[Wrapped]:
    found: list[Wrapped] = []
    rest = list(words)
    while any(word in _EXECUTING for word in rest):
        start = next(place for place, word in enumerate(rest) if word in _EXECUTING) + 1
        end = next((place for place in range(start, len(rest)) if rest[place] in (";", "+")), len(rest))
        if start < end:
            found.append(Wrapped(tuple(rest[start:end])))
        rest = rest[end:]
    return found


def _behind_flock(words: Sequence[str]) -> list[Wrapped] | None:
    rest = _behind_options(words[1:], _Form("wE", "wait timeout conflict-exit-code"))[1:]
    if rest[:1] in (["-c"], ["--command"]):
        return [Wrapped((rest[1],), by_shell=True)] if len(rest) == 2 else None
    return [Wrapped(tuple(rest))] if rest else []


def _behind_su(name: str, words: Sequence[str]) -> list[Wrapped] | None:
    """A user's shell with the text behind -c, or runuser's command behind -u USER."""
    rest, taken, text, is_command = list(words[1:]), "", "", False
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        option, equals, value = word.partition("=")
        if word in ("-", "-l", "--login"):
            taken = name
        elif option in ("-c", "--command", "--session-command", "-s", "--shell", "-u", "--user", "-g", "-G", "-w"):
            given = value if equals else rest.pop(0) if rest else ""
            text = given if option in ("-c", "--command", "--session-command") else text
            is_command = is_command or (name == "runuser" and option in ("-u", "--user"))
        elif word not in ("-m", "-p", "--preserve-environment", "-f", "--fast", "-P", "--pty"):
            return None
    if is_command:
        return [Wrapped(tuple(rest), taken)] if rest else []
    if not text and len(rest) == 3 and rest[1] == "-c":
        text, rest = rest[2], rest[:1]
    return [Wrapped((text,), taken, by_shell=True)] if text and len(rest) < 2 else None


def _behind_env(words: Sequence[str]) -> list[Wrapped]:
    kept, remaining = True, list(words[1:])
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            continue
        if word.startswith("-"):
            letters, value = _env_option(word)
            if value is None and letters[-1:] in _ENV_WITH_VALUE:
                value = remaining.pop(0) if remaining else ""
            kept = kept and "i" not in letters and not (letters[-1:] == "u" and leads_to_hook(value or ""))
            if letters[-1:] == "S":
                remaining = [*_split(value or ""), *remaining]
        elif "=" in word:
            kept = kept and not leads_to_hook(word.partition("=")[0])
        else:
            return [Wrapped((word, *remaining), "" if kept else "env")]
    return []


def _split(text: str) -> list[str]:
    """As env -S splits it, which knows quotes."""
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
