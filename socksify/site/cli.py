"""`socksify site`: installs the hook into an environment, removes it, and tells which starts of Python it covers.

The command opens no socket and does not import `socket`, so that it works even if the hook is damaged.
"""

from __future__ import annotations

import sys

from socksify.config.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_USAGE = """\
usage: socksify site install [--python PATH] [--force] [--no-settings | options]
       socksify site uninstall [--python PATH]
       socksify site status [--python PATH] [--json]

Puts every program of a Python, or of its virtual environment, behind the proxy.

  install         put a hook into its site-packages, with these options of socksify (--proxy, --route, ...,
                  see socksify --help), which are checked and kept as its settings. Without options the
                  settings that were installed stay; where there were none, SOCKSIFY_* variables decide
  uninstall       take it out, to the last byte
  status          start that Python plain, with -I, with -S and with an empty environment, and say which of them
                  is covered; the exit status is 0 when all are but -S, which no hook survives, else 1

  --python PATH   the Python, or its virtual environment; it needs socksify, too (default: this Python)
  --no-settings   install without settings, and delete those that were installed: SOCKSIFY_* variables decide
  --force         install even where something else manages the packages (EXTERNALLY-MANAGED, PEP 668)
  --json          print an object

A script that is called `site` is run by `socksify ./site`.
"""
_WITH_VALUE = "--python"
_NO_SETTINGS = "--no-settings"
_FLAGS = {"install": ("--force", _NO_SETTINGS), "uninstall": (), "status": ("--json",)}


def main(words: Sequence[str]) -> int:
    """Run `socksify site` with the arguments `words`, and return the exit status: 2 after one line about an error."""
    _switch_off_hook()
    try:
        return _main(list(words))
    except ConfigError as error:
        return _failed(str(error))


def run(words: Sequence[str]) -> int:
    """Run the command for this Python; `words` are the arguments without --python. Returns the exit status."""
    _switch_off_hook()
    try:
        return _run(list(words))
    except ConfigError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}; expected files that can be written")


def _switch_off_hook() -> None:
    """Let the hook of this process do nothing: the command is about other starts of Python, its children."""
    hook: Any = sys.modules.get("socksify_hook")
    # An empty directory socksify_hook/ is a module without attributes.
    if getattr(hook, "state", "") == "waiting":
        hook.give_up()


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
        return run(rest)
    from socksify.site.target_python import delegate

    return delegate(path, rest)


def _python(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the value of --python, or None, and the other words."""
    path, rest = None, []
    waiting = iter(words)
    for word in waiting:
        option, equals, value = word.partition("=")
        if option != _WITH_VALUE:
            rest.append(word)
            continue
        path = value if equals else next(waiting, "")
        if not path:
            raise ConfigError("--python: expected a path after it")
    return path, rest


def _run(words: list[str]) -> int:
    action, *rest = words
    flags = {word for word in rest if word in _FLAGS[action]}
    rest = [word for word in rest if word not in flags]
    if rest in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    if action == "install":
        return _install(rest, flags)
    if rest:
        raise ConfigError(f"{action}: unexpected {rest[0]!r}; see socksify site --help")
    return _status(as_json=bool(flags)) if action == "status" else _uninstall()


def _install(words: list[str], flags: set[str]) -> int:
    from socksify.site import hook_files, target_python

    settings, secret = _settings(words)
    if _NO_SETTINGS in flags:
        if settings is not None:
            raise ConfigError(f"install: {_NO_SETTINGS} and {words[0].partition('=')[0]} exclude each other")
        settings = ""
    marker = target_python.manager()
    if marker is not None and "--force" not in flags:
        raise ConfigError(
            f"{sys.executable}: its packages are managed by something else ({marker});"
            " use a virtual environment, or --force"
        )
    directory = target_python.site_packages()
    target_python.check_package()
    if settings is None and hook_files.has_settings(directory):
        _check_kept(hook_files.settings_file(directory))
    hook_files.write(directory, settings, secret=secret)
    sys.stdout.write(_installed(directory, kept=settings is None))
    return 0


def _check_kept(settings_file: str) -> None:
    """Raise ConfigError if the installed settings are not valid any more: programs would have a closed network."""
    from socksify.site.hook_entry import load

    try:
        load({}, "", settings_file, with_settings=True)
    except ConfigError as error:
        raise ConfigError(f"{error}. Or install without settings: install {_NO_SETTINGS}") from None


def _installed(directory: str, *, kept: bool) -> str:
    from socksify.site import hook_files

    home, settings_file = hook_files.home(directory), hook_files.settings_file(directory)
    if not hook_files.has_settings(directory):
        return f"{home}: installed; it is off until SOCKSIFY_PROXY, or another SOCKSIFY_* variable, is set\n"
    text = f"{home}: installed; every program that {sys.executable} starts from now on goes through the proxy\n"
    if kept:
        text += f"{settings_file}: kept as it was\n"
    if hook_files.is_private(settings_file):
        text += (
            f"{settings_file}: holds a password, so its owner alone may read it. Programs of other users of this"
            " environment meet a closed network. To let a group use it: chgrp GROUP, and chmod 640, that file\n"
        )
    return text


def _settings(words: list[str]) -> tuple[str | None, bool]:
    """Return the options as the text of a settings file, or None without options, and True if it has a password."""
    import tomllib

    from socksify.config.command_line import parse
    from socksify.config.settings_text import document
    from socksify.program.main_module import working_directory

    arguments, program, actions = parse(words)
    if program or actions:
        raise ConfigError(f"install: unexpected {(program or [f'--{action}' for action in actions])[0]!r}")
    if not arguments:
        return None, False
    text, secret = document(arguments, working_directory() or "")
    if tomllib.loads(text).get("seal") == "on":
        # Every program of the environment would have a closed network.
        raise ConfigError(
            "install: seal: 'on': expected auto or off, because a hook runs in a process that has begun, and cannot"
            f" seal it. Start the programs that need a seal by {sys.executable} -m socksify --seal=on"
        )
    return text, secret


def _uninstall() -> int:
    from socksify.site import hook_files, target_python

    directory = target_python.site_packages()
    if not hook_files.is_there(directory):
        sys.stdout.write(f"{directory}: there is no hook of socksify\n")
        return 0
    left = hook_files.remove(directory)
    sys.stdout.write(f"{hook_files.home(directory)}: removed\n")
    for path in left:
        sys.stdout.write(f"{path}: left, it is none of ours\n")
    return 0


def _status(*, as_json: bool) -> int:
    from socksify.site import target_python

    starts = target_python.starts(sys.executable)
    sys.stdout.write(
        target_python.as_json(sys.executable, starts) if as_json else target_python.as_text(sys.executable, starts)
    )
    return 0 if all(start.covered or start.name == "-S" for start in starts) else 1
