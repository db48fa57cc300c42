"""The command line of the launcher. Its options end where the program begins, as on python's command line.

    socksify [options] (script | -m module | -c code | directory | zip file | - | command) arguments...

argparse is not used: its import takes ten milliseconds, and it would also read the options of the program.
"""

from __future__ import annotations

from socksify.config.errors import ConfigError
from socksify.config.schema import BY_OPTION, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Actions = dict[str, str | bool | list[str]]

# Actions of the launcher, with the value of each action whose option is given without a value.
_ACTIONS: dict[str, str | bool] = {"--embedded": True, "--show": "text", "--help": True, "--version": True}
# This action needs a value, and may be given several times.
_REPEATED = "--explain"
# The options of python(1) that neither socksify has nor begin a program. Some of them take values.
_PYTHONS = frozenset("bBdEiIOPqRsSuvVWxX?")
_PYTHONS_LONG = ("--check-hash-based-pycs", "--help-all", "--help-env", "--help-xoptions")
_SHORT = {"-h": "--help"}
_SHOWN_AS = ("text", "json")


def parse(argv: Sequence[str]) -> tuple[dict[str, object], list[str], Actions]:
    """Return (arguments for config.load(), the program with its own arguments, the actions of the launcher).

    The actions are `embedded`, `help` and `version` (True), `show` (`text` or `json`) and `explain` (a list of
    `HOST:PORT`). Only the actions that were given are present. Raises ConfigError for an unknown option, for an option
    without its value, and for an option with a value that it does not take.
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
            # The text after a colon is not shown: it may be a password, if a blank before a URL is missing.
            raise ConfigError(f"unknown option {option.partition(':')[0]!r}; {_advice(word)}")
    return arguments, words, actions


def usage() -> str:
    """Return the text of --help."""
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
        "Runs a program, its connections through a SOCKS server. PROGRAM is a Python\n"
        "program (a script, -m module, -c code, a directory, a zip file, or - for\n"
        "stdin), which runs as under python, or a command.\n\n"
        f"{options}\n\n{_folded(sources, 0)}\n"
    )


def _starts_program(word: str) -> bool:
    """Return True for a script, a directory, a zip file, and - (stdin); also for -m and -c, alone or with a value."""
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
    """Return the value after the `=` of an option. An option that means "no" takes no value, which could reverse it."""
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
    """Return the text in lines of less than 80 columns. Every line except the first is indented."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + indent > 78:
            lines.append(line)
            line = ""
        line += (" " if line else "") + word
    return ("\n" + " " * indent).join([*lines, line])
