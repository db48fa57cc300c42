"""Real signals: timers and Ctrl-C in the middle of connect(); a handler that uses the socket; SO_SNDTIMEO."""

from __future__ import annotations

import errno
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from tests.integration.interrupts.walking import strict_proxy
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.stepping import ANYWHERE, TARGET, stepping
from tests.support.steps import HANG, READ_GREETING

# A client whose timer interrupts it at any time; the handler raises, closes the socket or connects it again.
CLIENT = """
import faulthandler, random, signal, socket, sys, threading
import socksify

class Alarm(TimeoutError): pass
random.seed(int(sys.argv[2]))
socksify.install(sys.argv[1], routes=["*=proxy"])
server, interrupted, sock = ("203.0.113.5", 80), 0, None

def handler(*_):
    global interrupted
    interrupted += 1
    if interrupted % 5 == 1: sock.close()
    elif interrupted % 5 == 2: sock.connect_ex(server)
    else: raise Alarm

if sys.argv[3] == "threads": threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()
signal.signal(signal.SIGALRM, handler)
faulthandler.dump_traceback_later(50, exit=True)
while interrupted < 150:
    sock = socket.socket()
    try:
        signal.setitimer(signal.ITIMER_REAL, random.random() * .0015 + 1e-5)
        sock.connect(server)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except OSError: pass
    finally:
        try: signal.setitimer(signal.ITIMER_REAL, 0)
        except Alarm: pass
        sock.close()
with socket.create_connection(server, 5) as sock:
    sock.sendall(b"ping")
    assert sock.recv(4) == b"ping"
"""


@pytest.mark.timeout(80)
@pytest.mark.parametrize("threads", ["alone", "threads"])
def test_a_timer_that_interrupts_at_any_time(threads: str) -> None:
    with strict_proxy() as (url, complaints):
        argv = [sys.executable, "-c", CLIENT, url, "7", threads]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=70, check=False)
        assert ended.returncode == 0, ended.stderr
        assert complaints() == ""


@pytest.fixture
def alarm() -> Iterator[Callable[[Callable[[], object], float], None]]:
    """Has a handler called after some seconds."""
    before = signal.getsignal(signal.SIGALRM)

    def start(handler: Callable[[], object], seconds: float) -> None:
        signal.signal(signal.SIGALRM, lambda *_: handler())
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_connect_ex_in_a_handler_does_not_stall_the_connect_beneath(
    alarm: Callable[[Callable[[], object], float], None],
) -> None:
    told: list[int] = []
    with stepping(connect_timeout=20) as steps, socket.socket() as sock:

        def handler() -> None:
            steps.run()
            # The answers come while the handler is at it.
            for _ in range(50):
                told.append(sock.connect_ex(TARGET))
                threading.Event().wait(0.001)

        alarm(handler, 0.1)
        began = monotonic()
        sock.connect(TARGET)
        assert monotonic() - began < 5
        assert set(told) <= {errno.EALREADY, errno.EISCONN}
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"


def test_a_handler_that_sends_waits_for_the_connect_as_natively(
    alarm: Callable[[Callable[[], object], float], None],
) -> None:
    with stepping(connect_timeout=20) as steps, socket.socket() as sock:

        def handler() -> None:
            steps.run()
            sock.sendall(b"ping")

        alarm(handler, 0.1)
        began = monotonic()
        sock.connect(TARGET)
        assert monotonic() - began < 5
        assert sock.recv(4) == b"ping"


def test_an_interrupted_connect_leaves_no_reply_of_the_proxys(
    alarm: Callable[[Callable[[], object], float], None],
) -> None:
    class Interrupted(Exception):
        pass

    def handler() -> None:
        raise Interrupted

    with stepping() as steps, socket.socket() as sock:
        alarm(handler, 0.1)
        with pytest.raises(Interrupted):
            sock.connect(TARGET)
        steps.run()
        with pytest.raises(OSError):
            sock.sendall(b"ab")
        assert sock.connect_ex(TARGET) == 0
        sock.sendall(b"ab")
        assert sock.recv(2) == b"ab"


def test_the_kernels_send_timeout_bounds_a_blocking_connect() -> None:
    """socket(7): EINPROGRESS, as if the socket did not block; the connect goes on."""
    with stepping() as steps, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 200_000))
        began = monotonic()
        assert sock.connect_ex(TARGET) == errno.EINPROGRESS
        assert 0.15 < monotonic() - began < 5
        assert sock.connect_ex(TARGET) == errno.EALREADY
        steps.run()
        assert select.select([], [sock], [], 5)[1]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert sock.getblocking()
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"


def test_a_send_timeout_of_another_socket_bounds_nothing() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 100_000))
    with (
        BadProxy([READ_GREETING, HANG]) as proxy,
        routed(proxy.url(), routes=ANYWHERE, connect_timeout=0.4),
        socket.socket() as sock,
    ):
        assert sock.connect_ex(TARGET) == errno.ETIMEDOUT
