"""Look-ups by the thousand: from many threads, across fork(), and of more names than there are addresses."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from socket import SOCK_STREAM

import pytest

from socksify.patches import scope
from socksify.routing import fake_addresses
from socksify.routing.fake_addresses import FakeAddressTable
from tests.support.routing import routed

pytestmark = pytest.mark.usefixtures("table")

# Nobody listens there.
URL = "socks5h://192.0.2.1:1080"
NAME = "name.example"


# More than the room of the table (65,024). tests/unit/routing proves that twice as many use addresses again.
MANY = 70_000


def test_many_threads_may_ask() -> None:
    wrong: list[object] = []

    def ask(thread: int) -> None:
        for number in range(2000):
            name = f"{number}.{thread}.example"
            address = socket.getaddrinfo(name, 80, type=SOCK_STREAM)[0][4][0]
            if socket.gethostbyaddr(str(address))[0] != name:
                wrong.append((name, address))

    with routed(URL, routes=()):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(fake_addresses.TABLE) == 16_000
    assert wrong == []


@pytest.fixture
def busy() -> Iterator[None]:
    """Another thread is always in the middle of a look-up."""
    enough = threading.Event()

    def ask() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            socket.gethostbyname(f"{number}.busy.example")

    with routed(URL, routes=()):
        thread = threading.Thread(target=ask)
        thread.start()
        yield
        enough.set()
        thread.join()


# From 3.12 on Python warns of it; the child here calls nothing that another thread may hold.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("busy")
def test_a_forked_child_may_ask() -> None:
    for _ in range(10):
        # Each time: the other thread's names push out one that was not asked for in a while.
        address = socket.gethostbyname(NAME)
        pid = os.fork()
        if pid == 0:
            right = False
            try:
                right = socket.gethostbyname(NAME) == address and socket.gethostbyaddr(address)[0] == NAME
                right = right and socket.gethostbyname("child.example") != address
            finally:
                os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_more_names_than_there_is_room_for_pass_through(table: FakeAddressTable) -> None:
    with routed(URL, routes=()):
        first = socket.gethostbyname("0.example")
        addresses = [socket.gethostbyname(f"{number}.example") for number in range(MANY)]
        assert len(table) < 1 << 16
        assert len(scope.current().lookups._known) <= 4096
        kept = range(MANY - len(table), MANY)
        assert all(table.name_of(addresses[number]) == f"{number}.example" for number in kept)
        assert len({addresses[number] for number in kept}) == len(table)
        with pytest.raises(OSError, match="stands for no name"), socket.socket() as sock:
            sock.connect((addresses[kept[0] - 1], 80))
        assert socket.gethostbyname("0.example") != first
