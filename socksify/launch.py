"""The command `socksify`: first it reads the settings, then it installs the patches, then it runs the program.

Only `sys` is imported until the directory that python has put in front of `sys.path` (the working directory for `python
-m socksify`) is removed from it: a `socket.py` in that directory must not be imported by socksify.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from socksify.config.command_line import Actions
    from socksify.config.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program of the command line through the configured proxy.

    `argv` are the arguments after `socksify`. None takes them from `sys.argv`, and means that this process was started
    for the command. Return the exit status: 0, or 2 if a setting cannot be used. In that case one line is written to
    stderr, and the program is not started. SystemExit and the exceptions of the program pass through.
    """
    if argv is None:
        _leave_path()
        argv = sys.argv[1:]
    if argv[:1] == ["site"]:
        from socksify.site.cli import main as site

        return site(argv[1:])
    withdraw_shadowed = _shield(argv)
    from socksify.config.errors import ConfigError

    try:
        program = _prepare(argv)
    except (ConfigError, _CannotInstallError) as error:
        sys.stderr.write(f"socksify: {error}\n")
        return 2
    if program:
        from socksify.program import run

        withdraw_shadowed()
        run(program)
    return 0


def _leave_path() -> None:
    # With safe_path (-P, -I, PYTHONSAFEPATH), python has put no directory there.
    if not sys.flags.safe_path:
        del sys.path[0]


def _shield(argv: Sequence[str]) -> Callable[[], None]:
    """Call `main_module.shield` for the program, before any module of ours imports inside a function."""
    from socksify.config.command_line import parse
    from socksify.config.errors import ConfigError

    try:
        _, program, _ = parse(argv)
    except ConfigError:  # reported when the command line is read again
        program = []
    if not program:
        return lambda: None
    from socksify.program import directory_of
    from socksify.program.main_module import shield

    return shield(directory_of(program))


def _prepare(argv: Sequence[str]) -> list[str]:
    """Carry out the options. Return the program and its arguments, or [] if none is to be run. Raises ConfigError."""
    from socksify.config.command_line import parse
    from socksify.config.errors import ConfigError

    arguments, program, actions = parse(argv)
    answer = _answer(arguments, actions)
    if answer is not None:
        sys.stdout.write(answer)
        return []
    if not program:
        raise ConfigError("no program given; see socksify --help")
    if program[0] in ("-m", "-c") and len(program) == 1:
        raise ConfigError(f"argument expected for the {program[0]} option")
    _install(arguments, actions)
    return program


def _answer(arguments: Mapping[str, object], actions: Actions) -> str | None:
    """Return the output of the options that only print something; None if there is no such option."""
    if "help" in actions:
        from socksify.config.command_line import usage

        return usage()
    if "version" in actions:
        from socksify import __version__

        return f"socksify {__version__}\n"
    if "show" in actions:
        return _show(_settings(arguments, actions), actions["show"] == "json")
    destinations = actions.get("explain")
    if isinstance(destinations, list):
        settings = _settings(arguments, actions)
        return "".join([_explain(settings, destination) for destination in destinations])
    return None


def _settings(arguments: Mapping[str, object], actions: Actions) -> Settings:
    import os

    from socksify import config
    from socksify.program.main_module import working_directory

    if "embedded" in actions:
        arguments = {**arguments, "proxy": _embedded(arguments)}
    return config.load(arguments, os.environ, working_directory() or os.curdir)


def _embedded(arguments: Mapping[str, object]) -> str:
    """Start a SOCKS server in this process, and return its URL."""
    from socksify.config.errors import ConfigError
    from socksify.server.embedded import start

    if "proxy" in arguments:
        raise ConfigError("--embedded and --proxy exclude each other")
    return start().url


def _show(settings: Settings, as_json: bool) -> str:
    import os

    from socksify.config.settings_text import show, show_json

    return (show_json if as_json else show)(settings, os.environ)


def _explain(settings: Settings, destination: str) -> str:
    from socket import AF_INET, AF_INET6, gaierror

    from socksify.config.errors import ConfigError
    from socksify.routing.route import Blocked, Via
    from socksify.routing.router import Router

    host, port = _host_and_port(destination)
    try:
        route = Router(settings).decide(AF_INET6 if ":" in host else AF_INET, (host, port))
    except gaierror as error:
        raise ConfigError(f"--explain: {host!r} cannot be resolved on this machine: {error.strerror}") from None
    if isinstance(route, Blocked):
        return f"{destination}: refused: {route.why}\n"
    because = f" (rule {route.rule.text!r}, {route.rule.source})" if route.rule else ""
    if not isinstance(route, Via):
        return f"{destination}: direct{because}\n"
    # The target as the proxy gets it: a name, or the address to which the name was resolved here.
    target = f"[{route.target.host}]" if ":" in route.target.host else route.target.host
    return f"{destination}: {target}:{port} through {' + '.join(proxy.url for proxy in route.chain)}{because}\n"


def _host_and_port(destination: str) -> tuple[str, int]:
    from socksify.config.errors import ConfigError

    if "://" in destination or "@" in destination or "/" in destination:
        # The value is not shown, because it may contain a password.
        raise ConfigError("--explain: expected HOST:PORT, such as www.example:443, and not a URL")
    host, _, port = destination.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--explain: {destination!r}: expected HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _CannotInstallError(Exception):
    """The settings are right, but the patches cannot be installed: this Python, or our package, lacks something."""


def _install(arguments: Mapping[str, object], actions: Actions) -> None:
    from socksify.config.errors import ConfigError

    settings = _settings(arguments, actions)
    from socksify import patches
    from socksify.patches.c_extensions import ImportedAlreadyError

    try:
        patches.install(settings)
    except ImportedAlreadyError as error:
        raise ConfigError(f"{settings.sources.get('strict', 'strict')}: {error}") from None
    except OSError as error:
        if settings.log and error.filename == settings.log:
            raise ConfigError(f"{settings.sources.get('log', 'log')}: {error}") from None
        raise _CannotInstallError(_nothing_has_started(error)) from None
    except (ImportError, patches.PatchError) as error:
        raise _CannotInstallError(_nothing_has_started(error)) from None


def _nothing_has_started(error: Exception) -> str:
    return f"it cannot install in {sys.executable}, and nothing has started: {error}"
