"""The process of the supervisor, between the launcher and the program.

It is the parent of the program. So Yama lets it look into the tree, and every orphan of the tree becomes its child. It
lives as long as anybody is in the tree, and may outlive the launcher.
"""

from __future__ import annotations

import os
import signal

from socksify.seal.errors import SealUnavailableError
from socksify.seal.kernel.libc import call
from socksify.seal.processes.links import STARTED, UNAVAILABLE
from socksify.seal.processes.reaper import Reaper, become_parent
from socksify.seal.processes.requirements import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Protocol

    from socksify.seal.kernel.listener import Listener
    from socksify.seal.processes.links import Links

    class Service(Protocol):
        """Answers the system calls of a tree."""

        @property
        def is_pooled(self) -> bool:
            """True if the UDP sockets of the tree come from an empty network namespace."""

        def serve(self, listener: Listener) -> None:
            """Answer until nobody is left under the filter."""

        def close(self) -> None:
            """End what was started for the tree, if the seal cannot be had after all."""


def fork_program(links: Links, launcher: int, make_service: Callable[[], Service]) -> None:
    """Become the supervisor, and fork the process of the program, in which alone the call returns.

    `launcher` is the number of the launcher's process.
    """
    try:
        become_parent()
        program = call(os.fork)
    except OSError as error:
        links.reports.send(UNAVAILABLE, str(explain(error)).encode())
        os._exit(1)
    if not program:
        return
    try:
        _supervise(links, Reaper(program, launcher, links.reports), program, make_service)
    except BaseException:
        # Its import takes milliseconds, and is seldom needed.
        import traceback

        traceback.print_exc()
    os._exit(1)


def _supervise(links: Links, reaper: Reaper, program: int, make_service: Callable[[], Service]) -> NoReturn:
    # The program's process imports other modules at the same time.
    from socksify.seal.processes.descriptors import leave_inherited, raise_limit
    from socksify.seal.processes.probe import take_listener

    links.of_supervisor()
    leave_inherited()
    raise_limit()
    service = None
    try:
        service = make_service()
        listener = take_listener(links, program, service.is_pooled)
    except (OSError, SealUnavailableError, ImportError) as error:
        _give_up(links, program, service, explain(error))
    links.reports.send(STARTED, str(program).encode())
    # The launcher keeps its own.
    links.orders.close()
    links.answers.close()
    reaper.watch()
    service.serve(listener)
    reaper.finish()
    os._exit(0)


def _give_up(links: Links, program: int, service: Service | None, error: SealUnavailableError) -> NoReturn:
    """End every process but the launcher, which goes on without a seal or says why there is none."""
    os.kill(program, signal.SIGKILL)
    os.waitpid(program, 0)
    if service is not None:
        service.close()
    links.reports.send(UNAVAILABLE, str(error).encode())
    os._exit(1)
