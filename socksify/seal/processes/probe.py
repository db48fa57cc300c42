"""The supervisor's side of the filter's installation: it takes the listener, and tries out all that it needs.

The program makes one call under the filter. Its answer takes every right that a supervisor has to have. So what is
missing is found before the program begins, and the call that fails is known.
"""

from __future__ import annotations

import os
import select

from socksify.seal.errors import SealUnavailableError
from socksify.seal.kernel import system_calls
from socksify.seal.kernel.libc import call, system_call
from socksify.seal.kernel.listener import Listener
from socksify.seal.kernel.target import Target
from socksify.seal.processes.links import INSTALL, LISTENER, PROBE, UNAVAILABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.seal.processes.links import Links

# In milliseconds.
_TIMEOUT = 10_000


def take_listener(links: Links, program: int, is_pooled: bool) -> Listener:
    """Let the program install the filter, and return its listener. Raises OSError, and SealUnavailableError."""
    links.orders.send(INSTALL, b"1" if is_pooled else b"0")
    kind, data = links.answers.receive()
    if kind != LISTENER:
        raise SealUnavailableError(data.decode() if kind == UNAVAILABLE else "the program has ended during its start")
    numbers = system_calls.here().numbers
    pidfd = call(os.pidfd_open, program)
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
    notification = listener.receive() if poller.poll(_TIMEOUT) else None
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
