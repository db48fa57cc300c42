"""The command `sockd`: answers what is only asked, else serves until a signal ends it."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence

from socksify.config.settings import ConfigError
from socksify.server import explain
from socksify.server.config import options
from socksify.server.config import plan as config_plan
from socksify.server.core.loop import Loop
from socksify.server.core.signals import Signals
from socksify.server.net.listeners import addresses, adopt, inherited, listen
from socksify.server.operation import status
from socksify.server.operation.daemon import Crew, Operation
from socksify.server.operation.log import Log, outlet
from socksify.server.operation.metrics import Table, scraping
from socksify.server.operation.prefork import Workers
from socksify.server.operation.responder import Answers
from socksify.server.operation.service import Service
from socksify.server.operation.systemd import Notifier


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 for a --test that is denied, or 2 after one line on stderr for what cannot be run.

    `argv` is without the name.
    """
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["passwd"]:
        # Imported here because it is not what a server needs.
        from socksify.server import passwd

        return passwd.main(words[1:])
    given = options.parse(words)
    try:
        if given.question:
            return _ANSWERS[given.question](given)
        _run(given)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"sockd: {error}\n")
        return 2
    return 0


def _say(text: str) -> None:
    """On stdout, what its encoding has no words for escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _check(given: options.Options) -> int:
    _say(explain.check(config_plan.configured(given)))
    # What would not be served is no good answer either.
    plan = config_plan.plan(given, os.environ)
    config_plan.require_guard(plan, plan.listen)
    return 0


def _test(given: options.Options) -> int:
    told = explain.test(config_plan.configured(given), *given.asked)
    _say(told)
    return 0 if explain.permits(told) else 1


def _status(given: options.Options) -> int:
    directory = given.status_directory or status.usual_directory(os.environ)
    told, silent = status.ask(directory) if directory else ([], [])
    if "json" in given.asked:
        _say(json.dumps([{**process, "sessions": sessions} for process, sessions in told], indent=2) + "\n")
    else:
        _say("".join(status.in_words(*each) for each in told))
    if silent:
        sys.stderr.write(f"sockd: no answer from {', '.join(silent)}\n")
    elif not told:
        sys.stderr.write(
            f"sockd: no server tells its sessions in {directory or 'any place known: --status-directory'}\n"
        )
    return 0 if told and not silent else 1


def _version(_: options.Options) -> int:
    from importlib.metadata import version

    _say(f"sockd {version('socksify')}\n")
    return 0


_ANSWERS: dict[str, Callable[[options.Options], int]] = {
    "check": _check,
    "test": _test,
    "status": _status,
    "version": _version,
}


def _spare_the_collector() -> None:
    """A search would cost, and find next to nothing: what is there by now stays, and a session leaves no circles."""
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def _occupy_standard_descriptors() -> None:
    """Where we were started without one of 0 to 2, no socket is to get its number: others write to it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _run(given: options.Options) -> None:
    _occupy_standard_descriptors()
    _spare_the_collector()
    configure = functools.partial(config_plan.plan, given, os.environ)
    plan = configure()
    notifier = Notifier(os.environ)
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(contextlib.closing(Loop()))
        signals = stack.enter_context(contextlib.closing(Signals(loop)))
        log = stack.enter_context(contextlib.closing(Log(loop, outlet(plan.log), plan.log_format)))
        listeners = [adopt(loop, fd) for fd in inherited(os.environ)]
        config_plan.require_guard(plan, addresses(listeners) or plan.listen)
        table = Table(1 if plan.workers == 1 else plan.workers + 1)
        if plan.metrics:
            stack.enter_context(contextlib.closing(_metrics(loop, plan.metrics, table)))
        crew: Crew
        if plan.workers > 1:
            crew = Workers(loop, signals, configure, plan, log, table, listeners)
        else:
            listeners = listeners or [listen(loop, host, port) for host, port in plan.listen]
            crew = stack.enter_context(contextlib.closing(Service(loop, listeners, plan, log, table.rows[0])))
        Operation(loop, configure, plan, log, notifier, table.rows[-1]).run(crew, signals)


def _metrics(loop: Loop, where: str, table: Table) -> Answers:
    return scraping(loop, listen(loop, *options.place(where)), table.text)
