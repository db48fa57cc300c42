"""The command `sockd`: it answers a question such as --status, or it serves until a signal ends the server."""

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

    `argv` holds the arguments without the program's name; None stands for the arguments of this process.

    The status is 1 if --test finds that everything is denied, or if --status does not get every answer. The status is
    2, after one line on stderr, if the configuration or an argument is wrong, or if the server cannot run. Otherwise it
    is 0. Raises SystemExit, as argparse does, for unknown options and for --help.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["passwd"]:
        # A server does not need this module.
        from socksify.server import passwd

        return passwd.main(arguments[1:])
    args = options.parse(arguments)
    try:
        if args.question:
            return _QUESTIONS[args.question](args)
        _run(args)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"sockd: {error}\n")
        return 2
    return 0


def _print(text: str) -> None:
    """Write `text` to stdout. Characters that the encoding of stdout does not have are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _check(args: options.Options) -> int:
    _print(explain.check(config_plan.configured(args)))
    # A configuration with which the server would refuse to start must not pass the check.
    plan = config_plan.plan(args, os.environ)
    config_plan.require_guard(plan, plan.listen)
    return 0


def _test(args: options.Options) -> int:
    text = explain.test(config_plan.configured(args), *args.asked)
    _print(text)
    return 0 if explain.permits(text) else 1


def _status(args: options.Options) -> int:
    directory = args.status_directory or options.default_status_directory(os.environ)
    answers, silent = status.ask(directory) if directory else ([], [])
    if "json" in args.asked:
        _print(json.dumps([{**process, "sessions": sessions} for process, sessions in answers], indent=2) + "\n")
    else:
        _print("".join(status.as_text(*each) for each in answers))
    if silent:
        sys.stderr.write(f"sockd: no answer from {', '.join(silent)}\n")
    elif not answers:
        sys.stderr.write(
            f"sockd: no server tells its sessions in {directory or 'any known directory; see --status-directory'}\n"
        )
    return 0 if answers and not silent else 1


def _version(_: options.Options) -> int:
    from importlib.metadata import version

    _print(f"sockd {version('socksify')}\n")
    return 0


_QUESTIONS: dict[str, Callable[[options.Options], int]] = {
    "check": _check,
    "test": _test,
    "status": _status,
    "version": _version,
}


def _tune_garbage_collector() -> None:
    """Let the garbage collector run rarely.

    The objects that exist by now stay until the end, and a session leaves no reference cycles. So a collection would
    take time and find almost nothing.
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


def _run(args: options.Options) -> None:
    _occupy_standard_descriptors()
    _tune_garbage_collector()
    configure = functools.partial(config_plan.plan, args, os.environ)
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
