"""The process of the supervisor, between the launcher and the program.

It is the parent of the program. So Yama lets it look into the tree, and every orphan of the tree becomes its child. It
lives as long as anybody is in the tree, and may outlive the launcher.
"""

from __future__ import annotations

import os
import resource
import select
import signal

from socksify.seal import system_calls
from socksify.seal.errors import SealUnavailableError
from socksify.seal.libc import system_call
from socksify.seal.links import INSTALL, LISTENER, PROBE, STARTED, UNAVAILABLE
from socksify.seal.listener import Listener
from socksify.seal.reaper import Reaper, become_parent
from socksify.seal.requirements import explain
from socksify.seal.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Protocol

    from socksify.seal.links import Links

    class Service(Protocol):
        """Answers the system calls of a tree."""

        @property
        def is_pooled(self) -> bool:
            """True if the UDP sockets of the tree come from an empty network namespace."""

        def serve(self, listener: Listener) -> None:
            """Answer until nobody is left under the filter."""

        def close(self) -> None:
            """End what was started for the tree, if the seal cannot be had after all."""


# In milliseconds.
_PROBE_TIMEOUT = 10_000


def fork_program(links: Links, launcher: int, make_service: Callable[[], Service]) -> None:
    """Become the supervisor, and fork the process of the program, in which alone the call returns.

    `launcher` is the number of the launcher's process.
    """
    try:
        become_parent()
        program = os.fork()
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
    links.of_supervisor()
    leave_descriptors()
    _raise_limit()
    service = None
    try:
        service = make_service()
        listener = _listener(links, program, service.is_pooled)
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


def _listener(links: Links, program: int, is_pooled: bool) -> Listener:
    """Let the program install the filter, and return its listener. Raises OSError, and SealUnavailableError."""
    links.orders.send(INSTALL, b"1" if is_pooled else b"0")
    kind, data = links.answers.receive()
    if kind != LISTENER:
        raise SealUnavailableError(data.decode() if kind == UNAVAILABLE else "the program has ended during its start")
    numbers = system_calls.here().numbers
    pidfd = os.pidfd_open(program)
    try:
        listener = Listener(system_call("pidfd_getfd", numbers["pidfd_getfd"], pidfd, int(data), 0))
    finally:
        os.close(pidfd)
    _answer_probe(listener, Target(numbers))
    return listener


def _answer_probe(listener: Listener, target: Target) -> None:
    """Answer the probe of the program with everything that a supervisor has to be able to do."""
    poller = select.poll()
    poller.register(listener.fd, select.POLLIN)
    notification = listener.receive() if poller.poll(_PROBE_TIMEOUT) else None
    if notification is None:
        raise SealUnavailableError("the program has ended during its start")
    id, thread, _, _, _, _, _, address, size, *_ = notification
    if target.read(thread, address, size) != PROBE:
        raise SealUnavailableError("process_vm_readv: the memory of the program has another content.")
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        listener.add_descriptor(id, null, close_on_exec=True)
    except OSError as error:
        raise OSError(error.errno, f"ioctl: {error.strerror}") from None
    finally:
        os.close(null)


def leave_descriptors() -> None:
    """Close what the user has passed on to the program: another process may wait for its end.

    Standard error stays open, for messages. Descriptors that Python has opened itself are closed on exec, and stay.
    """
    inherited = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    for fd in inherited:
        try:
            if os.get_inheritable(fd):
                os.close(fd)
        except OSError:  # the descriptor that has read the directory
            pass
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)


def _raise_limit() -> None:
    """Let the supervisor have as many descriptors as it may: it has some for each connection of the tree."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
