"""The command `socksify`: first it reads the settings, then it seals or patches, then it runs the program.

Only `sys` is imported until the directory that python has put in front of `sys.path` (the working directory for `python
-m socksify`) is removed from it: a `socket.py` in that directory must not be imported by socksify.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
    from socksify.launch.start import CannotStartError

    try:
        program = _prepare(argv)
    except (ConfigError, CannotStartError) as error:
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
    """Carry out the options, and start the program if it is a command.

    Return the Python program and its arguments, or [] if none is to be run. Raises ConfigError and CannotStartError.
    """
    from socksify.config.command_line import parse
    from socksify.config.errors import ConfigError
    from socksify.launch.answers import answer, load
    from socksify.launch.start import start

    arguments, program, actions = parse(argv)
    text = answer(arguments, actions)
    if text is not None:
        sys.stdout.write(text)
        return []
    if not program:
        raise ConfigError("no program given; see socksify --help")
    if program[0] in ("-m", "-c") and len(program) == 1:
        raise ConfigError(f"argument expected for the {program[0]} option")
    start(load(arguments, actions), program, is_embedded="embedded" in actions)
    return program
