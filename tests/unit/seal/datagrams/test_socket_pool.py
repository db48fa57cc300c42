"""The pool of UDP sockets: its stock, its end, and what it leaves behind."""

from __future__ import annotations

import errno
import os
import queue
import resource
import select
import signal
import socket
from collections.abc import Iterator

import pytest

from socksify._originals import Socket
from socksify.seal.datagrams import socket_pool
from socksify.seal.datagrams.socket_pool import SocketPool
from socksify.server.core.loop import Loop
from tests.support.network.namespaces import needs_root
from tests.support.terminals import soon
from tests.support.unprivileged import run_python
from tests.unit.server.loops import running_loop

SECONDS = 10.0
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])


class ServedPool:
    """A pool whose loop runs in a thread."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.pool = SocketPool()
        self.pool.serve(loop)

    def take(self, family: int, count: int = 1) -> list[Socket | OSError]:
        """Take so many at once. An error takes the place of a socket."""
        taken: queue.Queue[Socket | OSError] = queue.Queue()
        for _ in range(count):
            self.loop.call(lambda: self.pool.take(family, taken.put))
        return [taken.get(timeout=SECONDS) for _ in range(count)]

    def take_one(self, family: int) -> socket.socket:
        (made,) = self.take(family)
        assert isinstance(made, Socket)
        return socket.socket(fileno=made.detach())


@pytest.fixture
def served() -> Iterator[ServedPool]:
    needs_root()
    with running_loop(ServedPool) as served:
        yield served
    served.pool.close()


def close(taken: list[Socket | OSError]) -> None:
    for made in taken:
        assert isinstance(made, Socket)
        made.close()


@FAMILIES
def test_a_socket_is_as_one_that_socket_2_makes(served: ServedPool, family: int) -> None:
    with served.take_one(family) as made, socket.socket(family, socket.SOCK_DGRAM) as native:
        assert (made.family, made.type) == (family, socket.SOCK_DGRAM)
        assert os.get_blocking(made.fileno())
        assert made.getsockname() == native.getsockname()
        for option in (
            socket.SO_PROTOCOL,
            socket.SO_RCVBUF,
            socket.SO_SNDBUF,
            socket.SO_BROADCAST,
            socket.SO_REUSEADDR,
        ):
            assert made.getsockopt(socket.SOL_SOCKET, option) == native.getsockopt(socket.SOL_SOCKET, option)
        if family == socket.AF_INET6:
            option = socket.IPV6_V6ONLY
            assert made.getsockopt(socket.IPPROTO_IPV6, option) == native.getsockopt(socket.IPPROTO_IPV6, option)


@pytest.mark.parametrize("address", ["9.9.9.9", "127.0.0.53", "198.18.3.4", "2001:db8::53", "::1", "::ffff:9.9.9.9"])
def test_the_responder_answers_from_the_address_that_was_asked(served: ServedPool, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with served.take_one(family) as client:
        client.settimeout(SECONDS)
        client.sendto(b"question", (address, 53))
        assert select.select([served.pool.responder], [], [], SECONDS)[0]
        question, ancillary, _flags, asker = served.pool.responder.recvmsg(512, 256)
        served.pool.responder.sendmsg([question[::-1]], ancillary, 0, asker)
        data, server = client.recvfrom(512)
    assert (data, server[:2]) == (b"noitseuq", (address, 53))


def test_nothing_leaves_the_namespace(served: ServedPool) -> None:
    """A service of this machine hears nothing, and a closed port refuses as a closed port does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service, served.take_one(socket.AF_INET) as client:
        service.bind(("127.0.0.1", 0))
        service.setblocking(False)
        client.connect(service.getsockname())
        client.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            client.recv(10)
        with pytest.raises(BlockingIOError):
            service.recv(10)


def test_calls_are_served_at_once_from_the_stock(served: ServedPool) -> None:
    """The process that makes the sockets is stopped meanwhile."""
    # Requests are answered in turn: with the last socket of IPv6, the stock of IPv4 is full.
    close(served.take(socket.AF_INET6, socket_pool.STOCK + 1))
    os.kill(served.pool.process, signal.SIGSTOP)
    try:
        close(served.take(socket.AF_INET, socket_pool.STOCK))
    finally:
        os.kill(served.pool.process, signal.SIGCONT)


@FAMILIES
def test_more_calls_than_the_stock_has_sockets_are_all_served(served: ServedPool, family: int) -> None:
    taken = served.take(family, 5 * socket_pool.STOCK)
    assert len({made.fileno() for made in taken if isinstance(made, Socket)}) == 5 * socket_pool.STOCK
    close(taken)


def test_a_thousand_sockets_leave_nothing_behind(served: ServedPool) -> None:
    close(served.take(socket.AF_INET, socket_pool.STOCK))
    before = descriptors(os.getpid()), descriptors(served.pool.process)
    for _ in range(50):
        close(served.take(socket.AF_INET, 20))
    close(served.take(socket.AF_INET, socket_pool.STOCK))
    # The stock may be on its way.
    assert abs(descriptors(os.getpid()) - before[0]) <= 2 * socket_pool.STOCK
    assert descriptors(served.pool.process) <= before[1] + 1


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_the_process_holds_no_descriptor_of_the_supervisor(served: ServedPool) -> None:
    files = {
        os.readlink(f"/proc/{served.pool.process}/fd/{fd}") for fd in os.listdir(f"/proc/{served.pool.process}/fd")
    }
    sockets = {file for file in files if file.startswith("socket:")}
    assert files - sockets == {"/dev/null"}
    # The supervisor's, and one that is on its way.
    assert len(sockets) <= 2


def test_keys_of_the_terminal_and_polite_signals_do_not_end_the_process(served: ServedPool) -> None:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP, signal.SIGTERM):
        os.kill(served.pool.process, number)
    close(served.take(socket.AF_INET, 3 * socket_pool.STOCK))


def test_the_signals_of_the_supervisor_stay_as_they_were(served: ServedPool) -> None:
    close(served.take(socket.AF_INET))
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_killed_process_fails_the_calls_that_wait_and_those_that_follow(
    served: ServedPool, capfd: pytest.CaptureFixture[str]
) -> None:
    os.kill(served.pool.process, signal.SIGKILL)
    taken = served.take(socket.AF_INET6, 4 * socket_pool.STOCK)
    errors = [made.errno for made in taken if isinstance(made, OSError)]
    assert errors and set(errors) == {errno.ENETDOWN}
    close([made for made in taken if isinstance(made, Socket)])
    (after,) = served.take(socket.AF_INET6)
    assert isinstance(after, OSError) and after.errno == errno.ENETDOWN
    assert capfd.readouterr().err.count("has ended") == 1


def test_nothing_is_ordered_again_and_again_at_the_limit_of_open_files(served: ServedPool) -> None:
    """The stock stays empty then, until a call asks for a socket again."""
    stock = served.pool._stocks[socket.AF_INET]
    taken, limits = served.take(socket.AF_INET, socket_pool.STOCK), resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull, "rb") as file:
        lowest = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        taken += served.take(socket.AF_INET, 2 * socket_pool.STOCK)
        soon(lambda: stock.missing == socket_pool.STOCK, "orders go on")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert isinstance(taken[-1], OSError) and taken[-1].errno == errno.EMFILE
    close([made for made in taken if isinstance(made, Socket)])
    close(served.take(socket.AF_INET, 2 * socket_pool.STOCK))


def test_closing_ends_the_process() -> None:
    needs_root()
    before = os.listdir("/proc/self/fd")
    pool = SocketPool()
    pool.close()
    assert not os.path.exists(f"/proc/{pool.process}")
    assert os.listdir("/proc/self/fd") == before


def test_the_process_ends_with_the_supervisor() -> None:
    program = """
import os, signal
from socksify.seal.datagrams.socket_pool import SocketPool
print(SocketPool().process, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    pid = int(run_python("root", program).stdout)
    # run_python() waits for the end of the output alone. The process keeps none of it.
    ended = os.pidfd_open(pid) if os.path.exists(f"/proc/{pid}") else None
    if ended is not None:
        assert select.select([ended], [], [], SECONDS)[0]
        os.close(ended)


LIMIT = """
import errno, os, resource
from socksify.seal.datagrams.socket_pool import SocketPool
from socksify.server.core.loop import Loop
import socket

pool, loop = SocketPool(), Loop()
pool.serve(loop)
taken = []

def receive(made):
    taken.append(made)
    if isinstance(made, OSError):
        loop.stop()

resource.setrlimit(resource.RLIMIT_NOFILE, (130, 130))
loop.after(20, loop.stop)
for _ in range(200):
    pool.take(socket.AF_INET, receive)
loop.run()
print([made.errno == errno.EMFILE for made in taken if isinstance(made, OSError)][:1])
taken.clear()
pool.take(socket.AF_INET, receive)
loop.after(0.5, loop.stop)
loop.run()
"""


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_supervisor_without_descriptors_fails_the_call(user: str) -> None:
    done = run_python(user, LIMIT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[True]\n"


AS_NOBODY = """
import errno, os, socket
from socksify.seal.datagrams.socket_pool import SocketPool
from socksify.server.core.loop import READABLE, Loop

pool, loop = SocketPool(), Loop()
pool.serve(loop)
clients = []

def ask(made):
    clients.append(made)
    made.settimeout(10)
    made.sendto(b"question", ("9.9.9.9", 53))

def answer(*_):
    question, ancillary, _, client = pool.responder.recvmsg(512, 256)
    pool.responder.sendmsg([question], ancillary, 0, client)
    loop.stop()

loop.watch(pool.responder.fileno(), READABLE, answer)
pool.take(socket.AF_INET, ask)
loop.after(20, loop.stop)
loop.run()
print(os.getuid(), clients[0].recvfrom(512))
"""


def test_a_user_without_privilege_has_a_pool() -> None:
    done = run_python("nobody", AS_NOBODY)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "65534 (b'question', ('9.9.9.9', 53))\n"


# A network namespace has a setting of its own.
V6_ONLY = """
import socket
from socksify.seal.kernel.libc import unshare
from socksify.seal.datagrams.socket_pool import SocketPool
from socksify.server.core.loop import Loop

unshare(0x40000000, "CLONE_NEWNET")
with open("/proc/sys/net/ipv6/bindv6only", "w") as file:
    file.write("1")
pool, loop = SocketPool(), Loop()
pool.serve(loop)

def receive(made):
    print(made.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    loop.stop()

pool.take(socket.AF_INET6, receive)
loop.run()
"""


def test_sockets_have_the_machines_default_of_ipv6_alone() -> None:
    assert run_python("root", V6_ONLY).stdout == "1\n"
