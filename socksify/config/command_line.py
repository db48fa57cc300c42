"""The launcher's command line, read as python reads its own: ours ends where the program begins.

    socksify [options] (script | -m module | -c code | directory | zip file | -) arguments...

argparse would cost ten milliseconds at each start, and would want to understand the program's options too.
"""

from __future__ import annotations

from socksify.config.errors import ConfigError
from socksify.config.schema import BY_OPTION, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Actions = dict[str, str | bool | list[str]]

# What the launcher is to do, with the value that stands for the bare option.
_ACTIONS: dict[str, str | bool] = {"--embedded": True, "--show": "text", "--help": True, "--version": True}
# This one needs a value, and may be given several times.
_REPEATED = "--explain"
# python(1): its own options, but for those that are ours as well, or begin a program. They may have values.
_PYTHONS = frozenset("bBdEiIOPqRsSuvVWxX?")
_PYTHONS_LONG = ("--check-hash-based-pycs", "--help-all", "--help-env", "--help-xoptions")
_SHORT = {"-h": "--help"}
_SHOWN_AS = ("text", "json")


def parse(argv: Sequence[str]) -> tuple[dict[str, object], list[str], Actions]:
    """(arguments for config.load(), the program and its arguments untouched, what the launcher is to do).

    The last has `embedded`, `help` and `version` (True), `show` (`text` or `json`), `explain` (a list of `HOST:PORT`),
    each only when asked for. Raises ConfigError for an unknown option and for one that lacks its value or has too many.
    """
    arguments: dict[str, object] = {}
    actions: Actions = {}
    words = list(argv)
    while words and not _starts_program(words[0]):
        word = _SHORT.get(words[0], words[0])
        del words[0]
        if word == "--":
            break
        if word == "-v":
            arguments.setdefault("log", "stderr")
            continue
        option, equals, value = word.partition("=")
        if option in BY_OPTION:
            _add(arguments, option, _given(option, value) if equals else _value(option, words))
        elif option == _REPEATED:
            earlier = actions.get("explain", [])
            actions["explain"] = [*(earlier if isinstance(earlier, list) else []), value or _next(words, option)]
        elif option in _ACTIONS:
            actions[option[2:]] = _action(option, value if equals else None)
        else:
            # What follows a colon may be a password, of a URL glued to its option.
            raise ConfigError(f"unknown option {option.partition(':')[0]!r}; {_advice(word)}")
    return arguments, words, actions


def usage() -> str:
    """The text of --help."""
    rows = [(f"{setting.option} {setting.metavar}".rstrip(), setting.help) for setting in SETTINGS]
    rows += [
        ("-v", "short for --log stderr"),
        ("--embedded", "start a SOCKS server in this process and go through it"),
        ("--show[=text|json]", "print the settings in force and where each came from"),
        ("--explain HOST:PORT", "print the route of such a connection, and the rule that says so; may be repeated"),
        ("-h, --help", "print this"),
        ("--version", "print the version"),
    ]
    options = "\n".join(f"  {left:28}{_folded(right, 30)}" for left, right in rows)
    variables = ", ".join(setting.variable for setting in SETTINGS)
    sources = (
        f"Read after the options, the strongest first: {variables}; socksify.toml here, if it"
        " names the proxy and nobody else can have written it, or in ~/.config/socksify;"
        " ALL_PROXY with NO_PROXY; SOCKS5_SERVER, SOCKS4_SERVER, SOCKS_SERVER."
    )
    return (
        "usage: socksify [options] PROGRAM arguments...\n"
        "       socksify site --help, for whole environments\n\n"
        "Runs a Python program as python does, its connections through a SOCKS server.\n"
        "PROGRAM is a script, -m module, -c code, a directory, a zip file, or - (stdin).\n\n"
        f"{options}\n\n{_folded(sources, 0)}\n"
    )


def _starts_program(word: str) -> bool:
    """A script, a directory, a zip file, - for stdin; -m and -c, with or without their value in the same word."""
    return not word.startswith("-") or word == "-" or word.startswith(("-m", "-c"))


def _add(arguments: dict[str, object], option: str, value: str) -> None:
    setting = BY_OPTION[option]
    earlier = arguments.get(setting.name, []) if setting.many else None
    arguments[setting.name] = [*earlier, value] if isinstance(earlier, list) else value


def _advice(word: str) -> str:
    is_pythons = word.partition("=")[0] in _PYTHONS_LONG if word.startswith("--") else word[1:2] in _PYTHONS
    if not is_pythons:
        return "see socksify --help"
    name = word.partition("=")[0] if word.startswith("--") else word[:2]
    return f"python's own options stand before: python {name} ... -m socksify ..."


def _action(option: str, value: str | None) -> str | bool:
    if value is None:
        return _ACTIONS[option]
    if option != "--show" or value not in _SHOWN_AS:
        raise ConfigError(f"{option}: {value!r}: expected {'text or json' if option == '--show' else 'no value'}")
    return value


def _given(option: str, value: str) -> str:
    """The value behind an option's `=`; one that says no by its name has none, which would turn it round."""
    if BY_OPTION[option].bare == "no":
        raise ConfigError(f"{option}: {value!r}: expected no value")
    return value


def _value(option: str, words: list[str]) -> str:
    return _next(words, option) if BY_OPTION[option].metavar else BY_OPTION[option].bare


def _next(words: list[str], option: str) -> str:
    if not words:
        raise ConfigError(f"{option}: expected a value behind it")
    return words.pop(0)


def _folded(text: str, indent: int) -> str:
    """Lines of less than 80 columns."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + indent > 78:
            lines.append(line)
            line = ""
        line += (" " if line else "") + word
    return ("\n" + " " * indent).join([*lines, line])
