"""The process of the program: it puts itself under the filter, and waits until the launcher lets it go.

All signals stay blocked until then. A signal that arrives meanwhile is delivered when the program begins.
"""

from __future__ import annotations

import ctypes
import os

from socksify.seal.kernel import restrictions, system_calls
from socksify.seal.kernel.filter import filter_program
from socksify.seal.kernel.libc import call, system_call
from socksify.seal.processes.links import BEGIN, INSTALL, LISTENER, PROBE, UNAVAILABLE
from socksify.seal.processes.requirements import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from socksify.seal.processes.links import Links


def enter(links: Links, group: int, import_ahead: Callable[[], None]) -> None:
    """Put this process under the filter, and return when the program may begin.

    `group` is the process group of the launcher. `import_ahead` is called while the supervisor starts. The process ends
    if the supervisor or the launcher ends first, or if the seal cannot be had.
    """
    links.of_program()
    try:
        call(os.setpgid, 0, group)
        import_ahead()
        _seal(links)
    except Exception as error:
        links.answers.send(UNAVAILABLE, str(explain(error)).encode())
        _end()
    if links.orders.receive()[0] != BEGIN:
        _end()
    links.close()


def _seal(links: Links) -> None:
    kind, pooled = links.orders.receive()
    if kind != INSTALL:
        _end()
    architecture = system_calls.here()
    restrictions.deny_tcp_connect()
    listener = restrictions.install_filter(filter_program(architecture, pooled=pooled == b"1"))
    links.answers.send(LISTENER, str(listener).encode())
    _probe(architecture.numbers["connect"])
    os.close(listener)


def _probe(connect: int) -> None:
    """Make a call that the filter notifies. The supervisor answers it with a descriptor, and has the listener then."""
    buffer = ctypes.create_string_buffer(PROBE)
    os.close(system_call("connect", connect, -1, ctypes.addressof(buffer), len(PROBE)))


def _end() -> NoReturn:
    os._exit(1)
