"""One of several processes that share the ports: what the child does that `workers.Workers` has forked."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence

from socksify import _real
from socksify.server.listening import adopt, listen
from socksify.server.log import Log
from socksify.server.loop import READABLE, Loop
from socksify.server.operating import reloaded
from socksify.server.serving import Service
from socksify.server.signals import Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.configuring import Plan
    from socksify.server.metrics import Row
    from socksify.server.operating import Configure

# Blocked by the parent round the fork, so that none of them is lost.
OBEYED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
READY = b"!"


def serve(
    configure: Configure,
    plan: Plan,
    log: Log,
    row: Row,
    places: Sequence[tuple[str, int]],
    inherited: Sequence[int],
    channel: _real.Socket,
) -> None:
    """Serves at `places` and on the descriptors `inherited`, until the parent says otherwise or has died."""
    with contextlib.closing(Loop()) as loop:
        listeners = [listen(loop, host, port, shared=True) for host, port in places]
        listeners += [adopt(loop, fd) for fd in inherited]
        log = log.anew(loop)
        service = Service(loop, listeners, plan, log, row)
        _obey_signals(loop, service, configure, plan, log)
        service.start(lambda: channel.send(READY))
        loop.watch(channel.fileno(), READABLE, lambda fd, _: _orphaned(loop, fd, service))
        loop.run()
        service.close()
        log.close()


def _obey_signals(loop: Loop, service: Service, configure: Configure, plan: Plan, log: Log) -> None:
    in_force = plan

    def reload() -> None:
        nonlocal in_force
        fresh = reloaded(configure, service.addresses, in_force, log)
        if fresh is not None:
            in_force = fresh
            service.obey(fresh)

    signals = Signals(loop)
    signals.obey(signal.SIGTERM, lambda: service.terminate(loop.stop))
    signals.obey(signal.SIGHUP, reload)
    # Ctrl-C is sent to every process of the terminal's; the parent passes on what it means.
    signals.obey(signal.SIGINT, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OBEYED)


def _orphaned(loop: Loop, channel: int, service: Service) -> None:
    """The parent says nothing, so this is its end."""
    loop.watch(channel, 0, _ignore)
    service.terminate(loop.stop)


def _ignore(*_: object) -> None:
    pass
