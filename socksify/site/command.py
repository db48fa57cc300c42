"""`socksify site`: puts the hook into an environment, takes it out, and says who is covered by it.

It opens no socket and does not import `socket`, so that it works where the hook is broken.
"""

from __future__ import annotations

import sys

from socksify.config.settings import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = """\
usage: socksify site install [--python PATH] [--force] [options]
       socksify site uninstall [--python PATH]
       socksify site status [--python PATH] [--json]

Puts every program that a Python starts behind the proxy: the whole virtual environment, say.

  install         put a hook into its site-packages, with these options of socksify (--proxy, --route, ...,
                  see socksify --help), which are checked and kept; or with none, for SOCKSIFY_* to decide
  uninstall       take it out, to the last byte
  status          start that Python plain, with -I, with -S and with an empty environment, and say which of them
                  is covered; the exit status is 0 when all are but -S, which no hook survives, else 1

  --python PATH   the Python, or its virtual environment; it needs socksify, too. This one unless given
  --force         install even where something else manages the packages (EXTERNALLY-MANAGED, PEP 668)
  --json          print an object

A script that is called `site` is run by `socksify ./site`.
"""
_WITH_VALUE = "--python"
_FLAGS = {"install": ("--force",), "uninstall": (), "status": ("--json",)}


def main(words: Sequence[str]) -> int:
    """Does what the words behind `socksify site` say; the exit status, 2 after one line on stderr if it cannot."""
    _stand_aside()
    try:
        return _main(list(words))
    except ConfigError as error:
        return _failed(str(error))


def obey(words: Sequence[str]) -> int:
    """The same without --python: for this Python."""
    _stand_aside()
    try:
        return _obey(list(words))
    except ConfigError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}; expected files that can be written")


def _stand_aside() -> None:
    """The hook of this very process is to do nothing: what is asked about is how others start, children of this one."""
    hook = sys.modules.get("socksify_hook")
    if hook is not None and hook.state == "waiting":
        from socksify_hook import waiting

        waiting.give_up()


def _failed(message: str) -> int:
    sys.stderr.write(f"socksify site: {message}\n")
    return 2


def _main(words: list[str]) -> int:
    if words and words[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE)
        return 0
    if not words or words[0] not in _FLAGS:
        raise ConfigError(
            f"expected {', '.join(_FLAGS)}{f', not {words[0]!r}' if words else ''}; see socksify site --help"
        )
    path, rest = _python(words)
    if path is None:
        return obey(rest)
    from socksify.site.interpreter import delegate

    return delegate(path, rest)


def _python(words: list[str]) -> tuple[str | None, list[str]]:
    """What --python names, and the words without it."""
    path, rest = None, []
    waiting = iter(words)
    for word in waiting:
        option, equals, value = word.partition("=")
        if option != _WITH_VALUE:
            rest.append(word)
            continue
        path = value if equals else next(waiting, "")
        if not path:
            raise ConfigError("--python: expected a path behind it")
    return path, rest


def _obey(words: list[str]) -> int:
    action, *rest = words
    flags = {word for word in rest if word in _FLAGS[action]}
    rest = [word for word in rest if word not in flags]
    if rest in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    if action == "install":
        return _install(rest, force=bool(flags))
    if rest:
        raise ConfigError(f"{action}: unexpected {rest[0]!r}; see socksify site --help")
    return _status(as_json=bool(flags)) if action == "status" else _uninstall()


def _install(words: list[str], *, force: bool) -> int:
    from socksify.site import files, interpreter

    settings, secret = _settings(words)
    marker = interpreter.manager()
    if marker is not None and not force:
        raise ConfigError(
            f"{sys.executable}: its packages are managed by something else ({marker});"
            " use a virtual environment, or --force"
        )
    directory = interpreter.site_packages()
    interpreter.check_package()
    files.write(directory, settings, secret=secret)
    sys.stdout.write(_installed(files.home(directory), files.settings_file(directory), settings, secret))
    return 0


def _installed(home: str, settings_file: str, settings: str, secret: bool) -> str:
    if not settings:
        return f"{home}: installed; it is off until SOCKSIFY_PROXY, or another SOCKSIFY_* variable, is set\n"
    text = f"{home}: installed; every program that {sys.executable} starts from now on goes through the proxy\n"
    if secret:
        text += f"{settings_file}: holds a password, so its owner alone may read it; for others the network is closed\n"
    return text


def _settings(words: list[str]) -> tuple[str, bool]:
    """The options as a file, empty if there are none, and whether there is a password in it."""
    from socksify.config.options import parse
    from socksify.config.writing import document
    from socksify.program.surroundings import working_directory

    arguments, program, actions = parse(words)
    if program or actions:
        raise ConfigError(f"install: unexpected {(program or [f'--{action}' for action in actions])[0]!r}")
    if not arguments:
        return "", False
    return document(arguments, working_directory() or "")


def _uninstall() -> int:
    from socksify.site import files, interpreter

    directory = interpreter.site_packages()
    if not files.is_there(directory):
        sys.stdout.write(f"{directory}: there is no hook of socksify\n")
        return 0
    left = files.remove(directory)
    sys.stdout.write(f"{files.home(directory)}: removed\n")
    for path in left:
        sys.stdout.write(f"{path}: left, it is none of ours\n")
    return 0


def _status(*, as_json: bool) -> int:
    from socksify.site import status

    starts = status.starts(sys.executable)
    sys.stdout.write(status.as_json(sys.executable, starts) if as_json else status.as_text(sys.executable, starts))
    return 0 if all(start.covered or start.name == "-S" for start in starts) else 1
