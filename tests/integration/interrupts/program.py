"""Walks through one scenario, interrupted at every STEP-th bytecode from OFFSET on; writes what went wrong.

    program.py SCENARIO ACTION MODE STEP OFFSET [PROXY-URL PORT]

With a proxy's URL, connections go through that one to an echo server on a port of this machine.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator

import socksify
from tests.integration.interrupts import listening, walking
from tests.integration.interrupts.walking import (
    Interrupted,
    Timeout,
    interrupted,
    leave_by,
    left_behind,
    patience,
    strict_proxy,
    use,
)
from tests.support.pollers import POLLERS
from tests.support.routing import open_fds

MODES = {"blocking": None, "timeout": 5.0, "nonblocking": 0.0}
RAISING: dict[str, type[BaseException]] = {
    "Interrupted": Interrupted,
    "Timeout": Timeout,
    "KeyboardInterrupt": KeyboardInterrupt,
}
Action = Callable[[socket.socket], object]


def close(sock: socket.socket) -> None:
    sock.close()


def connect_again(sock: socket.socket) -> None:
    sock.connect_ex(walking.TARGET)


def send(sock: socket.socket) -> None:
    """Raw bytes of the client's; they must not come between those of the handshake."""
    with contextlib.suppress(OSError):
        assert sock.send(b"ping") == 4


def receive(sock: socket.socket) -> None:
    """Natively this waits for an answer where the socket is open; so only where it may not wait."""
    with contextlib.suppress(OSError):
        sock.recv(2, socket.MSG_DONTWAIT)


def connect_another(_: socket.socket) -> None:
    with socket.socket() as other:
        other.settimeout(5)
        other.connect(walking.TARGET)
        other.sendall(b"ping")
        assert other.recv(4, socket.MSG_WAITALL) == b"ping"


def duplicate(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.dup().close()


def fork(sock: socket.socket) -> None:
    """The child goes on with what lies beneath the handler, as the parent does; it ends when that is over."""
    pid = os.fork()
    if pid == 0:
        Children.is_child = True
        # The timer is the parent's.
        signal.setitimer(signal.ITIMER_REAL, 8)
    else:
        Children.pids.append(pid)
    del sock


def fork_and_connect(_: socket.socket) -> None:
    """As another thread's fork would: the child has nothing to do with what lies beneath."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            connect_another(_)
            status = 0
        finally:
            os._exit(status)
    Children.pids.append(pid)


HANDLERS: dict[str, Action] = {
    "close": close,
    "connect_again": connect_again,
    "send": send,
    "receive": receive,
    "connect_another": connect_another,
    "duplicate": duplicate,
    "fork": fork,
    "fork_and_connect": fork_and_connect,
}


class Children:
    is_child = False
    pids: list[int] = []

    @classmethod
    def end(cls) -> None:
        """Each has to end by itself, and well."""
        while cls.pids:
            pid = cls.pids.pop()
            descriptor = os.pidfd_open(pid)
            try:
                if not select.select([descriptor], [], [], 10)[0]:
                    os.kill(pid, 9)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            finally:
                os.close(descriptor)
            assert status == 0, f"a child ended with {status}"


def connecting(sock: socket.socket) -> None:
    sock.connect(walking.TARGET)


def connecting_ex(sock: socket.socket) -> None:
    number = sock.connect_ex(walking.TARGET)
    if number not in (0, errno.EISCONN):
        raise OSError(number, os.strerror(number))


def polling(kind: str) -> Callable[[socket.socket], None]:
    def poll(sock: socket.socket) -> None:
        poller = POLLERS[kind](select.POLLOUT)
        try:
            number = sock.connect_ex(walking.TARGET)
            assert number in (errno.EINPROGRESS, errno.EALREADY, errno.EBADF, errno.EISCONN), number
            if number == errno.EBADF:
                raise OSError(number, os.strerror(number))
            if Children.is_child:
                # The epoll set is the parent's, too.
                return
            if sock.fileno() < 0:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            poller.add(sock)
            for _ in range(200):
                # A socket that was closed is in no set that a poller watches.
                if sock.fileno() < 0 or Children.is_child or poller.wait(0.05):
                    break
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number))
        finally:
            poller.close()

    return poll


def closing(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.connect_ex(walking.TARGET)
    sock.close()


SCENARIOS: dict[str, Callable[[socket.socket], None]] = {
    "connect": connecting,
    "connect_ex": connecting_ex,
    "close": closing,
    **{kind: polling(kind) for kind in POLLERS},
    "listen": listening.listening,
    "accept": listening.accepting,
    "wait_for_peer": listening.polling,
}
LISTENING = ("listen", "accept", "wait_for_peer")


def walk(scenario: str, action: str, mode: str, step: int, offset: int) -> Counter[str]:
    """Counts how it ended; what begins with an exclamation mark is a fault."""
    ended: Counter[str] = Counter()
    call = SCENARIOS[scenario]
    made, used = (listening.listener, listening.use_listener) if scenario in LISTENING else (socket.socket, use)
    with socket.socket() as first:
        first.connect(walking.TARGET)
    with contextlib.suppress(OSError), made() as first:
        first.settimeout(MODES[mode])
        call(first)
    gc.collect()
    fds = open_fds()
    known = left_behind(fds)
    # A fork before connect() has begun is one before it was called.
    at, more = 1 + offset % step + (80 if action == "fork" else 0), True
    while more:
        with patience(30):
            sock = made()
            sock.settimeout(MODES[mode])
            told, more = once(sock, call, action, at)
            if Children.is_child:
                check_child(sock, used)
            try:
                if sock.fileno() >= 0 and scenario != "close":
                    used(sock)
            except Exception as error:
                told = f"!after {told}: {type(error).__name__} {error}"
            sock.close()
            del sock
            try:
                Children.end()
            except AssertionError as error:
                told = f"!{error}"
            left = [entry for entry in left_behind(fds) if entry not in known]
            if left and scenario in LISTENING:
                # A frame that was interrupted inside of a lock is in a reference cycle with it.
                gc.collect()
                left = [entry for entry in left_behind(fds) if entry not in known]
            if left:
                told = f"!after {told}: left {left}"
                if not known:
                    forget_everything()
                fds = open_fds()
                known = left_behind(fds)
        if told.startswith("!"):
            told += f" (bytecode {at})"
        ended[told] += 1
        at += step
    return ended


def once(sock: socket.socket, call: Callable[[socket.socket], None], action: str, at: int) -> tuple[str, bool]:
    """How the call ended, and whether it was interrupted."""
    kind = RAISING.get(action)
    does = leave_by(kind) if kind is not None else lambda: HANDLERS[action](sock)
    count = [False]

    def acting() -> None:
        count[0] = True
        does()

    try:
        interrupted(at, acting, lambda: call(sock))
    except (Interrupted, Timeout, KeyboardInterrupt):
        return "raised", True
    except OSError as error:
        if kind is not None and count[0]:
            return f"!lost: {type(error).__name__} {error}", count[0]
        return f"{type(error).__name__} {errno.errorcode.get(error.errno or 0)}", count[0]
    except ValueError as error:
        # A poller says so of a socket that was closed.
        return "closed" if sock.fileno() < 0 and "negative integer" in str(error) else f"!ValueError {error}", count[0]
    except Exception as error:
        return f"!{type(error).__name__} {error}", count[0]
    return "returned", count[0]


def check_child(sock: socket.socket, used: Callable[[socket.socket], object]) -> None:
    """What a handler's fork has left to the child: its socket failed or is its own, and another one connects."""
    status = 1
    try:
        with patience(30):
            if sock.fileno() >= 0:
                sock.settimeout(5)
                used(sock)
            connect_another(sock)
        status = 0
    finally:
        os._exit(status)


def forget_everything() -> None:
    from socksify.tunnel.registry import registry

    for tunnel in registry.deadlines.everyone():
        registry.deadlines.discard(tunnel)
    for known in (registry.by_fd, registry._by_identity, registry.unsettled):
        known.clear()


@contextlib.contextmanager
def proxy(given: list[str]) -> Iterator[tuple[str, Callable[[], str]]]:
    if given:
        yield given[0], str
    else:
        with strict_proxy() as ours:
            yield ours


def main() -> None:
    scenario, action, mode, step, offset, *given = sys.argv[1:]
    if given:
        walking.TARGET = ("127.0.0.1", int(given[1]))
    warnings.simplefilter("ignore", DeprecationWarning)
    with proxy(given) as (url, complaints):
        socksify.install(url, routes=["*=proxy"], bind="always")
        gc.disable()
        ended = walk(scenario, action, mode, int(step), int(offset))
        for told, count in ended.items():
            sys.stdout.write(f"{count} {told}\n")
        for line in complaints().splitlines():
            sys.stdout.write(f"1 !{line}\n")


if __name__ == "__main__":
    main()
