"""The command `sockd`: answers a question such as --status, or else serves until a signal ends it."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence

from socksify.config.errors import ConfigError
from socksify.server import explain
from socksify.server.config import options
from socksify.server.config import plan as config_plan
from socksify.server.core.loop import Loop
from socksify.server.core.signals import Signals
from socksify.server.net.addresses import parse_address
from socksify.server.net.listeners import addresses_of, adopt_listener, listen, passed_descriptors
from socksify.server.operation import status
from socksify.server.operation.daemon import Daemon
from socksify.server.operation.log import Log, open_sink
from socksify.server.operation.metrics import Table, serve_metrics
from socksify.server.operation.prefork import Workers
from socksify.server.operation.responder import Responder
from socksify.server.operation.service import Service, ServingProcess
from socksify.server.operation.systemd import Notifier


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    `argv` are the arguments without the program's name; None stands for the process's own. The status is 0, or 1 for a
    --test that is denied and a --status without an answer, or 2 after one line on stderr if the configuration is wrong
    or the server cannot run.
    """
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["passwd"]:
        # A server does not need this module.
        from socksify.server import passwd

        return passwd.main(words[1:])
    given = options.parse(words)
    try:
        if given.question:
            return _QUESTIONS[given.question](given)
        _run(given)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"sockd: {error}\n")
        return 2
    return 0


def _say(text: str) -> None:
    """Write to stdout. Characters that its encoding does not have are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _check(given: options.Options) -> int:
    _say(explain.check(config_plan.configured(given)))
    # A configuration with which the server would refuse to start must not pass the check.
    plan = config_plan.plan(given, os.environ)
    config_plan.require_guard(plan, plan.listen)
    return 0


def _test(given: options.Options) -> int:
    text = explain.test(config_plan.configured(given), *given.asked)
    _say(text)
    return 0 if explain.permits(text) else 1


def _status(given: options.Options) -> int:
    directory = given.status_directory or options.default_status_directory(os.environ)
    answers, silent = status.ask(directory) if directory else ([], [])
    if "json" in given.asked:
        _say(json.dumps([{**process, "sessions": sessions} for process, sessions in answers], indent=2) + "\n")
    else:
        _say("".join(status.as_text(*each) for each in answers))
    if silent:
        sys.stderr.write(f"sockd: no answer from {', '.join(silent)}\n")
    elif not answers:
        sys.stderr.write(
            f"sockd: no server tells its sessions in {directory or 'any place known: --status-directory'}\n"
        )
    return 0 if answers and not silent else 1


def _version(_: options.Options) -> int:
    from importlib.metadata import version

    _say(f"sockd {version('socksify')}\n")
    return 0


_QUESTIONS: dict[str, Callable[[options.Options], int]] = {
    "check": _check,
    "test": _test,
    "status": _status,
    "version": _version,
}


def _spare_the_collector() -> None:
    """Let the garbage collector run rarely.

    The objects that exist by now stay, and a session leaves no reference cycles. A search for garbage would take time
    and find next to nothing.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def _occupy_standard_descriptors() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed.

    Otherwise a socket could get one of these numbers, and messages for stderr would be sent on that socket.
    """
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
        log = stack.enter_context(contextlib.closing(Log(loop, open_sink(plan.log), plan.log_format)))
        listeners = [adopt_listener(loop, fd) for fd in passed_descriptors(os.environ)]
        config_plan.require_guard(plan, addresses_of(listeners) or plan.listen)
        table = Table(1 if plan.workers == 1 else plan.workers + 1)
        if plan.metrics:
            stack.enter_context(contextlib.closing(_metrics(loop, plan.metrics, table)))
        service: Service
        if plan.workers > 1:
            service = Workers(loop, signals, configure, plan, log, table, listeners)
        else:
            listeners = listeners or [listen(loop, host, port) for host, port in plan.listen]
            process = ServingProcess(loop, listeners, plan, log, table.rows[0])
            service = stack.enter_context(contextlib.closing(process))
        Daemon(loop, configure, plan, log, notifier, table.rows[-1]).run(service, signals)


def _metrics(loop: Loop, where: str, table: Table) -> Responder:
    return serve_metrics(loop, listen(loop, *parse_address(where)), table.text)
