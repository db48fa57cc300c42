"""Runs a program under the filter and a supervisor: `python -m tests.support.sealed_datagrams MODE SETTINGS ARGV...`.

MODE is `pool` or `native`, and SETTINGS are those of `config.loader.load`, in JSON. Nothing else of the seal takes
part: no launcher, no Landlock. The exit status is that of the program.
"""

from __future__ import annotations

import json
import os
import sys

from socksify.config.loader import load
from socksify.routing import fake_addresses, log
from socksify.seal.datagrams.socket_pool import SocketPool
from socksify.seal.kernel import restrictions, system_calls
from socksify.seal.kernel.filter import filter_program
from socksify.seal.kernel.libc import system_call
from socksify.seal.kernel.listener import Listener
from socksify.seal.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main(mode: str, settings: str, *argv: str) -> int:
    pool = SocketPool() if mode == "pool" else None
    of_listener, of_program = os.pipe(), os.pipe()
    program = os.fork()
    if not program:
        if pool is not None:
            pool.close()
        _begin(of_listener[1], of_program[0], list(argv), pooled=mode == "pool")
    listener = _take(program, int(os.read(of_listener[0], 20)))
    os.write(of_program[1], b"begin")
    _supervise(listener, json.loads(settings), pool)
    return os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])


def _begin(numbers: int, begin: int, argv: list[str], pooled: bool) -> NoReturn:
    """Install the filter, tell the number of the listener, and become the program."""
    try:
        number = restrictions.install_filter(filter_program(system_calls.here(), pooled=pooled))
        os.write(numbers, str(number).encode())
        os.read(begin, 5)
        os.execvp(argv[0], argv)
    finally:
        os._exit(126)


def _take(program: int, number: int) -> Listener:
    pidfd = os.pidfd_open(program)
    try:
        return Listener(system_call("pidfd_getfd", system_calls.here().numbers["pidfd_getfd"], pidfd, number, 0))
    finally:
        os.close(pidfd)


def _supervise(listener: Listener, settings: dict[str, object], pool: SocketPool | None) -> None:
    loaded = load(settings, {}, "/", "the test")
    log.open_log(loaded.log)
    fake_addresses.TABLE.configure(loaded.fake_networks)
    Supervisor(listener, loaded, pool).run()
    if pool is not None:
        pool.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
